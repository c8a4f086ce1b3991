//! Audits at every stage, as large as they can get.

use super::market::*;
use crate::{
    agenda::DueKey,
    audits::{Audit, Auditor, Bond, Phase, Round, RoundKind, Said},
    jobs::{job_key, Claim, Delivery, JobState, OpenedJob},
    pools::PoolMember,
    primitives::{
        audit::{ballot_commitment, combined_seed, draw_seats, Ballot, MaxPoolSize},
        *,
    },
    *,
};
use alloc::{vec, vec::Vec};
use frame_support::{assert_ok, traits::Get, BoundedVec};

/// What every auditor finds.
pub(super) const BALLOT: Ballot = Ballot {
    digest: H256([7; 32]),
    valid: true,
};
/// The salt of every commitment.
pub(super) const SALT: H256 = H256([9; 32]);

/// As many candidates as there can be.
pub(super) fn candidates<T: Config>(model: ModelId) {
    some_candidates::<T>(model, MaxPoolSize::get());
}

/// So many candidates.
pub(super) fn some_candidates<T: Config>(model: ModelId, count: u32) {
    for number in 0..count {
        worker_number::<T>("auditor", number, model);
    }
}

/// A full pool for the present period, without waiting for two.
pub(super) fn full_pool<T: Config>(model: ModelId) {
    let members: Vec<_> = Candidates::<T>::get(model)
        .into_iter()
        .map(|who| PoolMember {
            who,
            stake: 100_000 * GEN,
        })
        .collect();
    let period = Pallet::<T>::current_period();
    Pools::<T>::insert(model, period, BoundedVec::truncate_from(members));
    NewestPools::<T>::insert(model, period);
}

/// A job with a full pool, claimed. Another one is on the same model and pool.
pub(super) fn claimed_with_pool<T: Config>() -> (T::AccountId, JobId, T::AccountId, ModelId) {
    set_up::<T>();
    let (_, model) = model::<T>();
    candidates::<T>(model);
    full_pool::<T>(model);
    let worker = worker::<T>("worker", model);
    let other = account_with_funds::<T>("other");
    assert_ok!(Pallet::<T>::do_submit(other, request::<T>(model, 1)));
    fill_claims::<T>(&worker, model);
    let (requester, job) = job::<T>(model);
    assert_ok!(Pallet::<T>::do_claim(worker.clone(), job));
    (requester, job, worker, model)
}

/// A job with a full pool that nobody has claimed. Another one is on the same model and pool.
pub(super) fn open_with_pool<T: Config>() -> (T::AccountId, JobId) {
    set_up::<T>();
    let (_, model) = model::<T>();
    candidates::<T>(model);
    full_pool::<T>(model);
    let other = account_with_funds::<T>("other");
    assert_ok!(Pallet::<T>::do_submit(other, request::<T>(model, 1)));
    job::<T>(model)
}

/// Makes a job the last one of its model and of its pool.
pub(super) fn make_last<T: Config>(job: JobId) {
    for other in Jobs::<T>::iter_keys().filter(|id| *id != job) {
        let requester = Jobs::<T>::get(other).expect("it exists").requester;
        assert_ok!(Pallet::<T>::do_cancel(requester, other));
    }
    let model = Jobs::<T>::get(job).expect("it exists").model;
    let owner = Models::<T>::get(model).expect("it exists").owner;
    assert_ok!(Pallet::<T>::do_retire_model(owner, model));
}

/// A job with a full pool, delivered, with the largest result. It is not the last one.
pub(super) fn delivered<T: Config>() -> (T::AccountId, JobId, T::AccountId, ModelId) {
    let (requester, job, worker, model) = claimed_with_pool::<T>();
    let output: Output = vec![b'a'; 16_384].try_into().expect("at most 16 KiB");
    let evidence: EvidenceBytes = vec![0; 16_384].try_into().expect("at most 16 KiB");
    let result = ResultClaim {
        usage: Usage {
            input: 1,
            output: 16_384,
        },
        fault: None,
        trace: H256::zero(),
        engine_version: 1,
    };
    assert_ok!(Pallet::<T>::do_deliver(
        worker.clone(),
        job,
        output,
        evidence,
        result
    ));
    (requester, job, worker, model)
}

