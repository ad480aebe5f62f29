CREATE TABLE steadfast_idempotency (
    key         bytea PRIMARY KEY,         -- SHA-256 of scope and key
    fp_version  smallint NOT NULL,
    fp          bytea NOT NULL,
    token       bytea NOT NULL,
    attempt     bigint NOT NULL,
    state       smallint NOT NULL,         -- 0 running, 1 response, 2 response not retained
    lease_until timestamptz NOT NULL,
    expires_at  timestamptz,               -- from the completion on
    response    bytea
);
CREATE INDEX steadfast_idempotency_expires ON steadfast_idempotency (expires_at) WHERE expires_at IS NOT NULL;
