//! Transitions that deadlines make.
//!
//! Each one is computed from the deadline that has passed, not from the block in which somebody
//! noticed. So it does not matter when a job is moved on, or in how many steps.

use super::{job_key, Claim, JobState, OpenedJob};
use crate::{Config, Error, Event, HoldReason, OpenJobs, Pallet};
use frame_support::{ensure, traits::Get};
use genesisflow_primitives::{pricing, Balance, BlockNumber, JobId};
use sp_runtime::{DispatchError, DispatchResult, Permill};

/// Whether a job's record is still needed.
enum Kept {
    Kept,
    Dropped,
}

/// What kind of work the agenda has with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due yet: its entry moves to where it will be.
    Relist,
    /// Nobody claimed the job in time.
    Expire,
    /// Nobody delivered it in time.
    Late,
    /// Its result is paid.
    Settle,
    /// Its record is dropped.
    Drop,
    /// A draw, or the end of a phase: the pool and up to seven accounts.
    Round,
    /// The end of an audit or of a slash delay: every seat of every round.
    Outcome,
}

impl Step {
    /// Whether it touches only the job's own record and one or two accounts.
    pub(crate) fn is_plain(self) -> bool {
        match self {
            Self::Relist | Self::Expire | Self::Late | Self::Settle | Self::Drop => true,
            Self::Round | Self::Outcome => false,
        }
    }
}

impl<AccountId> JobState<AccountId> {
    /// What the transition at the state's deadline takes.
    pub(crate) fn next_step(&self) -> Step {
        match self {
            Self::Delivered { .. } | Self::Audit { .. } => Step::Round,
            Self::Decided { .. } | Self::Slashing { .. } => Step::Outcome,
            Self::Open { .. } => Step::Expire,
            Self::Claimed(_) => Step::Late,
            Self::Review { .. } => Step::Settle,
            Self::Settled { .. }
            | Self::Rejected { .. }
            | Self::Cancelled { .. }
            | Self::Expired { .. } => Step::Drop,
        }
    }
}

impl<T: Config> Pallet<T> {
    /// `progress_job`: one step of any kind, and the plain ones that follow from it. If more is
    /// overdue, the job is still in the agenda.
    pub(crate) fn do_progress(id: JobId) -> DispatchResult {
        Self::make_steps(id, |next| next.is_plain())?;
        Ok(())
    }

    /// One entry of the agenda: one step. If more is overdue, another entry follows. Returns whether
    /// a model or a pool went with the job.
    pub(crate) fn do_step(id: JobId) -> Result<bool, DispatchError> {
        Self::make_steps(id, |_| false)
    }

    /// Moves a job's entry in the agenda to where it is due by now.
    pub(crate) fn relist(id: JobId) -> DispatchResult {
        let opened = Self::open(id)?;
        if !opened.is_misplaced(Self::now()) {
            return Err(Self::corrupted(
                "the agenda has an entry that its job does not know",
            ));
        }
        Self::save(opened);
        Ok(())
    }

    /// Makes a step, and those that follow as long as they are overdue and `goes_on` says so.
    fn make_steps(id: JobId, goes_on: impl Fn(Step) -> bool) -> Result<bool, DispatchError> {
        let mut opened = Self::open(id)?;
        let now = Self::now();
        ensure!(opened.job.state.due() <= now, Error::<T>::NothingDue);
        let mut kept = Self::step(&mut opened)?;
        while matches!(kept, Kept::Kept)
            && opened.job.state.due() <= now
            && goes_on(opened.job.state.next_step())
        {
            kept = Self::step(&mut opened)?;
        }
        let was_last = opened.was_last;
        match kept {
            Kept::Kept => Self::save(opened),
            Kept::Dropped => Self::remove(opened),
        }
        Ok(was_last)
    }

    /// Applies to a job all that is overdue at `now`. None if that ended with its record.
    ///
    /// At most three steps: late and open again, expired, dropped. An overdue step of an audit is
    /// refused.
    pub(crate) fn catch_up(
        mut opened: OpenedJob<T::AccountId>,
        now: BlockNumber,
    ) -> Result<Option<OpenedJob<T::AccountId>>, DispatchError> {
        while opened.job.state.due() <= now {
            ensure!(
                opened.job.state.next_step().is_plain(),
                Error::<T>::ProgressFirst
            );
            opened.was_overdue = true;
            if let Kept::Dropped = Self::step(&mut opened)? {
                Self::remove(opened);
                return Ok(None);
            }
        }
        Ok(Some(opened))
    }