/// Changes a job's state.
fn change<T: Config>(
    id: JobId,
    change: impl FnOnce(
        &mut OpenedJob<T::AccountId>,
        Claim<T::AccountId>,
        Delivery,
    ) -> JobState<T::AccountId>,
) {
    let mut opened = Pallet::<T>::open(id).expect("the job exists");
    let claim = opened.job.state.claim().cloned().expect("claimed");
    let delivery = opened.job.state.delivery().cloned().expect("delivered");
    let state = change(&mut opened, claim, delivery);
    opened.job.state = state;
    Pallet::<T>::save(opened);
}

/// Lets the draw miss.
pub(super) fn to_review<T: Config>(id: JobId) {
    change::<T>(id, |_, claim, delivery| JobState::Review {
        claim,
        delivery,
        until: 1_000,
    });
}

/// Goes to the first block in which a job is overdue.
pub(super) fn overdue<T: Config>(id: JobId) {
    let due = Jobs::<T>::get(id).map(|job| job.state.due());
    go_to::<T>(due.expect("the job exists"));
}

fn auditor<AccountId>(who: AccountId, said: Said) -> Auditor<AccountId> {
    Auditor {
        who,
        seats: 1,
        excused: false,
        holds_majority: false,
        said,
    }
}

/// A round in which each of the pool's accounts `from..from + seats` has one seat and said `said`.
fn round<T: Config>(
    pool: &[T::AccountId],
    kind: RoundKind,
    said: impl Fn(usize) -> Said,
    from: usize,
    seats: usize,
) -> Round<T::AccountId> {
    let auditors: Vec<_> = pool[from..from + seats]
        .iter()
        .enumerate()
        .map(|(index, who)| auditor(who.clone(), said(index)))
        .collect();
    Round {
        kind,
        seed: Some(H256::zero()),
        eligible: MaxPoolSize::get(),
        auditors: BoundedVec::truncate_from(auditors),
        verdict: None,
    }
}

/// Both rounds of each kind, as large as they can be, with accounts of their own.
fn all_rounds<T: Config>(
    pool: &[T::AccountId],
    said: impl Fn(usize) -> Said,
) -> Vec<Round<T::AccountId>> {
    let terms = Parameters::default();
    let kinds = [
        (RoundKind::First, terms.first_seats),
        (RoundKind::Second, terms.second_seats),
        (RoundKind::Appeal, terms.appeal_seats),
    ];
    let mut from = 0;
    let mut rounds = Vec::new();
    for (kind, seats) in kinds {
        for _ in 0..2 {
            rounds.push(round::<T>(pool, kind, &said, from, seats as usize));
            from += seats as usize;
        }
    }
    rounds
}

fn pool<T: Config>(model: ModelId) -> Vec<T::AccountId> {
    let mut pool = Candidates::<T>::get(model).into_inner();
    pool.sort();
    pool
}

fn bond<T: Config>(reason: HoldReason, name: &'static str) -> Bond<T::AccountId> {
    let who = account_with_funds::<T>(name);
    assert_ok!(Pallet::<T>::hold(reason, &who, GEN));
    Bond { who, held: GEN }
}

fn put_audit<T: Config>(id: JobId, phase: Phase, rounds: Vec<Round<T::AccountId>>, appealed: bool) {
    let mut audit = Audit::new(Some(bond::<T>(HoldReason::DisputeBond, "disputer")));
    audit.phase = phase;
    audit.rounds = BoundedVec::truncate_from(rounds);
    audit.appeal = appealed.then(|| bond::<T>(HoldReason::AppealBond, "appellant"));
    Audits::<T>::insert(id, audit);
}

