-- $1 key, $2 token, $3 lock_timeout
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $3, true)),
-- The lock is what waits for an open transaction; what is read then is what that one left.
found AS MATERIALIZED (
    SELECT r.state FROM steadfast_idempotency r, patience
    WHERE r.key = $1 AND r.token = $2 AND (r.expires_at IS NULL OR r.expires_at > clock_timestamp())
    FOR SHARE OF r)
-- 0 running, 1 complete, 2 lost
SELECT coalesce((SELECT least(state, 1) FROM found), 2)::int4 AS fenced
