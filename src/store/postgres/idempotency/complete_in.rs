use super::{columns, millis, of};
use crate::{
    error::StoreError,
    idempotency::{Claim, StoredResponse},
    store::postgres::{PostgresStore, session::Session},
};
use sqlx::{Postgres, Row, Transaction};

const COMPLETE: &str = "UPDATE steadfast_idempotency
    SET state = $3, response = $4, expires_at = clock_timestamp() + $5::float8 * interval '1 ms'
    WHERE key = $1 AND token = $2 AND state = 0";

const STATE: &str = "SELECT state FROM steadfast_idempotency WHERE key = $1 AND token = $2";

impl PostgresStore {
    /// Records what the claimed request came to, in the user's transaction: the record is there exactly if everything else that
    /// it writes is. Kept for as long as the claim says; headers that are not for a second reader go. Of a claim that
    /// [is open](Claim::is_open) nothing is recorded.
    ///
    /// Call it last, right before `commit`. From here on until the transaction ends the record is locked: nobody takes the claim
    /// over, even if its lease lapses meanwhile, and the answer of the layer waits.
    ///
    /// `&mut Transaction`, and not any executor: on a pool or a connection by itself the record would be there whatever becomes
    /// of the business.
    ///
    /// In a transaction that is `repeatable read` or `serializable` it can fail because the lease was renewed since the
    /// transaction began; like every such failure that asks for the transaction to be repeated from its begin, with the same
    /// claim. A savepoint that is rolled back takes the record with it.
    ///
    /// # Errors
    /// When the claim is another store's, was lost to a later attempt, or is complete already; when the answer cannot be sealed;
    /// or the statement failed. Passed
    /// on with `?`, it drops the transaction, which rolls it back. A transaction of another database fails, because there is no
    /// such claim in it.
    pub async fn complete_in(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        claim: &Claim,
        response: &StoredResponse,
    ) -> Result<(), StoreError> {
        if claim.store() != self.id {
            return Err(StoreError::new("the claim belongs to another store"));
        }
        if claim.is_open() {
            return Ok(());
        }
        // before anything can fail: from here on the layer asks what became of the record, and believes no status
        claim.mark_in_transaction();
        let (state, response) = columns(&claim.recorded(response)?);
        let fence = claim.fence();
        let mut session = Session::new(tx, self.connections.prepares);
        let complete = of(COMPLETE, &fence).bind(state).bind(response).bind(millis(claim.keep()));
        if session.execute(complete).await? == 1 {
            return Ok(());
        }
        let state = session.optional(of(STATE, &fence)).await?;
        match state.map(|row| row.try_get::<i16, _>(0)).transpose()? {
            Some(_) => Err(StoreError::new("the claim is complete already")),
            None => Err(StoreError::new("the claim was lost to a later attempt")),
        }
    }
}