    /// Makes the transition of the deadline that a job has passed.
    fn step(opened: &mut OpenedJob<T::AccountId>) -> Result<Kept, DispatchError> {
        let id = opened.id;
        match opened.job.state.clone() {
            JobState::Open { claim_by } => {
                OpenJobs::<T>::remove(opened.job.model, job_key(id));
                Self::expire(opened, claim_by)?;
            }
            JobState::Claimed(claim) => Self::late(opened, claim)?,
            JobState::Delivered {
                claim,
                delivery,
                accepted,
                until,
            } => {
                if Self::draw_hits(id, &opened.job, &delivery, until) {
                    Self::draw_first_round(opened, claim, delivery, until)?;
                } else if accepted {
                    Self::settle(opened, claim, delivery, until)?;
                } else {
                    let review_until = until.saturating_add(opened.job.terms.review_window);
                    opened.job.state = JobState::Review {
                        claim,
                        delivery,
                        until: review_until,
                    };
                    Self::deposit_event(Event::AuditMissed {
                        job: id,
                        review_until,
                    });
                }
            }
            JobState::Audit {
                claim,
                delivery,
                until,
            } => {
                let mut under = Self::under_audit(id, claim, delivery)?;
                let next = Self::end_phase(id, &opened.job, &mut under, until)?;
                Self::close_audit(opened, under, next);
            }
            JobState::Decided {
                claim,
                delivery,
                until,
            } => {
                let under = Self::under_audit(id, claim, delivery)?;
                Self::finish_audit(opened, under, until)?;
            }
            JobState::Review {
                claim,
                delivery,
                until,
            } => Self::settle(opened, claim, delivery, until)?,
            JobState::Slashing {
                claim,
                delivery,
                rejected,
                until,
            } => {
                let under = Self::under_audit(id, claim, delivery)?;
                Self::execute_slashes(opened, under, rejected, until)?;
            }
            JobState::Settled { .. }
            | JobState::Rejected { .. }
            | JobState::Cancelled { .. }
            | JobState::Expired { .. } => {
                let job = &opened.job;
                Self::release(HoldReason::Job, &job.requester, job.deposit)?;
                Self::deposit_event(Event::JobDropped { job: id });
                return Ok(Kept::Dropped);
            }
        }
        Ok(Kept::Kept)
    }

    /// A worker did not deliver: it compensates the requester. The first time the job is open
    /// again, to all but that worker; the second time it expires.
    fn late(opened: &mut OpenedJob<T::AccountId>, claim: Claim<T::AccountId>) -> DispatchResult {
        let OpenedJob { id, job, .. } = opened;
        let id = *id;
        let compensation = Self::compensate(&job.requester, &claim, job.terms.late_share)?;
        Self::end_claim(&claim.worker, id, job.model)?;
        Self::deposit_event(Event::JobLate {
            job: id,
            worker: claim.worker.clone(),
            compensation,
        });
        if job.barred.is_some() {
            return Self::expire(opened, claim.deliver_by);
        }
        let claim_by = claim.deliver_by.saturating_add(job.terms.open_window);
        job.barred = Some(claim.worker.clone());
        job.state = JobState::Open { claim_by };
        OpenJobs::<T>::insert(job.model, job_key(id), ());
        Self::deposit_event(Event::JobReopened {
            job: id,
            barred: claim.worker,
            claim_by,
        });
        Ok(())
    }

    /// Pays a late worker's share of the worst-case fee out of its stake, as far as there is any.
    fn compensate(
        requester: &T::AccountId,
        claim: &Claim<T::AccountId>,
        late_share: Permill,
    ) -> Result<Balance, DispatchError> {
        let due = pricing::share_of(claim.worst_case_fee, late_share);
        let period = Self::current_period();
        let mut paid = 0;
        let mut is_covered = true;
        Self::release_exposure(claim, |worker| {
            worker.late = worker.late.saturating_add(1);
            paid = due.min(worker.stake);
            is_covered = worker.lose(period, paid).is_some();
        })?;
        ensure!(
            is_covered,
            Self::corrupted("a late worker's stake is too small")
        );
        Self::pay(
            HoldReason::Stake,
            &claim.worker,
            &[requester, &T::TreasuryAccount::get()],
            paid,
        )?;
        Ok(paid)
    }
}
