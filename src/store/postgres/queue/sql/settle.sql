WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
),
patience AS MATERIALIZED (SELECT set_config('lock_timeout', $16, true)),
-- in one order for everybody, so that two batches do not wait for each other
held AS MATERIALIZED (
    SELECT w.*, q.entries + (w.noted AND NOT (w.state = 1 AND q.last_parked))::int4 AS entry
    FROM patience, steadfast_queue q
    JOIN unnest($1::int8[], $2::int4[], $3::bytea[], $4::int2[], $5::int8[], $6::bool[], $7::text[], $8::bool[],
            $9::int4[], $10::int8[], $11::text[], $12::int4[], $13::text[])
        WITH ORDINALITY AS w(row_id, attempt, token, state, after, hands_back, reason, noted, tried, took, outcome, status,
            error, n)
        ON q.row_id = w.row_id AND q.attempt = w.attempt AND q.token = w.token
    WHERE q.state = 2
    ORDER BY q.row_id
    FOR UPDATE OF q
),
-- whoever is parked for ever still becomes too old in time: no wait reaches beyond that
settled AS (
    UPDATE steadfast_queue q SET
        state = h.state, token = NULL, reason = h.reason, attempt = q.attempt - h.hands_back::int4,
        due = CASE WHEN h.state < 3 THEN least(now + h.after, q.expires_at) ELSE now END,
        not_sent = q.not_sent + (h.state = 1 AND h.noted AND h.outcome = 'not_sent')::int4,
        refused = q.refused + (h.state = 1 AND h.noted AND h.outcome = 'refused')::int4,
        entries = h.entry, last_parked = CASE WHEN h.noted THEN h.state = 1 ELSE q.last_parked END
    FROM held h, clock
    WHERE q.row_id = h.row_id
    RETURNING h.n, q.queue, h.state < 3 AS waits, h.state < 3 AND h.after <= $14 AS soon
),
noted AS (
    INSERT INTO steadfast_attempt (row_id, entry, attempt, at, duration_ns, outcome, status, error)
    SELECT row_id, entry, tried, now, took, outcome, status, error FROM held, clock WHERE noted
    ON CONFLICT (row_id, entry) DO UPDATE SET
        attempt = excluded.attempt, at = excluded.at, duration_ns = excluded.duration_ns, outcome = excluded.outcome,
        status = excluded.status, error = excluded.error
),
forgotten AS (
    DELETE FROM steadfast_attempt a USING held h WHERE h.noted AND a.row_id = h.row_id AND a.entry <= h.entry - $15
),
-- those who wait elsewhere look again by themselves before anything that is further away
woken AS MATERIALIZED (
    SELECT pg_notify('steadfast_queue', queue) FROM (SELECT DISTINCT queue FROM settled WHERE soon) AS soon
)
SELECT s.n, s.queue, s.waits, w.n AS woken
FROM settled s, (SELECT count(*) AS n FROM woken) w
