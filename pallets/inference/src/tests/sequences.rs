//! Random lives of a whole market: whatever anyone does in whatever order, with blocks passing in
//! between, the promises hold after every single call.
//!
//! `INFERENCE_SEQUENCES=20000` runs more sequences, `INFERENCE_SEED=7` others. A failure names the
//! seed of its sequence, and proptest shrinks the sequence to the calls that matter.

use crate::{mock::*, primitives::*, Error, Jobs, Models};
use frame_support::{
    assert_ok, storage::with_storage_layer, traits::fungible::MutateFreeze, weights::Weight,
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use sp_runtime::{DispatchError, Permill};

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
        8 => (any::<u8>(), idle).prop_map(|(blocks, idle)| Pass { blocks, idle }),
        1 => any::<(u8, u8, u8)>()
            .prop_map(|(tight, share, factor)| SetParameters { tight, share, factor }),
        2 => any::<(u8, u8, u8)>().prop_map(|(from, to, share)| Transfer { from, to, share }),
        1 => any::<(u8, u32)>().prop_map(|(who, amount)| Freeze { who, amount }),
        1 => any::<(u8, u8)>().prop_map(|(who, left)| Impoverish { who, left }),
    ]
}

const PEOPLE: [AccountId; 6] = [ALICE, BOB, CAROL, DAVE, EVE, TREASURY];

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
            let blocks = if blocks % 8 == 1 {
                UNBONDING
            } else if blocks % 4 == 0 {
                u32::from(blocks)
            } else {
                u32::from(blocks % 8)
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
    let last = now() + blocks;
    match idle {
        Idle::Nothing => jump_to(last),
        Idle::Everything => run_to(last),
        Idle::OneJob => {
            use crate::WeightInfo;
            let weight = <() as WeightInfo>::on_idle_base()
                .saturating_add(<() as WeightInfo>::on_idle_job());
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

/// Two models and two workers to begin with.
fn open_market() {
    for which in [false, true] {
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&chosen(which))
        ));
    }
    for worker in [BOB, CAROL] {
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
}

/// Plays a sequence and checks every promise after every action. At the end all deadlines pass,
/// and nothing of any job may be left.
fn live(actions: &[Action]) {
    new_chain().execute_with(|| {
        open_market();
        for action in actions {
            System::reset_events();
            let before = pallet_balances::TotalIssuance::<Test>::get();
            let outcome = play(action);
            assert_ne!(outcome, Err(Error::<Test>::Corrupted.into()), "{action:?}");
            check_issuance(before);
            check_everything();
        }
        // Longer than any window of any job.
        jump_to(now() + 1_000);
        idle(Weight::MAX);
        jump_to(now() + 1_000);
        idle(Weight::MAX);
        check_everything();
        assert_eq!(Jobs::<Test>::iter().count(), 0, "a job found no way out");
        for who in PEOPLE {
            assert_eq!(
                held(who, crate::HoldReason::JobEscrow),
                0,
                "escrow is left on {who}"
            );
            assert_eq!(
                held(who, crate::HoldReason::JobDeposit),
                0,
                "a deposit is left on {who}"
            );
        }
    });
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
    let sequences = setting("INFERENCE_SEQUENCES", 1_000);
    let first = setting("INFERENCE_SEED", 1);
    let strategy = vec(action(), 50..100);
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
            live(&actions);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("sequence with INFERENCE_SEED={seed} INFERENCE_SEQUENCES=1 fails: {error}");
        }
    }
}

#[test]
fn random_sequences_reach_every_state_and_every_call_succeeds_somewhere() {
    use std::collections::BTreeMap;
    let mut successes: BTreeMap<String, u32> = BTreeMap::new();
    let mut states: BTreeMap<String, u32> = BTreeMap::new();
    let mut key = [0; 32];
    for seed in 0..100u64 {
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let actions = vec(action(), 50..100)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        new_chain().execute_with(|| {
            open_market();
            for action in actions {
                if play(&action).is_ok() {
                    let name = format!("{action:?}");
                    let name = name.split([' ', '{']).next().unwrap_or_default().to_owned();
                    *successes.entry(name).or_default() += 1;
                }
                for job in Jobs::<Test>::iter_values() {
                    let late = if job.barred.is_some() {
                        " after lateness"
                    } else {
                        ""
                    };
                    let name = format!("{:?}{late}", job.state.status());
                    *states.entry(name).or_default() += 1;
                }
            }
        });
    }
    assert_eq!(
        successes.len(),
        22,
        "some action never succeeds: {successes:?}"
    );
    assert!(
        successes.values().all(|count| *count >= 10),
        "some action hardly ever succeeds: {successes:?}"
    );
    // Each of the six, on a job's first way and after a lateness.
    assert_eq!(states.len(), 12, "some state is never reached: {states:?}");
}
