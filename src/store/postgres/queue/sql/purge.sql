WITH held AS MATERIALIZED (
    SELECT row_id, id FROM steadfast_queue
    WHERE queue = $1 AND state = 4 AND id = ANY ($2::text[]::uuid[])
    ORDER BY row_id
    FOR UPDATE
),
-- in the order in which those who enqueue take keys, so that neither waits for the other in a circle
keys AS MATERIALIZED (
    SELECT key FROM steadfast_dedupe
    WHERE queue = $1 AND id = ANY (ARRAY(SELECT id FROM held))
    ORDER BY key
    FOR UPDATE
),
purged AS (
    DELETE FROM steadfast_queue WHERE row_id = ANY (ARRAY(SELECT row_id FROM held)) RETURNING 1
),
forgotten AS (
    DELETE FROM steadfast_attempt WHERE row_id = ANY (ARRAY(SELECT row_id FROM held))
),
freed AS (
    DELETE FROM steadfast_dedupe WHERE queue = $1 AND key = ANY (ARRAY(SELECT key FROM keys))
)
SELECT count(*) AS purged FROM purged
