-- Tokens of claims that were released: a begin of one of them is late, and claims nothing.
CREATE TABLE steadfast_released (
    token      bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX steadfast_released_expires ON steadfast_released (expires_at);
