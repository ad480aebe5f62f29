-- $1 key, $2 token, $3 lock_timeout, $4 for how long a begin of the token can be late, in ms
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $3, true)),
found AS MATERIALIZED (
    SELECT state FROM steadfast_idempotency
    WHERE key = $1 AND token = $2 AND (expires_at IS NULL OR expires_at > clock_timestamp())),
done AS (
    DELETE FROM steadfast_idempotency r USING patience WHERE r.key = $1 AND r.token = $2 AND r.state = 0
    RETURNING r.state),
-- Whatever was found: no begin with this token claims the key from now on.
released AS (
    INSERT INTO steadfast_released (token, expires_at)
    SELECT $2, clock_timestamp() + $4::float8 * interval '1 ms' FROM patience
    ON CONFLICT (token) DO NOTHING)
-- 0 done, 1 complete already, 2 lost; no row: it was changed while this began
SELECT 0 AS fenced FROM done
UNION ALL SELECT 1 FROM found WHERE state > 0
UNION ALL SELECT 2 WHERE NOT EXISTS (SELECT FROM found)
