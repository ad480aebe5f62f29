ALTER TABLE steadfast_queue
    ADD COLUMN not_sent integer NOT NULL DEFAULT 0, -- deliveries that were never sent
    ADD COLUMN refused  integer NOT NULL DEFAULT 0; -- refusals before the message was sent
