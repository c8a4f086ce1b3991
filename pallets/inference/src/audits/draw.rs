//! Draws: whether a delivered result is audited, and who sits in a round.

use super::{Audit, Auditor, Next, Phase, Said, UnderAudit};
use crate::{
    jobs::{job_key, Claim, Delivery, Job, OpenedJob},
    offers::Offer,
    pools::PoolMember,
    Audits, Config, Event, Pallet, Seats, Workers,
};
use alloc::vec::Vec;
use frame_support::BoundedVec;
use genesisflow_primitives::{
    audit::{draw_seats, is_audited, AuditTerms},
    Balance, BlockNumber, JobId, H256,
};
use sp_runtime::Perbill;
use sp_runtime::{DispatchError, DispatchResult};

impl<T: Config> Pallet<T> {
    /// The chance that a result will be audited, fixed by its delivery, and what its job pays for
    /// audits. None if fewer than two accounts could be drawn.
    pub(crate) fn audit_chance(
        job: &Job<T::AccountId>,
        claim: &Claim<T::AccountId>,
        fee: Balance,
    ) -> Option<(Perbill, Balance)> {
        if Self::eligible(job, claim, &[]).len() < 2 {
            return None;
        }
        let terms = &job.terms.audit;
        let chance = terms.chance(claim.worst_case_fee, claim.exposure, claim.probation);
        Some((chance, terms.premium(fee, chance)))
    }

    /// Whether a result is audited whose seed's last block is `seeded_at`. Without its seed, because
    /// nobody has moved the job on for longer than outputs are kept, it is not.
    pub(crate) fn draw_hits(
        id: JobId,
        job: &Job<T::AccountId>,
        delivery: &Delivery,
        seeded_at: BlockNumber,
    ) -> bool {
        Self::seed_until(&job.terms.audit, seeded_at)
            .is_some_and(|seed| is_audited(&seed, id, delivery.audit_chance))
    }

    /// The members of the job's pool that can get a seat: not its worker, requester, disputer or
    /// appellant.
    pub(crate) fn eligible(
        job: &Job<T::AccountId>,
        claim: &Claim<T::AccountId>,
        parties: &[&T::AccountId],
    ) -> Vec<PoolMember<T::AccountId>> {
        let Some(period) = job.pool else {
            return Vec::new();
        };
        let mut members = Self::pool(job.model, period);
        members.retain(|member| {
            member.who != claim.worker
                && member.who != job.requester
                && parties.iter().all(|party| **party != member.who)
        });
        members
    }

    /// [`Self::eligible`] with the parties of an audit.
    pub(crate) fn eligible_for(
        job: &Job<T::AccountId>,
        claim: &Claim<T::AccountId>,
        audit: &Audit<T::AccountId>,
    ) -> Vec<PoolMember<T::AccountId>> {
        let parties: Vec<_> = [&audit.dispute, &audit.appeal]
            .into_iter()
            .flatten()
            .map(|bond| &bond.who)
            .collect();
        Self::eligible(job, claim, &parties)
    }

