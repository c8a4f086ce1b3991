//! What follows when a phase or a round is over.

use super::{Next, Phase, Round, RoundKind, Said, UnderAudit};
use crate::{
    jobs::{job_key, Job},
    Config, Event, Pallet, Seats, Workers,
};
use genesisflow_primitives::{
    audit::{
        ballot::{verdict, Vote},
        AuditTerms,
    },
    BlockNumber, JobId,
};
use sp_runtime::DispatchError;

impl<T: Config> Pallet<T> {
    /// How many seats a round has.
    pub(crate) fn seats_of(terms: &AuditTerms, kind: RoundKind) -> u32 {
        match kind {
            RoundKind::First => terms.first_seats,
            RoundKind::Second => terms.second_seats,
            RoundKind::Appeal => terms.appeal_seats,
        }
    }

    /// The audit's phase ended in block `until`.
    pub(crate) fn end_phase(
        id: JobId,
        job: &Job<T::AccountId>,
        under: &mut UnderAudit<T::AccountId>,
        until: BlockNumber,
    ) -> Result<Next, DispatchError> {
        match under.audit.phase {
            Phase::Drawing => Self::fill_seats(id, job, under, until),
            Phase::Commit => Self::end_commits(id, job, under, until),
            Phase::Reveal => Self::end_round(id, job, under, until),
            Phase::Over => Err(Self::corrupted("a finished audit under audit")),
        }
    }

    /// No more commitments from block `at` on: whoever committed reveals.
    pub(crate) fn end_commits(
        id: JobId,
        job: &Job<T::AccountId>,
        under: &mut UnderAudit<T::AccountId>,
        at: BlockNumber,
    ) -> Result<Next, DispatchError> {
        let committed = under.audit.rounds.last().is_some_and(|round| {
            let has_committed = |said: &Said| matches!(said, Said::Committed(_));
            round.auditors.iter().any(|a| has_committed(&a.said))
        });
        if !committed {
            return Self::end_round(id, job, under, at);
        }
        under.audit.phase = Phase::Reveal;
        let until = at.saturating_add(job.terms.audit.reveal_window);
        Self::deposit_event(Event::RevealBegun { job: id, until });
        Ok(Next::Audit(until))
    }

    /// The last round ended in block `at`: it has a verdict, or another one follows, or neither.
    pub(crate) fn end_round(
        id: JobId,
        job: &Job<T::AccountId>,
        under: &mut UnderAudit<T::AccountId>,
        at: BlockNumber,
    ) -> Result<Next, DispatchError> {
        let terms = &job.terms.audit;
        let audit = &mut under.audit;
        let Some((number, round)) = audit.last_round() else {
            return Err(Self::corrupted("an audit without a round"));
        };
        let kind = round.kind;
        let decided = Self::count(round, Self::seats_of(terms, kind));
        let outage = !round.anyone_revealed();
        if let Some(round) = audit.rounds.last_mut() {
            round.verdict = decided;
        }
        Self::leave_seats(id, audit.rounds.last())?;
        Self::deposit_event(Event::RoundEnded {
            job: id,
            round: number,
            valid: decided.map(|verdict| verdict.valid),
        });

        let repeated = audit.rounds.iter().filter(|r| r.kind == kind).count() > 1;
        let another = match (decided, kind) {
            (Some(_), _) => None,
            (None, _) if outage && !repeated => Some(kind),
            (None, RoundKind::First) => Some(RoundKind::Second),
            (None, RoundKind::Second | RoundKind::Appeal) => None,
        };
        if let Some(kind) = another {
            if !audit.begin_round(kind) {
                return Err(Self::corrupted("more rounds than there can be"));
            }
            return Ok(Next::Audit(terms.seeded_at(at)));
        }
        audit.phase = Phase::Over;
        // An appeal has the last word: nothing is left to wait for.
        let until = match kind {
            RoundKind::Appeal => at,
            RoundKind::First | RoundKind::Second => at.saturating_add(terms.appeal_window),
        };
        Self::deposit_event(Event::AuditDecided {
            job: id,
            valid: audit.verdict().map(|(_, verdict)| verdict.valid),
            until,
        });
        Ok(Next::Decided(until))
    }

    /// Counts the ballots of a round.
    fn count(
        round: &Round<T::AccountId>,
        seats: u32,
    ) -> Option<genesisflow_primitives::audit::Verdict> {
        let votes: alloc::vec::Vec<_> = round
            .auditors
            .iter()
            .map(|auditor| Vote {
                seats: auditor.seats,
                ballot: auditor.ballot(),
                holds_majority: auditor.holds_majority,
            })
            .collect();
        verdict(
            &votes,
            seats,
            round.eligible,
            round.kind == RoundKind::Appeal,
        )
    }

    /// Closes a round's seats. Whoever said nothing takes no new jobs until it says it is back; but
    /// not if nobody revealed, for then the fault may lie with the network.
    fn leave_seats(id: JobId, round: Option<&Round<T::AccountId>>) -> Result<(), DispatchError> {
        let Some(round) = round else {
            return Ok(());
        };
        let outage = !round.anyone_revealed();
        for auditor in round.auditors.iter().filter(|a| a.said != Said::Vacant) {
            Seats::<T>::remove(&auditor.who, job_key(id));
            let silent = auditor.said == Said::Nothing && !auditor.excused;
            let chilled = Workers::<T>::try_mutate(&auditor.who, |worker| {
                let worker = worker
                    .as_mut()
                    .ok_or_else(|| Self::corrupted("an auditor left with a seat open"))?;
                worker.open_audits = worker
                    .open_audits
                    .checked_sub(1)
                    .ok_or_else(|| Self::corrupted("an auditor counts too few open audits"))?;
                let chills = silent && !outage && !worker.chilled;
                worker.chilled |= chills;
                Ok::<_, DispatchError>(chills)
            })?;
            if chilled {
                Self::deposit_event(Event::WorkerChilled {
                    worker: auditor.who.clone(),
                });
            }
        }
        Ok(())
    }
}
