-- $1 key, $2 token, $3 lease in ms
WITH found AS MATERIALIZED (
    SELECT state FROM steadfast_idempotency
    WHERE key = $1 AND token = $2 AND (expires_at IS NULL OR expires_at > clock_timestamp())),
-- Not waited for: whoever holds the row keeps everybody else off it as well.
free AS MATERIALIZED (
    SELECT key FROM steadfast_idempotency WHERE key = $1 AND token = $2 AND state = 0 FOR NO KEY UPDATE SKIP LOCKED),
done AS (
    UPDATE steadfast_idempotency r SET lease_until = clock_timestamp() + $3::float8 * interval '1 ms'
    FROM free WHERE r.key = free.key
    RETURNING r.state)
-- 0 done, 1 complete already, 2 lost; no row: held
SELECT 0 AS fenced FROM done
UNION ALL SELECT 1 FROM found WHERE state > 0
UNION ALL SELECT 2 WHERE NOT EXISTS (SELECT FROM found)
