//! Reading the market at one finalised block.

use super::{
    client::{runtime_changed, within, AtBlock},
    metadata::runtime,
};
use crate::{
    journal::Head,
    market::{AccountId, MarketError, MarketResult, View},
};
use async_trait::async_trait;
use codec::{Decode, DecodeAll};
use genesisflow_primitives::{
    views::{
        AuditView, ClaimView, Content, JobSummary, JobView, ModelView, OfferView, ParametersView,
        PoolMemberView, ResultView, SeatView, WorkerView,
    },
    Balance, BlockNumber, JobId, ModelId, MAX_PAGE, MAX_SEATS_PAGE,
};
use std::time::Duration;
use subxt::runtime_apis::Payload;

/// Pages of open jobs that are read at most: what is beyond is not reached in
/// one block anyway.
const MOST_PAGES: usize = 16;

/// The market's state at one block.
#[derive(Clone)]
pub struct ChainView {
    at: AtBlock,
    account: AccountId,
    signer: AccountId,
}

impl ChainView {
    /// The state at `at`, towards `account`.
    pub fn new(at: AtBlock, account: AccountId) -> Self {
        Self {
            at,
            account,
            signer: account,
        }
    }

    /// The same for an account that another one signs for.
    pub fn signed_by(self, signer: AccountId) -> Self {
        Self { signer, ..self }
    }

    /// The block, as subxt hands it out.
    pub fn at(&self) -> &AtBlock {
        &self.at
    }

    /// A registered model.
    pub async fn model(&self, model: ModelId) -> MarketResult<Option<ModelView<AccountId>>> {
        self.read(api().model(model)).await
    }

    /// A model's manifest, as it was registered.
    pub async fn manifest(&self, model: ModelId) -> MarketResult<Option<Vec<u8>>> {
        let manifest: Option<Content> = self.read(api().manifest(model)).await?;
        Ok(manifest.map(|content| content.bytes))
    }

    /// The audit pool that jobs on a model refer to if they are submitted now.
    pub async fn audit_pool(&self, model: ModelId) -> MarketResult<Vec<PoolMemberView<AccountId>>> {
        self.read(api().audit_pool(model)).await
    }

    /// The market's parameters.
    pub async fn parameters(&self) -> MarketResult<ParametersView> {
        self.read(api().parameters()).await
    }

    /// When the block was made, as its author says: time since 1970.
    pub async fn timestamp(&self) -> MarketResult<Duration> {
        let entry = self
            .at
            .storage()
            .entry(runtime::storage().timestamp().now())
            .map_err(|error| MarketError::Fatal(runtime_changed(error)))?;
        let value = within(entry.fetch(()))
            .await
            .map_err(MarketError::Unavailable)?
            .map_err(|error| MarketError::Unavailable(error.to_string()))?;
        let millis = value
            .decode()
            .map_err(|error| MarketError::Fatal(runtime_changed(error)))?;
        Ok(Duration::from_millis(millis))
    }

    /// Calls a runtime API whose shape is checked against the chain's metadata
    /// and whose answer is read with the types that the runtime itself uses.
    async fn read<P: Payload, R: Decode>(&self, payload: P) -> MarketResult<R> {
        let apis = self.at.runtime_apis();
        apis.validate(&payload)?;
        let name = apis.encode_name(&payload);
        let arguments = apis.encode_args(&payload)?;
        let bytes = within(apis.call_raw(&name, Some(&arguments)))
            .await
            .map_err(MarketError::Unavailable)??;
        R::decode_all(&mut &bytes[..])
            .map_err(|error| MarketError::Fatal(runtime_changed(format!("{name}: {error}"))))
    }
}

fn api() -> runtime::runtime_apis::inference_api::InferenceApi {
    runtime::runtime_apis().inference_api()
}

#[async_trait]
impl View for ChainView {
    fn head(&self) -> Head {
        Head {
            // Block numbers of this chain are 32 bits wide.
            number: BlockNumber::try_from(self.at.block_number()).unwrap_or(BlockNumber::MAX),
            hash: self.at.block_hash().0,
        }
    }

    async fn nonce(&self) -> MarketResult<u64> {
        let transactions = self.at.transactions();
        let account = self.signer.into();
        Ok(within(transactions.account_nonce(&account))
            .await
            .map_err(MarketError::Unavailable)??)
    }

