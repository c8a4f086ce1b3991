//! Random lives of a whole market: whatever anyone does in whatever order, with blocks passing in
//! between, the promises hold after every single call.
//!
//! `INFERENCE_SEQUENCES=20000` runs more sequences, `INFERENCE_SEED=7` others. A failure names the
//! seed of its sequence, and proptest shrinks the sequence to the calls that matter.

use crate::{
    audits::{Audit, Phase, Said},
    mock::*,
    primitives::{
        audit::{ballot_commitment, Ballot},
        *,
    },
    Agenda, Audits, Claims, Error, HoldReason, Jobs, LiveJobs, MarketParameters, Models, Seats,
    Workers,
};
use codec::Encode;
use frame_support::{
    assert_ok, storage::with_storage_layer, traits::fungible::MutateFreeze, weights::Weight,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sp_runtime::{DispatchError, Permill};
use std::{cell::RefCell, collections::BTreeMap};

/// One thing that somebody does. Small numbers select among accounts, jobs and sizes when the
/// action is played, so that most actions meet something to act on.
#[derive(Clone, Debug)]
enum Action {
    RegisterModel {
        who: u8,
        which: bool,
    },
    RetireModel {
        who: u8,
        which: bool,
    },
    RegisterWorker {
        who: u8,
        stake: u16,
    },
    BondMore {
        who: u8,
        amount: u16,
    },
    Chill {
        who: u8,
    },
    Activate {
        who: u8,
    },
    Unbond {
        who: u8,
        share: u8,
    },
    Withdraw {
        who: u8,
    },
    SetOffer {
        who: u8,
        which: bool,
        input: u8,
        output: u8,
        capacity: u8,
    },
    RemoveOffer {
        who: u8,
        which: bool,
    },
    Submit {
        who: u8,
        which: bool,
        len: u8,
        max_output: u8,
        fee: u16,
    },
    SubmitWith {
        who: u8,
        which: bool,
        fee: u16,
        open: u8,
        within: u8,
        to: Option<u8>,
    },
    Claim {
        who: u8,
        job: u8,
    },
    Deliver {
        job: u8,
        input: u8,
        tokens: u8,
        fault: bool,
        thief: Option<u8>,
    },
    Accept {
        job: u8,
        who: Option<u8>,
    },
    Cancel {
        job: u8,
        who: Option<u8>,
    },
    Progress {
        who: u8,
        job: u8,
    },
    Pass {
        blocks: u8,
        idle: Idle,
    },
    SetParameters {
        tight: u8,
        share: u8,
        factor: u8,
    },
    SetAuditParameters {
        seats: u8,
        windows: u8,
        shares: u8,
    },
    Dispute {
        who: u8,
        job: u8,
    },
    Commit {
        seat: u8,
        vote: u8,
        thief: Option<u8>,
    },
    Reveal {
        seat: u8,
        vote: Option<u8>,
        thief: Option<u8>,
    },
    Appeal {
        who: u8,
        job: u8,
    },
    CancelSlash {
        who: u8,
        job: u8,
        root: bool,
    },
    Outlast {
        job: u8,
        idle: Idle,
    },
    Outage {
        job: u8,
    },
    Outputs {
        salt: Option<u8>,
    },
    Transfer {
        from: u8,
        to: u8,
        share: u8,
    },
    Freeze {
        who: u8,
        amount: u32,
    },
    Impoverish {
        who: u8,
        left: u8,
    },
}

/// How much room blocks leave for `on_idle`.
#[derive(Clone, Copy, Debug)]
enum Idle {
    Nothing,
    OneJob,
    Everything,
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let idle =
        prop_oneof![3 => Just(Idle::Nothing), 1 => Just(Idle::OneJob), 1 => Just(Idle::Everything)];
    prop_oneof![
        2 => any::<(u8, bool)>().prop_map(|(who, which)| RegisterModel { who, which }),
        1 => any::<(u8, bool)>().prop_map(|(who, which)| RetireModel { who, which }),
        2 => any::<(u8, u16)>().prop_map(|(who, stake)| RegisterWorker { who, stake }),
        1 => any::<(u8, u16)>().prop_map(|(who, amount)| BondMore { who, amount }),
        1 => any::<u8>().prop_map(|who| Chill { who }),
        3 => any::<u8>().prop_map(|who| Activate { who }),
        2 => any::<(u8, u8)>().prop_map(|(who, share)| Unbond { who, share }),
        3 => any::<u8>().prop_map(|who| Withdraw { who }),
        3 => any::<(u8, bool, u8, u8, u8)>().prop_map(|(who, which, input, output, capacity)| {
            SetOffer { who, which, input, output, capacity }
        }),
        1 => any::<(u8, bool)>().prop_map(|(who, which)| RemoveOffer { who, which }),
        8 => any::<(u8, bool, u8, u8, u16)>().prop_map(|(who, which, len, max_output, fee)| {
            Submit { who, which, len, max_output, fee }
        }),
        4 => any::<(u8, bool, u16, u8, u8, Option<u8>)>().prop_map(
            |(who, which, fee, open, within, to)| SubmitWith { who, which, fee, open, within, to }
        ),
        16 => any::<(u8, u8)>().prop_map(|(who, job)| Claim { who, job }),
        12 => (any::<(u8, u8, u8, bool)>(), prop::option::weighted(0.1, any::<u8>())).prop_map(
            |((job, input, tokens, fault), thief)| Deliver { job, input, tokens, fault, thief }
        ),
        3 => (any::<u8>(), prop::option::weighted(0.2, any::<u8>()))
            .prop_map(|(job, who)| Accept { job, who }),
        2 => (any::<u8>(), prop::option::weighted(0.2, any::<u8>()))
            .prop_map(|(job, who)| Cancel { job, who }),
        8 => any::<(u8, u8)>().prop_map(|(who, job)| Progress { who, job }),
        5 => (any::<u8>(), idle.clone()).prop_map(|(blocks, idle)| Pass { blocks, idle }),
        1 => any::<(u8, u8, u8)>()
            .prop_map(|(tight, share, factor)| SetParameters { tight, share, factor }),
        1 => any::<(u8, u8, u8)>().prop_map(
            |(seats, windows, shares)| SetAuditParameters { seats, windows, shares }
        ),
        6 => any::<(u8, u8)>().prop_map(|(who, job)| Dispute { who, job }),
        40 => (any::<(u8, u8)>(), prop::option::weighted(0.05, any::<u8>()))
            .prop_map(|((seat, vote), thief)| Commit { seat, vote, thief }),
        30 => (
            any::<u8>(),
            prop::option::weighted(0.05, any::<u8>()),
            prop::option::weighted(0.05, any::<u8>()),
        )
            .prop_map(|(seat, vote, thief)| Reveal { seat, vote, thief }),
        4 => any::<(u8, u8)>().prop_map(|(who, job)| Appeal { who, job }),
        2 => any::<(u8, u8, bool)>().prop_map(|(who, job, root)| CancelSlash { who, job, root }),
        7 => (any::<u8>(), idle).prop_map(|(job, idle)| Outlast { job, idle }),
        2 => any::<u8>().prop_map(|job| Outage { job }),
        1 => prop::option::weighted(0.9, any::<u8>()).prop_map(|salt| Outputs { salt }),
        2 => any::<(u8, u8, u8)>().prop_map(|(from, to, share)| Transfer { from, to, share }),
        1 => any::<(u8, u32)>().prop_map(|(who, amount)| Freeze { who, amount }),
        1 => any::<(u8, u8)>().prop_map(|(who, left)| Impoverish { who, left }),
    ]
}

const PEOPLE: [AccountId; 9] = [
    ALICE,
    BOB,
    CAROL,
    DAVE,
    EVE,
    TREASURY,
    AUDITORS[0],
    AUDITORS[1],
    AUDITORS[2],
];
/// Who offers both models to begin with.
const JURY: [AccountId; 5] = [BOB, CAROL, AUDITORS[0], AUDITORS[1], AUDITORS[2]];

fn person(selector: u8) -> AccountId {
    PEOPLE[usize::from(selector) % PEOPLE.len()]
}

/// Mostly a worker, sometimes anyone.
fn worker(selector: u8, wanted: impl Fn(&views::WorkerView) -> bool) -> AccountId {
    let workers: Vec<_> = PEOPLE
        .into_iter()
        .filter(|who| Inference::worker(*who).is_some_and(|worker| wanted(&worker)))
        .collect();
    match selector % 4 {
        0 => person(selector),
        _ if workers.is_empty() => person(selector),
        _ => workers[usize::from(selector) % workers.len()],
    }
}

/// The usual model or a dearer one.
fn chosen(which: bool) -> ModelManifest {
    let mut manifest = manifest();
    if which {
        manifest.terms.min_price_output = 30;
        manifest.name = bytes("dear");
    }
    manifest
}

/// A job's id: mostly of one in the wanted state, sometimes of any other, or of none.
fn pick(selector: u8, wanted: JobStatus) -> JobId {
    let mut jobs: Vec<_> = Jobs::<Test>::iter().collect();
    jobs.sort_unstable_by_key(|(id, _)| *id);
    let anything = selector.is_multiple_of(8);
    jobs.retain(|(_, job)| anything || job.state.status() == wanted);
    match usize::from(selector) % (jobs.len() + 1) {
        index if index < jobs.len() => jobs[index].0,
        _ if anything || jobs.is_empty() => crate::NextJobId::<Test>::get(),
        _ => jobs[0].0,
    }
}

/// What an auditor may vote. Most find what is true, with the digest that a replay gives.
fn ballot(who: AccountId, id: JobId, seed: Option<H256>, vote: u8) -> Ballot {
    let is_right = !id.is_multiple_of(3);
    let replayed = content_hash(&(seed, id).encode());
    let (digest, valid) = match vote % 16 {
        0 => (content_hash(&who.encode()), is_right),
        1 => (content_hash(&who.encode()), !is_right),
        2 | 3 => (replayed, !is_right),
        _ => (replayed, is_right),
    };
    Ballot { digest, valid }
}

/// All votes that lead to different ballots.
const VOTES: [u8; 4] = [0, 1, 2, 4];

const SALT: H256 = H256::repeat_byte(9);

fn commitment(who: AccountId, id: JobId, audit: &Audit<AccountId>, vote: u8) -> H256 {
    let (round, seed) = match audit.last_round() {
        Some((number, round)) => (number, round.seed),
        None => (0, None),
    };
    let ballot = ballot(who, id, seed, vote);
    ballot_commitment(&Inference::genesis_hash(), id, round, &who, &ballot, &SALT)
}

/// A seat of which something is expected in this phase, if there is any: its audit and account.
fn pending(selector: u8, phase: Phase) -> Option<(JobId, AccountId)> {
    let mut audits: Vec<_> = Audits::<Test>::iter()
        .filter(|(_, audit)| audit.phase == phase)
        .collect();
    audits.sort_unstable_by_key(|(id, _)| *id);
    let mut seats = Vec::new();
    for (id, audit) in audits {
        for auditor in audit.last_round().iter().flat_map(|(_, r)| &r.auditors) {
            match auditor.said {
                Said::Nothing if phase == Phase::Commit => seats.push((id, auditor.who)),
                Said::Committed(_) if phase == Phase::Reveal => seats.push((id, auditor.who)),
                _ => {}
            }
        }
    }
    let index = usize::from(selector) % seats.len().max(1);
    seats.get(index).copied()
}

/// An auditor, or somebody with its ballot, commits.
fn commit(
    job: JobId,
    auditor: AccountId,
    vote: u8,
    thief: Option<u8>,
) -> Result<(), DispatchError> {
    let audit = Audits::<Test>::get(job).unwrap_or(Audit::new(None));
    let commitment = commitment(auditor, job, &audit, vote);
    let who = thief.map_or(auditor, person);
    Inference::commit_ballot(signed(who), job, commitment)
        .map(drop)
        .map_err(|refusal| refusal.error)
}

/// An auditor, or somebody with its ballot, reveals: what was committed, unless told otherwise.
fn reveal(
    job: JobId,
    auditor: AccountId,
    vote: Option<u8>,
    thief: Option<u8>,
) -> Result<(), DispatchError> {
    let audit = Audits::<Test>::get(job).unwrap_or(Audit::new(None));
    let last = audit.last_round().map(|(_, round)| round);
    let said = last.and_then(|round| round.auditors.iter().find(|a| a.who == auditor));
    let said = said.map(|auditor| auditor.said);
    let committed = VOTES
        .into_iter()
        .find(|vote| said == Some(Said::Committed(commitment(auditor, job, &audit, *vote))));
    let vote = vote.or(committed).unwrap_or(0);
    let ballot = ballot(auditor, job, last.and_then(|round| round.seed), vote);
    let who = thief.map_or(auditor, person);
    Inference::reveal_ballot(signed(who), job, ballot.digest, ballot.valid, SALT)
        .map(drop)
        .map_err(|refusal| refusal.error)
}

/// A part of what an account has free.
fn part_of(who: AccountId, share: u8) -> Balance {
    free(who) * Balance::from(share) / 512
}

/// Does it, as a block would: a failing call leaves no trace.
fn play(action: &Action) -> Result<(), DispatchError> {
    with_storage_layer(|| match *action {
        Action::RegisterModel { who, which } => {
            Inference::register_model(signed(person(who)), registration(&chosen(which)))
        }
        Action::RetireModel { who, which } => {
            // Usually by its owner.
            let id = chosen(which).id();
            let owner = Models::<Test>::get(id).map(|model| model.owner);
            let who = owner.filter(|_| who % 4 > 0).unwrap_or(person(who));
            Inference::retire_model(signed(who), id)
        }
        Action::RegisterWorker { who, stake } => {
            Inference::register_worker(signed(person(who)), 3 * Balance::from(stake), bytes("x"))
        }
        Action::BondMore { who, amount } => {
            Inference::bond_more(signed(worker(who, |_| true)), amount.into())
        }
        Action::Chill { who } => Inference::chill(signed(worker(who, |worker| !worker.chilled))),
        Action::Activate { who } => {
            Inference::activate(signed(worker(who, |worker| worker.chilled)))
        }
        Action::Unbond { who, share } => {
            let who = worker(who, |_| true);
            let free = Inference::worker(who).map_or(1, |worker| worker.free_stake);
            Inference::unbond(signed(who), free * Balance::from(share) / 200)
        }
        Action::Withdraw { who } => {
            Inference::withdraw_unbonded(signed(worker(who, |worker| worker.withdrawable > 0)))
        }
        Action::SetOffer {
            who,
            which,
            input,
            output,
            capacity,
        } => Inference::set_offer(
            signed(worker(who, |_| true)),
            chosen(which).id(),
            Balance::from(input % 16),
            Balance::from(output % 48),
            u32::from(capacity % 4),
        ),
        Action::RemoveOffer { who, which } => Inference::remove_offer(
            signed(worker(who, |worker| worker.offers > 0)),
            chosen(which).id(),
        ),
        Action::Submit {
            who,
            which,
            len,
            max_output,
            fee,
        } => Inference::submit_job(
            signed(person(who)),
            chosen(which).id(),
            vec![b'a'; usize::from(len % 32)],
            u32::from(max_output % 44),
            Balance::from(fee % 4_096),
        )
        .map(drop)
        .map_err(|refusal| refusal.error),
        Action::SubmitWith {
            who,
            which,
            fee,
            open,
            within,
            to,
        } => Inference::submit_job_with(
            signed(person(who)),
            chosen(which).id(),
            bytes(INPUT),
            MAX_OUTPUT,
            Balance::from(fee % 4_096),
            JobOptions::default(),
            JobConditions {
                max_price_input: 12,
                max_price_output: 40,
                claim_by: (open % 2 == 0).then(|| now() + u32::from(open % 64)),
                deliver_within: (within % 2 == 0).then(|| u32::from(within % 32)),
                worker: to.map(person),
                min_auditors: u32::from(open % 3 == 0),
            },
        )
        .map(drop)
        .map_err(|refusal| refusal.error),
        Action::Claim { who, job } => {
            let selector = who;
            // Usually by somebody who could, if there is anybody.
            let (job, mut who) = (pick(job, JobStatus::Open), person(who));
            if let Some(found) = Jobs::<Test>::get(job).filter(|_| selector % 8 > 0) {
                let mut offers = Inference::offers(found.model, None, 10);
                offers.retain(|offer| offer.available);
                if !offers.is_empty() {
                    who = offers[usize::from(selector) % offers.len()].worker;
                }
            }
            Inference::claim_job(signed(who), job)
                .map(drop)
                .map_err(|refusal| refusal.error)
        }
        Action::Deliver {
            job,
            input,
            tokens,
            fault,
            thief,
        } => {
            let job = pick(job, JobStatus::Claimed);
            let claimant = Inference::job(job)
                .and_then(|job| job.worker)
                .unwrap_or(BOB);
            let most = Inference::job(job).map(|job| job.terms);
            let (most_in, most_out) = most.map_or((9, 9), |terms| {
                (terms.max_input_units, terms.max_output_units)
            });
            // Now and then one more than is allowed.
            let input = u32::from(input) % (most_in + 2);
            let tokens = u32::from(tokens) % (most_out + 2);
            let ids: Vec<u32> = (0..tokens).map(|id| id * 1_000).collect();
            let claim = ResultClaim {
                usage: Usage {
                    input,
                    output: ids.len() as u32,
                },
                fault: fault.then_some(Fault {
                    code: FaultCode::KeyValueOverflow,
                    position: 3,
                }),
                ..result_claim()
            };
            let output = vec![b'z'; ids.len() * 9];
            deliver_with(thief.map_or(claimant, person), job, &output, &ids, claim).map(|_| ())
        }
        Action::Accept { job, who } => {
            let job = pick(job, JobStatus::Review);
            let requester = Inference::job(job).map_or(ALICE, |job| job.requester);
            Inference::accept_result(signed(who.map_or(requester, person)), job)
                .map(drop)
                .map_err(|refusal| refusal.error)
        }
        Action::Cancel { job, who } => {
            let job = pick(job, JobStatus::Open);
            let requester = Inference::job(job).map_or(ALICE, |job| job.requester);
            Inference::cancel_job(signed(who.map_or(requester, person)), job)
                .map(drop)
                .map_err(|refusal| refusal.error)
        }
        Action::Progress { who, job } => {
            // Mostly one that is overdue, as on_idle may have had no room.
            let overdue = Jobs::<Test>::iter().find(|(_, job)| job.state.due() <= now());
            let job = match overdue.filter(|_| job % 4 > 0) {
                Some((overdue, _)) => overdue,
                None => pick(job, JobStatus::Settled),
            };
            Inference::progress_job(signed(person(who)), job)
                .map(drop)
                .map_err(|refusal| refusal.error)
        }
        Action::Pass { blocks, idle } => {
            // Mostly a few blocks, sometimes many, rarely enough for stake to get out.
            let blocks = if blocks % 16 == 1 {
                UNBONDING
            } else if blocks % 8 == 0 {
                u32::from(blocks)
            } else {
                u32::from(blocks % 4)
            };
            let blocks = blocks + 1;
            pass(blocks, idle);
            Ok(())
        }
        Action::SetParameters {
            tight,
            share,
            factor,
        } => {
            let mut changed = parameters();
            let former = MarketParameters::<Test>::get().parameters;
            changed.probation_jobs = former.probation_jobs;
            changed.review_window = u32::from(tight % 20) + 1;
            changed.open_window = u32::from(tight % 50) + 1;
            changed.retention = u32::from(tight) + 1;
            changed.unbonding_period = changed.longest_job() + 1;
            changed.protocol_share = Permill::from_percent(u32::from(share % 12));
            changed.late_share = Permill::from_percent(u32::from(share % 101));
            changed.exposure_factor = u32::from(factor % 60);
            changed.job_deposit_per_byte = Balance::from(factor % 3);
            changed.delivery_fee_per_byte = Balance::from(share % 3);
            Inference::set_parameters(RuntimeOrigin::root(), changed)
        }
        Action::SetAuditParameters {
            seats,
            windows,
            shares,
        } => {
            let mut changed = MarketParameters::<Test>::get().parameters;
            let few = u32::from(seats % 3);
            changed.first_seats = 3 + 2 * few;
            changed.second_seats = 5 + 2 * few;
            changed.appeal_seats = 9 + 4 * few;
            changed.fined_audits = u32::from(seats / 64);
            changed.probation_jobs = u32::from(seats % 8);
            changed.seed_blocks = u32::from(windows % 4) + 1;
            changed.seed_interval = u32::from(windows % 8) + 1;
            changed.pool_period = u32::from(windows % 16) + 4;
            changed.commit_window = u32::from(windows % 11) + 1;
            changed.reveal_window = u32::from(windows % 7) + 1;
            changed.appeal_window = u32::from(windows % 13) + 1;
            changed.slash_delay = u32::from(windows / 4) + 1;
            changed.repeat_window = u32::from(windows) * 8 + 1;
            changed.unbonding_period = changed.longest_job() + 1;
            changed.wrong_fine = Permill::from_percent(u32::from(shares % 90) + 5);
            changed.silent_fine = Permill::from_percent(u32::from(shares % 4) + 1);
            changed.silent_fine_pays = u32::from(shares % 5) + 1;
            changed.premium_percent = 100 + u32::from(shares);
            changed.premium_cap = Permill::from_percent(u32::from(shares % 30) + 1);
            changed.bond_floor = Balance::from(shares) + 1;
            Inference::set_parameters(RuntimeOrigin::root(), changed)
        }
        Action::Dispute { who, job } => {
            let job = pick(job, JobStatus::Review);
            Inference::dispute_result(signed(person(who)), job)
                .map(drop)
                .map_err(|e| e.error)
        }
        // If nobody is to do the one, somebody does the other.
        Action::Commit { seat, vote, thief } => match pending(seat, Phase::Commit) {
            Some((job, who)) => commit(job, who, vote, thief),
            None => match pending(seat, Phase::Reveal) {
                Some((job, who)) => reveal(job, who, None, thief),
                None => commit(pick(seat, JobStatus::Audit), BOB, vote, thief),
            },
        },
        Action::Reveal { seat, vote, thief } => match pending(seat, Phase::Reveal) {
            Some((job, who)) => reveal(job, who, vote, thief),
            None => match pending(seat, Phase::Commit) {
                Some((job, who)) => commit(job, who, 5, thief),
                None => reveal(pick(seat, JobStatus::Audit), BOB, vote, thief),
            },
        },
        Action::Appeal { who, job } => {
            let job = pick(job, JobStatus::Decided);
            // Often the parties, who have most to lose.
            let view = Inference::job(job);
            let appellant = match (view, who % 4) {
                (Some(view), 0 | 1) => view.worker.unwrap_or(BOB),
                (Some(view), 2) => view.requester,
                _ => person(who),
            };
            Inference::appeal_verdict(signed(appellant), job)
        }
        Action::CancelSlash { who, job, root } => {
            let job = pick(job, JobStatus::Slashing);
            let slashes = Audits::<Test>::get(job).map(|audit| audit.slashes);
            let slashed = slashes.as_ref().and_then(|slashes| {
                let index = usize::from(who) % slashes.len().max(1);
                slashes.get(index).map(|slash| slash.who)
            });
            let origin = if root || who % 4 > 0 {
                RuntimeOrigin::root()
            } else {
                signed(person(who))
            };
            Inference::cancel_slash(origin, job, slashed.unwrap_or(person(who)))
        }
        Action::Outlast { job, idle } => {
            // The state of some job that is being judged ends, sometimes while seats are awaited.
            let impatient = job % 4 == 0;
            let mut jobs: Vec<_> = Jobs::<Test>::iter()
                .filter(|(_, job)| job.state.delivery().is_some())
                .filter(|(_, job)| !job.state.status().is_final())
                .filter(|(id, _)| {
                    impatient
                        || Audits::<Test>::get(id)
                            .is_none_or(|audit| matches!(audit.phase, Phase::Drawing | Phase::Over))
                })
                .map(|(id, job)| (id, job.state.due()))
                .collect();
            jobs.sort_unstable();
            let index = usize::from(job) % jobs.len().max(1);
            if let Some((_, due)) = jobs.get(index) {
                pass(due.saturating_sub(now()), idle);
            }
            Ok(())
        }
        Action::Outage { job } => {
            // Nobody acts until an audit draws its next round or is over.
            let job = pick(job, JobStatus::Audit);
            let rounds = |id| Audits::<Test>::get(id).map(|audit| audit.rounds.len());
            let before = rounds(job);
            while let Some(audited) = Jobs::<Test>::get(job) {
                if audited.state.status() != JobStatus::Audit || rounds(job) != before {
                    break;
                }
                pass(audited.state.due().saturating_sub(now()), Idle::Nothing);
                Inference::progress_job(signed(EVE), job).map_err(|refusal| refusal.error)?;
            }
            Ok(())
        }
        Action::Outputs { salt } => {
            set_randomness(salt.map(u64::from));
            Ok(())
        }
        Action::Transfer { from, to, share } => {
            let (from, to) = (person(from), person(to));
            Balances::transfer_allow_death(signed(from), to, part_of(from, share))
        }
        Action::Freeze { who, amount } => Balances::set_freeze(&1, &person(who), amount.into()),
        // An account that exists for another reason, too, and so may own less than the existential
        // deposit, or nothing at all.
        Action::Impoverish { who, left } => {
            let (who, to) = (person(who), person(who.wrapping_add(1)));
            if System::providers(&who) == 1 {
                System::inc_providers(&who);
            }
            let amount = free(who).saturating_sub(Balance::from(left % 64));
            Balances::transfer_allow_death(signed(who), to, amount)
        }
    })
}

fn pass(blocks: BlockNumber, idle: Idle) {
    // Of a long time only the last blocks are made: what falls into the others has no seed.
    let last = now() + blocks;
    if blocks > 1_000 {
        System::set_block_number(last - 10);
    }
    match idle {
        Idle::Nothing => jump_to(last),
        Idle::Everything => run_to(last),
        Idle::OneJob => {
            use crate::WeightInfo;
            let weight = <() as WeightInfo>::on_idle_base()
                .saturating_add(<() as WeightInfo>::on_idle_entry())
                .saturating_add(Inference::most_progress_weight());
            while now() < last {
                jump_to(now() + 1);
                super::super::mock::idle(weight);
            }
        }
    }
}

/// Issuance, and how much of it was burnt as dust on purpose.
fn check_issuance(before: Balance) {
    let burnt: Balance = System::read_events_for_pallet::<crate::Event<Test>>()
        .into_iter()
        .map(|event| match event {
            crate::Event::PaymentDiverted {
                instead: None,
                amount,
                ..
            } => amount,
            _ => 0,
        })
        .sum();
    // Transfers may leave dust of their own, which the currency burns.
    let dust: Balance = System::read_events_for_pallet::<pallet_balances::Event<Test>>()
        .into_iter()
        .map(|event| match event {
            pallet_balances::Event::DustLost { amount, .. } => amount,
            _ => 0,
        })
        .sum();
    let issuance = pallet_balances::TotalIssuance::<Test>::get();
    assert_eq!(
        issuance + burnt + dust,
        before,
        "money appeared or vanished"
    );
}

/// Two models and five workers to begin with, who can audit each other, and three results.
fn open_market(probation_jobs: u32) {
    set_randomness(Some(0));
    reparametrise(|p| p.probation_jobs = probation_jobs);
    for which in [false, true] {
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&chosen(which))
        ));
    }
    for worker in JURY {
        assert_ok!(Inference::register_worker(signed(worker), STAKE, bytes("")));
        assert_ok!(offer(worker, PRICES, 2));
        assert_ok!(Inference::set_offer(
            signed(worker),
            chosen(true).id(),
            10,
            40,
            2
        ));
    }
    run_to(2 * PERIOD);
    for worker in [BOB, CAROL, BOB] {
        let job = submit();
        assert_ok!(Inference::claim_job(signed(worker), job));
        assert_ok!(deliver(worker, job));
    }
}

