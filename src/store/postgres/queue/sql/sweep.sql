-- What another sweep is at is left to it.
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
),
done AS MATERIALIZED (
    SELECT row_id FROM steadfast_queue
    WHERE queue = $1 AND state = 3 AND due < (SELECT now FROM clock) - $2
    ORDER BY due LIMIT $3
    FOR UPDATE SKIP LOCKED
),
ended AS MATERIALIZED (
    SELECT key FROM steadfast_dedupe
    WHERE queue = $1 AND expires_at <= (SELECT now FROM clock)
    ORDER BY expires_at LIMIT $3
    FOR UPDATE SKIP LOCKED
),
swept AS (
    DELETE FROM steadfast_queue WHERE row_id = ANY (ARRAY(SELECT row_id FROM done)) RETURNING 1
),
forgotten AS (
    DELETE FROM steadfast_attempt WHERE row_id = ANY (ARRAY(SELECT row_id FROM done))
),
freed AS (
    DELETE FROM steadfast_dedupe WHERE queue = $1 AND key = ANY (ARRAY(SELECT key FROM ended)) RETURNING 1
)
SELECT (SELECT count(*) FROM swept) + (SELECT count(*) FROM freed) AS swept
