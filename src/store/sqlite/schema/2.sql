ALTER TABLE steadfast_queue ADD COLUMN not_sent INTEGER NOT NULL DEFAULT 0; -- deliveries that were never sent
ALTER TABLE steadfast_queue ADD COLUMN refused  INTEGER NOT NULL DEFAULT 0; -- refusals before the message was sent
