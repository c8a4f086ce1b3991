//! Takes results back from the chain that a lost journal knew.
//!
//! Stake answers for a result until it is final, so a new journal must learn of
//! every one that is not: it is watched from then on, and defended if auditors
//! find it wrong. The chain lists what an account has claimed, but not what it
//! has delivered; the jobs are looked through from the newest back until they
//! account for all of the stake that is reserved. That may be thousands, so
//! only some are looked at between two looks at the audits, which do not wait.

use super::AuditLoop;
use crate::{
    executor::Executor,
    job_loop::Worker,
    journal::{Case, Role},
    market::{AccountId, Market, MarketResult, View},
};
use futures::future::try_join_all;
use genesisflow_primitives::{views::JobView, Balance, JobId, JobStatus};

/// Jobs back from the newest that are looked through at most.
const LOOKED_BACK: JobId = 20_000;
/// Jobs looked at between two looks at the audits.
const AT_ONCE: JobId = 256;
/// Questions to the node that are under way at the same time.
const TOGETHER: JobId = 16;

/// How far the search has come.
#[derive(Debug)]
pub(super) struct Search {
    /// The jobs before this one are to be looked at, down to `first`.
    end: JobId,
    first: JobId,
    /// Reserved stake that no job found so far accounts for.
    unexplained: Balance,
    /// Claimed jobs that the journal does not know: their delivery may be on
    /// its way since before the loss.
    claimed: Vec<JobId>,
    /// Results taken back.
    found: u32,
}

impl Search {
    /// A search back from job `end`, for an account with so much stake reserved.
    fn new(end: JobId, reserved: Balance) -> Self {
        Self {
            end,
            first: end.saturating_sub(LOOKED_BACK),
            unexplained: reserved,
            claimed: Vec::new(),
            found: 0,
        }
    }

    /// Whether jobs further back are of no interest.
    fn is_through(&self) -> bool {
        self.unexplained == 0 || self.end <= self.first
    }

    /// Takes note that the chain has reserved stake for `job`.
    fn explain(&mut self, job: &JobView<AccountId>) {
        let worst_case = job.worst_case_fee.unwrap_or_default();
        let exposure = worst_case.saturating_mul(job.terms.exposure_factor.into());
        self.unexplained = self.unexplained.saturating_sub(exposure);
    }
}

/// What a job has to do with a worker.
enum Found {
    /// Nothing that is not over.
    Nothing,
    /// It has claimed it.
    Claimed,
    /// It has delivered it, and the result is not final.
    Delivered,
}

impl Found {
    fn of(job: &JobView<AccountId>, account: AccountId) -> Self {
        if job.worker != Some(account) {
            return Self::Nothing;
        }
        match job.status {
            JobStatus::Claimed => Self::Claimed,
            JobStatus::Delivered
            | JobStatus::Audit
            | JobStatus::Review
            | JobStatus::Decided
            | JobStatus::Slashing => Self::Delivered,
            JobStatus::Open
            | JobStatus::Settled
            | JobStatus::Rejected
            | JobStatus::Cancelled
            | JobStatus::Expired => Self::Nothing,
        }
    }
}

impl<M: Market, E: Executor> AuditLoop<M, E> {
    /// Looks at the chain, and then goes on taking results back into a journal
    /// that was begun after them.
    pub(super) async fn look_with(&mut self, is_complete: &mut bool) -> MarketResult<()> {
        self.look().await?;
        if !*is_complete && self.adopt().await? {
            self.worker.journal.set_complete()?;
            *is_complete = true;
        }
        Ok(())
    }

    /// Goes on with the search.
    ///
    /// # Returns
    /// Whether it is over.
    async fn adopt(&mut self) -> MarketResult<bool> {
        let view = self.worker.market.finalized().await?;
        let mut search = match self.search.take() {
            Some(search) => search,
            None => {
                let reserved = view.worker().await?.map_or(0, |worker| worker.exposure);
                if reserved == 0 {
                    return Ok(true);
                }
                Search::new(view.next_job().await?, reserved)
            }
        };
        let gone_on = self.go_on(&view, &mut search).await;
        let over = matches!(gone_on, Ok(())) && search.is_through() && search.claimed.is_empty();
        if over {
            let found = search.found;
            tracing::info!("the journal is new: {found} result(s) delivered before are watched");
        }
        // A question that was not answered is asked again.
        self.search = Some(search);
        gone_on.map(|()| over)
    }

    async fn go_on(&mut self, view: &M::View, search: &mut Search) -> MarketResult<()> {
        for id in std::mem::take(&mut search.claimed) {
            let job = match self.worker.journal.get(id)? {
                // The job loop has it: it opens the case when it is delivered.
                Some(_) => None,
                None => view.job(id).await?,
            };
            if let Some(job) = job {
                self.take_back(search, &job)?;
            }
        }
        let stop = search.end.saturating_sub(AT_ONCE).max(search.first);
        while search.end > stop && !search.is_through() {
            let next = search.end.saturating_sub(TOGETHER).max(stop);
            let jobs = try_join_all((next..search.end).map(|id| view.job(id))).await?;
            for job in jobs.into_iter().flatten() {
                if self.is_unknown(&job)? {
                    search.explain(&job);
                    self.take_back(search, &job)?;
                }
            }
            search.end = next;
        }
        Ok(())
    }

    /// Whether a job is this account's and the journal does not know it.
    fn is_unknown(&self, job: &JobView<AccountId>) -> MarketResult<bool> {
        let Worker {
            market, journal, ..
        } = &*self.worker;
        Ok(!matches!(Found::of(job, market.account()), Found::Nothing)
            && journal.case(job.id)?.is_none()
            && journal.get(job.id)?.is_none())
    }

    /// Opens a case for a result, or remembers a claim until it is one.
    fn take_back(&mut self, search: &mut Search, job: &JobView<AccountId>) -> MarketResult<()> {
        match Found::of(job, self.worker.market.account()) {
            Found::Nothing => {}
            Found::Claimed => search.claimed.push(job.id),
            Found::Delivered => {
                self.worker
                    .journal
                    .put_case(job.id, &Case::new(job.model.0, Role::Author))?;
                self.cases.insert(job.id, 0);
                search.found += 1;
                tracing::info!(
                    job = job.id,
                    "a result delivered before: it is watched from now on"
                );
            }
        }
        Ok(())
    }
}