    /// Fills the seats of the last round, whose seed's last block is `seeded_at`.
    pub(crate) fn fill_seats(
        id: JobId,
        job: &Job<T::AccountId>,
        under: &mut UnderAudit<T::AccountId>,
        seeded_at: BlockNumber,
    ) -> Result<Next, DispatchError> {
        let terms = job.terms.audit;
        let UnderAudit { claim, audit, .. } = under;
        let members = Self::eligible_for(job, claim, audit);
        let (number, kind) = audit
            .last_round()
            .map(|(number, round)| (number, round.kind))
            .ok_or_else(|| Self::corrupted("an audit without a round"))?;
        let seats = Self::seats_of(&terms, kind);
        let seed = Self::seed_until(&terms, seeded_at);
        let stakes: Vec<Balance> = members.iter().map(|member| member.stake).collect();
        let drawn = match seed {
            Some(seed) => draw_seats(&seed, id, number, seats, &stakes),
            None => Vec::new(),
        };
        let total = stakes
            .iter()
            .fold(0, |sum: Balance, stake| sum.saturating_add(*stake));

        let mut auditors: BoundedVec<Auditor<T::AccountId>, _> = BoundedVec::new();
        for index in drawn {
            let Some(member) = members.get(index) else {
                return Err(Self::corrupted("a draw beyond its pool"));
            };
            match auditors.iter_mut().find(|a| a.who == member.who) {
                Some(auditor) => auditor.seats = auditor.seats.saturating_add(1),
                None => auditors
                    .try_push(Auditor {
                        who: member.who.clone(),
                        seats: 1,
                        excused: false,
                        holds_majority: member.stake > total / 2,
                        said: Said::Nothing,
                    })
                    .map_err(|_| Self::corrupted("more auditors than seats"))?,
            }
        }
        for auditor in auditors.iter_mut() {
            Self::take_seats(id, auditor, terms.fined_audits);
        }
        let anyone_there = auditors.iter().any(|a| a.said != Said::Vacant);
        Self::deposit_event(Event::SeatsDrawn {
            job: id,
            round: number,
            auditors: auditors
                .iter()
                .filter(|auditor| auditor.said != Said::Vacant)
                .map(|auditor| auditor.who.clone())
                .collect(),
            commit_until: seeded_at.saturating_add(terms.commit_window),
        });
        if let Some(round) = audit.rounds.last_mut() {
            round.seed = seed;
            round.eligible = u32::try_from(members.len()).unwrap_or(u32::MAX);
            round.auditors = auditors;
        }
        if anyone_there {
            audit.phase = Phase::Commit;
            Ok(Next::Audit(seeded_at.saturating_add(terms.commit_window)))
        } else {
            Self::end_round(id, job, under, seeded_at)
        }
    }

    /// The seed whose last block is `seeded_at`.
    fn seed_until(terms: &AuditTerms, seeded_at: BlockNumber) -> Option<H256> {
        let before = seeded_at.saturating_sub(terms.seed_blocks);
        Self::seed_after(before, terms.seed_blocks)
    }

    /// Gives an account its seats, unless it takes no part in the market any more.
    fn take_seats(id: JobId, auditor: &mut Auditor<T::AccountId>, fined_audits: u32) {
        let taken = Workers::<T>::mutate(&auditor.who, |worker| match worker {
            Some(worker) if !worker.chilled && worker.bonded() > 0 => {
                auditor.excused = worker.open_audits >= fined_audits;
                worker.open_audits = worker.open_audits.saturating_add(1);
                true
            }
            _ => false,
        });
        if taken {
            Seats::<T>::insert(&auditor.who, job_key(id), ());
        } else {
            auditor.said = Said::Vacant;
        }
    }

    /// A hit: the first round's seats are drawn with the seed that decided it.
    pub(crate) fn draw_first_round(
        opened: &mut OpenedJob<T::AccountId>,
        claim: Claim<T::AccountId>,
        delivery: Delivery,
        seeded_at: BlockNumber,
    ) -> DispatchResult {
        Self::deposit_event(Event::AuditBegun {
            job: opened.id,
            disputed: false,
            draw_after: seeded_at,
        });
        let mut under = UnderAudit {
            claim,
            delivery,
            audit: Audit::new(None),
        };
        let next = Self::fill_seats(opened.id, &opened.job, &mut under, seeded_at)?;
        Self::close_audit(opened, under, next);
        Ok(())
    }

    /// Whether a worker's claim under this offer is audited for certain, its record being short.
    pub(crate) fn is_on_probation(job: &Job<T::AccountId>, offer: &Offer) -> bool {
        offer.record.valid < job.terms.audit.probation_jobs
    }

    /// A job's audit, which its state says is there.
    pub(crate) fn audit_of(id: JobId) -> Result<Audit<T::AccountId>, DispatchError> {
        Audits::<T>::get(id).ok_or_else(|| Self::corrupted("a job's audit is missing"))
    }
}
