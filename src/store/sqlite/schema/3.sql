CREATE INDEX steadfast_dedupe_id ON steadfast_dedupe(queue, id); -- a purge forgets the keys of its messages
