WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
),
held AS MATERIALIZED (
    SELECT row_id, attempt, entries + 1 AS entry FROM steadfast_queue
    WHERE queue = $1 AND state = 4 AND id = ANY ($2::text[]::uuid[])
    ORDER BY row_id
    FOR UPDATE
),
redriven AS (
    UPDATE steadfast_queue SET
        state = 0, due = now, expires_at = now + max_age, attempt = 0, not_sent = 0, refused = 0,
        epoch = epoch + (reason = ANY ($4::text[]))::int4,
        reason = NULL, entries = entries + 1, last_parked = false
    FROM clock
    WHERE row_id = ANY (ARRAY(SELECT row_id FROM held))
    RETURNING 1
),
noted AS (
    INSERT INTO steadfast_attempt (row_id, entry, attempt, at, duration_ns, outcome, error)
    SELECT row_id, entry, attempt, now, 0, 'redriven', $3 FROM held, clock
),
forgotten AS (
    DELETE FROM steadfast_attempt a USING held h WHERE a.row_id = h.row_id AND a.entry <= h.entry - $5
),
woken AS MATERIALIZED (
    SELECT pg_notify('steadfast_queue', $1) FROM redriven LIMIT 1
)
SELECT (SELECT count(*) FROM redriven) AS redriven, (SELECT count(*) FROM woken) AS woken
