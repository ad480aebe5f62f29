-- Holds keys until the end of the transaction, so that several can be looked at before any is taken. One that was not there
-- before is left as one whose window is over.
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', coalesce($4, current_setting('lock_timeout')), true)
),
held AS (
    INSERT INTO steadfast_dedupe AS d (queue, key, id, expires_at)
    SELECT $1, key, $2::text::uuid, 0 FROM patience, unnest($3::bytea[]) AS k(key) ORDER BY key
    ON CONFLICT (queue, key) DO UPDATE SET id = d.id
    RETURNING key, id, expires_at
)
SELECT key, uuid_send(id) AS id FROM held
WHERE expires_at > (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8)
