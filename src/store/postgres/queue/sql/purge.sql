WITH held AS MATERIALIZED (
    SELECT row_id FROM steadfast_queue
    WHERE queue = $1 AND state = 4 AND id = ANY ($2::text[]::uuid[])
    ORDER BY row_id
    FOR UPDATE
),
purged AS (
    DELETE FROM steadfast_queue WHERE row_id = ANY (ARRAY(SELECT row_id FROM held)) RETURNING 1
),
forgotten AS (
    DELETE FROM steadfast_attempt WHERE row_id = ANY (ARRAY(SELECT row_id FROM held))
)
SELECT count(*) AS purged FROM purged
