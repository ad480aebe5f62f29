-- Looks at $2 rows that are due, takes $3 of them at most, and buries those that are over.
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
),
due AS MATERIALIZED (
    SELECT row_id, state, attempt, entries, due,
        state = 2 AND attempt >= $4 OR expires_at <= (SELECT now FROM clock) AS ended
    FROM steadfast_queue
    WHERE queue = $1 AND state < 3 AND due <= (SELECT now FROM clock)
    ORDER BY due, row_id LIMIT $2
    FOR UPDATE SKIP LOCKED
),
free AS MATERIALIZED (
    SELECT row_id, due FROM due WHERE NOT ended ORDER BY due, row_id LIMIT $3
),
lapsed AS MATERIALIZED (
    SELECT row_id, attempt, entries + 1 AS entry FROM due
    WHERE state = 2 AND (ended OR row_id IN (SELECT row_id FROM free))
),
noted AS (
    INSERT INTO steadfast_attempt (row_id, entry, attempt, at, duration_ns, outcome, error)
    SELECT row_id, entry, attempt, now, 0, 'crashed', 'its lease lapsed' FROM lapsed, clock
),
forgotten AS (
    DELETE FROM steadfast_attempt a USING lapsed l WHERE a.row_id = l.row_id AND a.entry <= l.entry - $6
),
buried AS (
    UPDATE steadfast_queue SET
        state = 4, due = (SELECT now FROM clock), token = NULL,
        reason = CASE WHEN state = 2 AND attempt >= $4 THEN 'crashed' ELSE 'expired' END,
        entries = entries + (state = 2)::int4, last_parked = last_parked AND state <> 2
    WHERE row_id = ANY (ARRAY(SELECT row_id FROM due WHERE ended))
),
-- by an array and not by a join: whatever the planner thinks of how many there are, it looks each of them up
taken AS (
    UPDATE steadfast_queue SET
        state = 2, due = (SELECT now FROM clock) + $5, attempt = attempt + 1, token = uuid_send(gen_random_uuid()),
        entries = entries + (state = 2)::int4, last_parked = last_parked AND state <> 2
    WHERE row_id = ANY (ARRAY(SELECT row_id FROM free))
    RETURNING row_id, id, token, attempt, epoch, enqueued_at, topic, destination, headers, body, not_sent, refused
)
SELECT s.seen, s.ended, t.row_id, uuid_send(t.id) AS id, t.token, t.attempt, t.epoch,
    t.enqueued_at, t.topic, t.destination, t.headers, t.body, t.not_sent, t.refused
FROM (SELECT count(*) AS seen, count(*) FILTER (WHERE ended) AS ended FROM due) s
LEFT JOIN (taken t JOIN free f USING (row_id)) ON true
ORDER BY f.due, t.row_id
