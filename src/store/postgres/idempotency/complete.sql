-- $1 key, $2 token, $3 state, $4 response, $5 keep in ms, $6 lock_timeout
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $6, true)),
found AS MATERIALIZED (
    SELECT state FROM steadfast_idempotency
    WHERE key = $1 AND token = $2 AND (expires_at IS NULL OR expires_at > clock_timestamp())),
done AS (
    UPDATE steadfast_idempotency r
    SET state = $3, response = $4, expires_at = clock_timestamp() + $5::float8 * interval '1 ms'
    FROM patience WHERE r.key = $1 AND r.token = $2 AND r.state = 0
    RETURNING r.state)
-- 0 done, 1 complete already, 2 lost; no row: it was changed while this began
SELECT 0 AS fenced FROM done
UNION ALL SELECT 1 FROM found WHERE state > 0
UNION ALL SELECT 2 WHERE NOT EXISTS (SELECT FROM found)