/// What the sequences have reached: calls that succeeded, states, rounds and events, with counts.
#[derive(Default)]
struct Reached(BTreeMap<String, u32>);

impl Reached {
    fn count(&mut self, what: String) {
        *self.0.entry(what).or_default() += 1;
    }

    fn times(&self, what: &str) -> u32 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Notes what an action has done.
    fn note(&mut self, action: &Action) {
        self.count(format!("call {}", name_of(action)));
        for event in System::read_events_for_pallet::<crate::Event<Test>>() {
            match event {
                crate::Event::RoundEnded { valid, .. } => self.count(format!("round {valid:?}")),
                crate::Event::AuditDecided { valid, .. } => self.count(format!("audit {valid:?}")),
                crate::Event::Slashed { amount: 0, .. } => self.count("slash of nothing".into()),
                other => self.count(format!("event {}", name_of(&other))),
            }
        }
        for (id, job) in Jobs::<Test>::iter() {
            let late = if job.barred.is_some() {
                " after lateness"
            } else {
                ""
            };
            self.count(format!("state {:?}{late}", job.state.status()));
            if let Some(audit) = Audits::<Test>::get(id) {
                if let Some((number, round)) = audit.last_round() {
                    let kind = round.kind;
                    let again = audit.rounds.iter().filter(|r| r.kind == kind).count() > 1;
                    let again = if again { " again" } else { "" };
                    self.count(format!("{kind:?}{again} {:?}", audit.phase));
                    self.count(format!("rounds {}", number + 1));
                }
            }
        }
    }
}

