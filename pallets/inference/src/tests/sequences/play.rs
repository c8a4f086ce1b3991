//! How an action is played: whom and what its small numbers select.

use super::action::{Action, Idle};
use crate::{
    audits::{Audit, Phase, Said},
    mock::*,
    primitives::{
        audit::{ballot_commitment, Ballot},
        *,
    },
    Audits, Jobs, MarketParameters, Models, WeightInfo,
};
use codec::Encode;
use frame_support::{storage::with_storage_layer, traits::fungible::MutateFreeze};
use sp_runtime::{DispatchError, Permill};

pub(super) const PEOPLE: [AccountId; 9] = [
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
pub(super) const JURY: [AccountId; 5] = [BOB, CAROL, AUDITORS[0], AUDITORS[1], AUDITORS[2]];

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
pub(super) fn chosen(which: bool) -> ModelManifest {
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
pub(super) fn play(action: &Action) -> Result<(), DispatchError> {
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
            let weight = <() as WeightInfo>::on_idle_base()
                .saturating_add(<() as WeightInfo>::on_idle_entry())
                .saturating_add(Inference::most_progress_weight());
            while now() < last {
                jump_to(now() + 1);
                crate::mock::idle(weight);
            }
        }
    }
}
