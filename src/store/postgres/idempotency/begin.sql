-- $1 key, $2 fp_version, $3 fp, $4 token, $5 lease in ms, $6 token to take over from or NULL, $7 lock_timeout
-- clock_timestamp() and not now(): the moment itself.
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $7, true)),
-- Lapsed, and no open transaction has completed it: only then is it unknown what became of it.
lapsed AS MATERIALIZED (
    SELECT FROM steadfast_idempotency
    WHERE key = $1 AND state = 0 AND lease_until <= clock_timestamp() AND token <> $4 AND token IS DISTINCT FROM $6
    FOR SHARE SKIP LOCKED),
-- The same, named by who asks: its to take.
taken AS MATERIALIZED (
    SELECT FROM steadfast_idempotency
    WHERE key = $1 AND state = 0 AND lease_until <= clock_timestamp() AND token = $6 AND (fp = $3 OR fp_version <> $2)
    FOR NO KEY UPDATE SKIP LOCKED),
-- What is there. A claim that holds, or a record, ends it here: nothing was locked, nothing waited for.
found AS MATERIALIZED (
    SELECT * FROM steadfast_idempotency WHERE key = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())),
-- Given up by who sent it, and late.
released AS MATERIALIZED (SELECT FROM steadfast_released WHERE token = $4),
acquired AS (
    INSERT INTO steadfast_idempotency AS r (key, fp_version, fp, token, attempt, state, lease_until)
    SELECT $1, $2, $3, $4, 1, 0, clock_timestamp() + $5::float8 * interval '1 ms' FROM patience
    WHERE (NOT EXISTS (SELECT FROM found) OR EXISTS (SELECT FROM taken)) AND NOT EXISTS (SELECT FROM released)
    ON CONFLICT (key) DO UPDATE SET
        fp_version = excluded.fp_version, fp = excluded.fp, token = excluded.token, lease_until = excluded.lease_until,
        attempt = CASE WHEN r.state = 0 THEN r.attempt + 1 ELSE 1 END, state = 0, response = NULL, expires_at = NULL
    WHERE r.state = 0 AND r.token = $6 AND r.lease_until <= clock_timestamp() OR r.expires_at <= clock_timestamp()
    RETURNING attempt)
-- 0 acquired, 1 response, 2 not retained, 3 in flight, 4 lapsed, 5 another request, 6 released before
SELECT 0 AS kind, attempt, NULL::bytea AS token, 0::int8 AS left_ms, NULL::bytea AS response FROM acquired
UNION ALL
SELECT kind, attempt, token, greatest(0, ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000))::int8,
    CASE kind WHEN 1 THEN response END
FROM found, LATERAL (SELECT CASE
    WHEN fp <> $3 AND fp_version = $2 THEN 5
    WHEN state > 0 THEN state
    WHEN token = $4 THEN 0
    WHEN EXISTS (SELECT FROM lapsed) THEN 4
    ELSE 3 END) AS of(kind)
WHERE NOT EXISTS (SELECT FROM acquired)
UNION ALL
SELECT 6, 0, NULL, 0, NULL FROM released WHERE NOT EXISTS (SELECT FROM found)