/// The name of a variant.
fn name_of(value: &impl core::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let name = text.split([' ', '{', '(']).next().unwrap_or_default();
    name.trim_start_matches("Event::").to_owned()
}

/// Plays a sequence and checks every promise after every action. At the end all deadlines pass,
/// and nothing of any job may be left.
fn live(actions: &[Action], reached: &mut Reached) {
    new_chain().execute_with(|| {
        // Some markets audit everything at first, some hardly anything.
        open_market(3 * (actions.len() % 3) as u32);
        for action in actions {
            System::reset_events();
            let before = pallet_balances::TotalIssuance::<Test>::get();
            match play(action) {
                Ok(()) => {
                    check_issuance(before);
                    check_everything();
                    reached.note(action);
                }
                // Undone: nothing has changed.
                Err(refusal) => {
                    assert_ne!(refusal, Error::<Test>::Corrupted.into(), "{action:?}");
                }
            }
        }
        // Every state lasts for less than this, and no job goes through more of them.
        for _ in 0..40 {
            System::set_block_number(now() + 1_000);
            begin_block(now() + 1);
            idle(Weight::MAX);
        }
        check_everything();
        nothing_is_left();
    });
}

/// All jobs are over: nothing of them may be stored or held.
fn nothing_is_left() {
    assert_eq!(Jobs::<Test>::iter().count(), 0, "a job found no way out");
    assert_eq!(Audits::<Test>::iter().count(), 0, "an audit is left");
    assert_eq!(Seats::<Test>::iter().count(), 0, "a seat is left");
    assert_eq!(Claims::<Test>::iter().count(), 0, "a claim is left");
    assert_eq!(Agenda::<Test>::iter().count(), 0, "an entry is left");
    assert_eq!(LiveJobs::<Test>::iter().count(), 0, "a live job is counted");
    for worker in Workers::<Test>::iter_values() {
        assert_eq!(worker.exposure, 0, "stake is left behind a job");
        assert_eq!(worker.open_audits, 0, "a seat is counted");
    }
    for who in PEOPLE {
        for reason in [
            HoldReason::Job,
            HoldReason::DisputeBond,
            HoldReason::AppealBond,
        ] {
            assert_eq!(held(who, reason), 0, "{reason:?} is left on {who}");
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn the_promises_hold_whatever_anyone_does() {
    let sequences = setting("INFERENCE_SEQUENCES", SEQUENCES);
    let first = setting("INFERENCE_SEED", 1);
    let strategy = vec(action(), 120..220);
    let reached = RefCell::new(Reached::default());
    for seed in first..first + sequences {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: 1,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |actions| {
            live(&actions, &mut reached.borrow_mut());
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("sequence with INFERENCE_SEED={seed} INFERENCE_SEQUENCES=1 fails: {error}");
        }
    }
    if sequences >= SEQUENCES {
        check_reach(&reached.borrow());
    }
}

/// How many sequences are played if nothing else is said.
const SEQUENCES: u64 = 900;

/// Everything that can happen did, and not by a freak of chance.
fn check_reach(reached: &Reached) {
    let least = |what: &str, least: u32| {
        let times = reached.times(what);
        assert!(
            times >= least,
            "{what}: {times} times only: {:#?}",
            reached.0
        );
    };
    let calls = reached.0.keys().filter(|what| what.starts_with("call "));
    assert_eq!(
        calls.clone().count(),
        31,
        "a call never succeeds: {:#?}",
        reached.0
    );
    calls.for_each(|call| least(call, 20));

    // Every state, on a job's first way and after a lateness.
    for state in [
        "Open",
        "Claimed",
        "Delivered",
        "Audit",
        "Decided",
        "Review",
        "Settled",
        "Cancelled",
        "Expired",
    ] {
        least(&format!("state {state}"), 500);
        least(&format!("state {state} after lateness"), 20);
    }
    least("state Slashing", 500);
    least("state Rejected", 200);

    // Every round and its redraw, in every phase; up to the longest audit.
    for kind in ["First", "Second", "Appeal"] {
        for phase in ["Drawing", "Commit", "Reveal", "Over"] {
            least(&format!("{kind} {phase}"), 200);
            least(&format!("{kind} again {phase}"), 10);
        }
    }
    for rounds in 1..=6 {
        least(&format!("rounds {rounds}"), 10);
    }
    for outcome in ["None", "Some(true)", "Some(false)"] {
        least(&format!("round {outcome}"), 100);
        least(&format!("audit {outcome}"), 100);
    }
    for event in [
        "AuditBegun",
        "AuditMissed",
        "AuditorPaid",
        "BondLost",
        "BondReturned",
        "JobLate",
        "JobRejected",
        "JobSettled",
        "ModelDropped",
        "RevealBegun",
        "SlashCancelled",
        "Slashed",
        "StakeWithdrawn",
        "WorkerChilled",
    ] {
        least(&format!("event {event}"), 30);
    }
    // Only where an account is below the existential deposit, and the amount is too.
    least("event PaymentDiverted", 10);
}