    async fn next_job(&self) -> MarketResult<JobId> {
        let entry = self
            .at
            .storage()
            .entry(runtime::storage().inference().next_job_id())
            .map_err(|error| MarketError::Fatal(runtime_changed(error)))?;
        // Absent before the first job.
        let value = within(entry.try_fetch(()))
            .await
            .map_err(MarketError::Unavailable)?
            .map_err(|error| MarketError::Unavailable(error.to_string()))?;
        value.map_or(Ok(0), |value| {
            value
                .decode()
                .map_err(|error| MarketError::Fatal(runtime_changed(error)))
        })
    }

    async fn job(&self, job: JobId) -> MarketResult<Option<JobView<AccountId>>> {
        self.read(api().job(job)).await
    }

    async fn job_input(&self, job: JobId) -> MarketResult<Option<Vec<u8>>> {
        let input: Option<Content> = self.read(api().job_input(job)).await?;
        Ok(input.map(|content| content.bytes))
    }

    async fn open_jobs(&self, model: ModelId) -> MarketResult<Vec<JobSummary<AccountId>>> {
        let mut jobs: Vec<JobSummary<AccountId>> = Vec::new();
        for _ in 0..MOST_PAGES {
            let after = jobs.last().map(|job| job.id);
            let page: Vec<_> = self.read(api().open_jobs(model, after, MAX_PAGE)).await?;
            let is_last = page.len() < MAX_PAGE as usize;
            jobs.extend(page);
            if is_last {
                break;
            }
        }
        Ok(jobs)
    }

    async fn claims(&self) -> MarketResult<Vec<ClaimView>> {
        self.read(api().jobs_of_worker(self.account.into())).await
    }

    async fn worker(&self) -> MarketResult<Option<WorkerView>> {
        self.read(api().worker(self.account.into())).await
    }

    async fn offer(&self, model: ModelId) -> MarketResult<Option<OfferView<AccountId>>> {
        let mut after: Option<AccountId> = None;
        loop {
            let page: Vec<OfferView<AccountId>> = self
                .read(api().offers(model, after.map(Into::into), MAX_PAGE))
                .await?;
            let is_last = page.len() < MAX_PAGE as usize;
            after = page.last().map(|offer| offer.worker);
            let own = page.into_iter().find(|offer| offer.worker == self.account);
            if own.is_some() || is_last {
                return Ok(own);
            }
        }
    }

    async fn seats(&self) -> MarketResult<Vec<SeatView<AccountId>>> {
        let mut seats: Vec<SeatView<AccountId>> = Vec::new();
        for _ in 0..MOST_PAGES {
            let after = seats.last().map(|seat| seat.job);
            let account = self.account.into();
            let page: Vec<_> = self
                .read(api().seats(account, after, MAX_SEATS_PAGE))
                .await?;
            // A page may hold fewer seats than it looked at.
            if page.is_empty() {
                break;
            }
            seats.extend(page);
        }
        Ok(seats)
    }

    async fn audit(&self, job: JobId) -> MarketResult<Option<AuditView<AccountId>>> {
        self.read(api().audit(job)).await
    }

    async fn result(&self, job: JobId) -> MarketResult<Option<ResultView<AccountId>>> {
        self.read(api().result(job)).await
    }

    async fn free_balance(&self) -> MarketResult<Balance> {
        self.balance(self.account).await
    }
}

impl ChainView {
    /// What the account that signs has for transaction fees.
    pub async fn signer_balance(&self) -> MarketResult<Balance> {
        self.balance(self.signer).await
    }

    async fn balance(&self, account: AccountId) -> MarketResult<Balance> {
        let entry = self
            .at
            .storage()
            .entry(runtime::storage().system().account())
            .map_err(|error| MarketError::Fatal(runtime_changed(error)))?;
        let account = within(entry.try_fetch((account.into(),)))
            .await
            .map_err(MarketError::Unavailable)?
            .map_err(|error| MarketError::Unavailable(error.to_string()))?;
        let Some(account) = account else {
            return Ok(0);
        };
        let data = account
            .decode()
            .map_err(|error| MarketError::Fatal(runtime_changed(error)))?
            .data;
        Ok(data.free.saturating_sub(data.frozen))
    }
}
