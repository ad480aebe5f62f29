-- Each part from an index that is no wider than what it counts.
WITH clock AS MATERIALIZED (
    SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
)
SELECT state::int4, due <= (SELECT now FROM clock) AS is_due, count(*) AS n
    FROM steadfast_queue WHERE queue = $1 AND state < 3 GROUP BY 1, 2
UNION ALL SELECT 3, true, count(*) FROM steadfast_queue WHERE queue = $1 AND state = 3
UNION ALL SELECT 4, true, count(*) FROM steadfast_queue WHERE queue = $1 AND state = 4
