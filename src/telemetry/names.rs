//! Metric names. The module docs of each pattern say what each one means and which labels it has.

/// Counter, label `result`: calls through a retry layer that came to an end.
pub const RETRY_CALLS: &str = "steadfast_retry_calls_total";
/// Counter, label `reason` (an outcome): attempts after the first.
pub const RETRY_RETRIES: &str = "steadfast_retry_retries_total";
/// Counter, label `reason`: calls that were not repeated although they failed.
pub const RETRY_GIVEN_UP: &str = "steadfast_retry_given_up_total";
/// Histogram, seconds: waits before a retry.
pub const RETRY_DELAY: &str = "steadfast_retry_delay_seconds";
/// Histogram: attempts a call took.
pub const RETRY_ATTEMPTS: &str = "steadfast_retry_attempts";

/// Counter, label `result`: second attempts of a hedge layer.
pub const HEDGE_ATTEMPTS: &str = "steadfast_hedge_attempts_total";
/// Counter, label `reason`: second attempts that were due and not made.
pub const HEDGE_WITHHELD: &str = "steadfast_hedge_withheld_total";

/// Gauge, label `state`: exactly one of a circuit's states is at 1.
pub const CIRCUIT_STATE: &str = "steadfast_circuit_state";
/// Counter, label `outcome`: calls that a circuit let through.
pub const CIRCUIT_CALLS: &str = "steadfast_circuit_calls_total";
/// Counter, label `state`: calls that a circuit refused.
pub const CIRCUIT_REFUSED: &str = "steadfast_circuit_refused_total";
/// Counter, label `reason`: changes of state.
pub const CIRCUIT_TRANSITIONS: &str = "steadfast_circuit_transitions_total";

/// Counter, label `result`: keyed requests, by what came of them.
pub const IDEMPOTENCY_REQUESTS: &str = "steadfast_idempotency_requests_total";
/// Counter, label `reason`: keyed requests that the layer answered with a problem of its own.
pub const IDEMPOTENCY_REFUSALS: &str = "steadfast_idempotency_refusals_total";
/// Counter, label `reason`: keyed requests that ran without a claim.
pub const IDEMPOTENCY_FAILED_OPEN: &str = "steadfast_idempotency_failed_open_total";
/// Histogram, seconds: how long the store took to begin.
pub const IDEMPOTENCY_BEGIN: &str = "steadfast_idempotency_begin_seconds";
/// Histogram, seconds: how long the store took to complete.
pub const IDEMPOTENCY_COMPLETE: &str = "steadfast_idempotency_complete_seconds";
/// Gauge, label `state`: handlers that run at this moment.
pub const IDEMPOTENCY_RUNNING: &str = "steadfast_idempotency_running";

/// Counter, label `result`: messages offered to a queue.
pub const QUEUE_ENQUEUED: &str = "steadfast_queue_enqueued_total";
/// Counter, label `outcome`: attempts of a worker.
pub const QUEUE_ATTEMPTS: &str = "steadfast_queue_attempts_total";
/// Counter, label `reason`: messages that ended as dead letters.
pub const QUEUE_DEAD: &str = "steadfast_queue_dead_total";
/// Histogram, seconds: how long an attempt of a worker took.
pub const QUEUE_ATTEMPT_SECONDS: &str = "steadfast_queue_attempt_seconds";

/// Counter, label `result`: deliveries that a webhook layer saw.
pub const WEBHOOK_DELIVERIES: &str = "steadfast_webhook_deliveries_total";

/// Histogram, seconds: how long a group commit of a store took, the fsync included.
pub const STORE_COMMIT: &str = "steadfast_store_commit_seconds";
/// Histogram: jobs that shared a group commit of a store.
pub const STORE_GROUP: &str = "steadfast_store_group_jobs";
