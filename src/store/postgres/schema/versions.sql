CREATE TABLE steadfast_schema (
    part    text PRIMARY KEY,
    version integer NOT NULL
);
