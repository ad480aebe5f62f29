WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', $5, true)),
held AS MATERIALIZED (
    SELECT q.row_id, w.n
    FROM patience, steadfast_queue q
    JOIN unnest($1::int8[], $2::int4[], $3::bytea[]) WITH ORDINALITY AS w(row_id, attempt, token, n)
        ON q.row_id = w.row_id AND q.attempt = w.attempt AND q.token = w.token
    WHERE q.state = 2
    ORDER BY q.row_id
    FOR UPDATE OF q
),
extended AS (
    UPDATE steadfast_queue SET due = (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8) + $4
    WHERE row_id = ANY (ARRAY(SELECT row_id FROM held))
)
SELECT n FROM held
