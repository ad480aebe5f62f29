-- $1 at most so many. statement_timestamp(), which stands still, so that the index ends the search.
WITH expired AS MATERIALIZED (
    SELECT key FROM steadfast_idempotency WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED),
forgotten AS MATERIALIZED (
    SELECT token FROM steadfast_released WHERE expires_at <= statement_timestamp()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED),
released AS (DELETE FROM steadfast_released r USING forgotten WHERE r.token = forgotten.token)
DELETE FROM steadfast_idempotency r USING expired WHERE r.key = expired.key
