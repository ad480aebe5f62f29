SELECT uuid_send(q.id) AS id, reason, due, enqueued_at, q.attempt, epoch, topic, destination, headers, body,
    not_sent, refused, history.*
FROM steadfast_queue q
CROSS JOIN LATERAL (
    SELECT array_agg(a.attempt ORDER BY entry) AS attempts, array_agg(at ORDER BY entry) AS ats,
        array_agg(duration_ns ORDER BY entry) AS durations, array_agg(outcome ORDER BY entry) AS outcomes,
        array_agg(status ORDER BY entry) AS statuses, array_agg(error ORDER BY entry) AS errors
    FROM steadfast_attempt a WHERE a.row_id = q.row_id
) history
WHERE queue = $1 AND state = 4 AND id > $2::text::uuid
    AND ($3::text IS NULL OR reason = $3) AND ($4::text IS NULL OR topic = $4)
    AND ($5::text IS NULL OR destination = $5) AND ($6::int8 IS NULL OR due < $6) AND ($7::int8 IS NULL OR due >= $7)
    AND ($8::text[] IS NULL OR id = ANY ($8::text[]::uuid[]))
ORDER BY id LIMIT $9
