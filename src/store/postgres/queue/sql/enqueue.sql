-- Messages, and the keys that they bring: no key twice, each of one message. A message with a key that somebody else holds is
-- not stored; answers who holds it.
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
),
patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', coalesce($12, current_setting('lock_timeout')), true)
),
brought AS MATERIALIZED (
    SELECT key, id::uuid AS id, keep
    FROM patience, unnest($9::bytea[], $10::text[], $11::int8[]) AS k(key, id, keep)
),
-- in one order for everybody, so that two who bring the same keys do not wait for each other; whoever comes second waits
-- here until the first has committed or not, and then sees who holds the key
held AS (
    INSERT INTO steadfast_dedupe AS d (queue, key, id, expires_at)
    SELECT $1, key, id, (SELECT now FROM clock) + keep FROM brought ORDER BY key
    ON CONFLICT (queue, key) DO UPDATE SET
        id = CASE WHEN d.expires_at <= (SELECT now FROM clock) THEN excluded.id ELSE d.id END,
        expires_at = CASE WHEN d.expires_at <= (SELECT now FROM clock) THEN excluded.expires_at ELSE d.expires_at END
    RETURNING key, id
),
known AS (
    SELECT b.id, h.id AS holder FROM brought b JOIN held h USING (key) WHERE h.id <> b.id
),
stored AS (
    INSERT INTO steadfast_queue (id, queue, due, enqueued_at, expires_at, max_age, topic, destination, headers, body)
    SELECT m.id::uuid, $1, now + delay, now, now + delay + max_age, max_age, topic, destination, headers, body
    FROM clock, unnest($2::text[], $3::int8[], $4::int8[], $5::text[], $6::text[], $7::bytea[], $8::bytea[])
        WITH ORDINALITY AS m(id, delay, max_age, topic, destination, headers, body, n)
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.id = m.id::uuid)
    ORDER BY n
    RETURNING 1
),
woken AS MATERIALIZED (
    SELECT pg_notify('steadfast_queue', $1) FROM stored LIMIT 1
)
SELECT w.n AS woken, uuid_send(k.id) AS id, uuid_send(k.holder) AS holder
FROM (SELECT count(*) AS n FROM woken) w LEFT JOIN known k ON true