/// What every block has to output so that the draw of an appeal, the job's second round, gives each
/// seat to another account. That is the dearest draw, and rare: one in some 5,000.
fn output_for_distinct_auditors(id: JobId, pool: usize) -> H256 {
    let terms = Parameters::default();
    let stakes = vec![100_000 * GEN; pool];
    let seats = terms.appeal_seats;
    (0..)
        .map(|number: u32| content_hash(&number.to_le_bytes()))
        .find(|output| {
            let outputs = vec![*output; terms.seed_blocks as usize];
            let mut drawn = draw_seats(&combined_seed(&outputs), id, 1, seats, &stakes);
            drawn.sort_unstable();
            drawn.dedup();
            drawn.len() == seats as usize
        })
        .expect("there is no end of outputs")
}

/// An appeal of distinct auditors in this phase, with one step to go: the first auditor's.
pub(super) fn in_appeal<T: Config>(phase: Phase) -> (JobId, Vec<T::AccountId>) {
    let (_, id, _, model) = delivered::<T>();
    let pool = pool::<T>(model);
    let seats = Parameters::default().appeal_seats as usize;
    let auditors = pool[..seats].to_vec();
    let genesis = Pallet::<T>::genesis_hash();
    let first = match phase {
        Phase::Commit => Said::Nothing,
        _ => Said::Committed(ballot_commitment(
            &genesis,
            id,
            1,
            &auditors[0],
            &BALLOT,
            &SALT,
        )),
    };
    let others = match phase {
        Phase::Commit => Said::Committed(H256::zero()),
        _ => Said::Revealed(BALLOT),
    };
    let said = |index: usize| if index == 0 { first } else { others };
    let mut appeal = round::<T>(&pool, RoundKind::Appeal, said, 0, seats);
    if phase == Phase::Drawing {
        appeal.auditors = Default::default();
        appeal.seed = None;
        let output = output_for_distinct_auditors(id, pool.len());
        for block in 1..=Parameters::default().seed_interval + 10 {
            BlockOutputs::<T>::insert(DueKey::from(block), output);
        }
    } else {
        for who in &auditors {
            Workers::<T>::mutate(who, |worker| {
                if let Some(worker) = worker {
                    worker.open_audits = 1;
                }
            });
            Seats::<T>::insert(who, job_key(id), ());
        }
    }
    let earlier = round::<T>(&pool, RoundKind::First, |_| Said::Revealed(BALLOT), 0, 3);
    put_audit::<T>(id, phase, vec![earlier, appeal], true);
    let until = Parameters::default().seed_interval + Parameters::default().seed_blocks;
    change::<T>(id, |_, claim, delivery| JobState::Audit {
        claim,
        delivery,
        until,
    });
    if phase == Phase::Drawing {
        overdue::<T>(id);
    }
    (id, auditors)
}

/// An audit with every round that there can be, all of whose seats say what was decided, and which
/// can still be appealed against.
pub(super) fn decided<T: Config>(verdict: Ballot) -> (T::AccountId, JobId) {
    let (requester, id, _, model) = delivered::<T>();
    let mut rounds = all_rounds::<T>(&pool::<T>(model), |_| Said::Revealed(verdict));
    // Room for the round of an appeal.
    rounds.pop();
    if let Some(round) = rounds.last_mut() {
        round.verdict = Some(verdict);
    }
    put_audit::<T>(id, Phase::Over, rounds, false);
    change::<T>(id, |_, claim, delivery| JobState::Decided {
        claim,
        delivery,
        until: 1_000,
    });
    (requester, id)
}

/// An audit with every round that there can be, which rejected the result against every second of
/// its seats, in the delay before its slashes. Also returns the worker.
pub(super) fn slashing<T: Config>() -> (JobId, T::AccountId) {
    let (_, id, worker, model) = delivered::<T>();
    let verdict = Ballot {
        valid: false,
        ..BALLOT
    };
    let said = |index: usize| Said::Revealed(if index % 2 == 0 { verdict } else { BALLOT });
    let mut rounds = all_rounds::<T>(&pool::<T>(model), said);
    if let Some(round) = rounds.last_mut() {
        round.verdict = Some(verdict);
    }
    put_audit::<T>(id, Phase::Over, rounds, true);
    change::<T>(id, |_, claim, delivery| JobState::Decided {
        claim,
        delivery,
        until: 1_000,
    });
    overdue::<T>(id);
    assert_ok!(Pallet::<T>::do_progress(id));
    (id, worker)
}
