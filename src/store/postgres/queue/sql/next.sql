SELECT due - floor(extract(epoch FROM clock_timestamp()) * 1000)::int8
FROM steadfast_queue WHERE queue = $1 AND state < 3 ORDER BY due LIMIT 1
