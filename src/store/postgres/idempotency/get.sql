SELECT state, response FROM steadfast_idempotency WHERE key = $1 AND state > 0 AND expires_at > clock_timestamp()
