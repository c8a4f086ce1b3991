//! Workers and their stake.

use crate::{mock::*, primitives::*, Error, Event, HoldReason, Workers};
use frame_support::assert_ok;
use sp_runtime::{traits::BadOrigin, DispatchResult};

fn register(stake: Balance) -> DispatchResult {
    Inference::register_worker(signed(EVE), stake, bytes("wss://eve.example"))
}

fn unbond(amount: Balance) -> DispatchResult {
    Inference::unbond(signed(EVE), amount)
}

fn withdraw() -> DispatchResult {
    Inference::withdraw_unbonded(signed(EVE))
}

/// Parts of EVE's stake that are unbonding.
fn unbonding() -> Vec<(Balance, BlockNumber)> {
    let eve = Inference::worker(EVE).unwrap();
    eve.unbonding
        .iter()
        .map(|part| (part.amount, part.from))
        .collect()
}

#[test]
fn a_worker_is_registered_with_a_stake() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        assert_eq!(held(EVE, HoldReason::Stake), STAKE);
        let eve = Inference::worker(EVE).unwrap();
        assert_eq!((eve.stake, eve.free_stake, eve.exposure), (STAKE, STAKE, 0));
        assert_eq!(eve.endpoint.to_vec(), b"wss://eve.example");
        assert!(!eve.chilled);
        assert_eq!(
            events(),
            [Event::WorkerRegistered {
                worker: EVE,
                stake: STAKE
            }]
        );
    });
}

#[test]
fn registration_wants_the_minimum_and_the_money() {
    bare_market(|| {
        refuses(|| register(9_999), Error::StakeBelowMinimum);
        refuses(|| register(WEALTH), Error::BalanceTooLow);
        refuses(
            || {
                let endpoint = vec![0xff];
                Inference::register_worker(signed(EVE), STAKE, endpoint)
            },
            Error::EndpointNotUtf8,
        );
        assert_ok!(register(10_000));
        refuses(|| register(STAKE), Error::WorkerExists);
    });
}

#[test]
fn only_signed_accounts_are_workers() {
    bare_market(|| {
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            let o = || origin.clone();
            let calls = [
                Inference::register_worker(o(), STAKE, bytes("")),
                Inference::bond_more(o(), 1),
                Inference::set_endpoint(o(), bytes("")),
                Inference::chill(o()),
                Inference::activate(o()),
                Inference::unbond(o(), 1),
                Inference::withdraw_unbonded(o()),
            ];
            assert!(
                calls
                    .iter()
                    .all(|outcome| *outcome == Err(BadOrigin.into())),
                "{calls:?}"
            );
        }
    });
}

#[test]
fn who_is_no_worker_is_told_so() {
    bare_market(|| {
        refuses(|| Inference::bond_more(signed(EVE), 1), Error::NotAWorker);
        refuses(
            || Inference::set_endpoint(signed(EVE), bytes("")),
            Error::NotAWorker,
        );
        refuses(|| Inference::chill(signed(EVE)), Error::NotAWorker);
        refuses(|| Inference::activate(signed(EVE)), Error::NotAWorker);
        refuses(|| unbond(1), Error::NotAWorker);
        refuses(withdraw, Error::NotAWorker);
    });
}

#[test]
fn stake_can_be_added() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        assert_ok!(Inference::bond_more(signed(EVE), 7));
        assert_eq!(held(EVE, HoldReason::Stake), STAKE + 7);
        refuses(|| Inference::bond_more(signed(EVE), 0), Error::AmountZero);
        refuses(
            || Inference::bond_more(signed(EVE), WEALTH),
            Error::BalanceTooLow,
        );
        refuses(
            || Inference::bond_more(signed(EVE), Balance::MAX),
            Error::AmountTooLarge,
        );
    });
}

#[test]
fn an_endpoint_can_be_changed_and_cleared() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        assert_ok!(Inference::set_endpoint(signed(EVE), bytes("")));
        assert!(Inference::worker(EVE).unwrap().endpoint.is_empty());
        refuses(
            || Inference::set_endpoint(signed(EVE), vec![b'a'; 257]),
            Error::EndpointTooLong,
        );
        refuses(
            || Inference::set_endpoint(signed(EVE), vec![0xc3]),
            Error::EndpointNotUtf8,
        );
    });
}

#[test]
fn a_chilled_worker_takes_no_jobs_until_it_is_active_again() {
    market(|| {
        let running = claimed();
        assert_ok!(Inference::chill(signed(BOB)));
        refuses(|| Inference::chill(signed(BOB)), Error::AlreadyChilled);
        let job = submit();
        refuses(
            || Inference::claim_job(signed(BOB), job),
            Error::WorkerChilled,
        );
        // What it has claimed must still be delivered.
        assert_ok!(deliver(BOB, running));
        assert_ok!(Inference::activate(signed(BOB)));
        refuses(|| Inference::activate(signed(BOB)), Error::AlreadyActive);
        assert_ok!(Inference::claim_job(signed(BOB), job));
    });
}

#[test]
fn unbonded_stake_comes_back_after_the_period_and_not_before() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        assert_ok!(unbond(30_000));
        assert_eq!(unbonding(), [(30_000, 1 + UNBONDING)]);
        assert_eq!(Inference::worker(EVE).unwrap().free_stake, 70_000);
        assert_eq!(held(EVE, HoldReason::Stake), STAKE);
        jump_to(UNBONDING);
        refuses(withdraw, Error::NothingToWithdraw);
        jump_to(1 + UNBONDING);
        assert_ok!(withdraw());
        assert_eq!(held(EVE, HoldReason::Stake), 70_000);
        assert_eq!(free(EVE), WEALTH - 70_000);
        refuses(withdraw, Error::NothingToWithdraw);
    });
}

#[test]
fn unbonding_leaves_nothing_or_the_minimum() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        refuses(|| unbond(0), Error::AmountZero);
        refuses(|| unbond(STAKE + 1), Error::NotEnoughStake);
        refuses(|| unbond(STAKE - 9_999), Error::RemainderBelowMinimum);
        assert_ok!(unbond(STAKE - 10_000));
        refuses(|| unbond(10_001), Error::NotEnoughStake);
        assert_ok!(unbond(10_000));
        assert!(
            Inference::worker(EVE).unwrap().chilled,
            "nothing is left to work with"
        );
        refuses(
            || Inference::activate(signed(EVE)),
            Error::StakeBelowMinimum,
        );
    });
}

#[test]
fn unbonding_in_one_block_is_one_part_and_parts_are_limited() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        for block in 1..=4 {
            jump_to(block);
            assert_ok!(unbond(100));
            assert_ok!(unbond(100));
        }
        let parts = [1, 2, 3, 4].map(|block| (200, block + UNBONDING));
        assert_eq!(unbonding(), parts);
        jump_to(5);
        refuses(|| unbond(100), Error::TooManyUnbondings);
        jump_to(2 + UNBONDING);
        assert_ok!(withdraw());
        assert_eq!(unbonding(), parts[2..]);
        assert_ok!(unbond(100));
    });
}

#[test]
fn a_shorter_period_frees_later_parts_first_and_only_those() {
    bare_market(|| {
        assert_ok!(register(STAKE));
        assert_ok!(unbond(1_000));
        reparametrise(|p| p.unbonding_period = UNBONDING - 10);
        assert_ok!(unbond(500));
        let (long, short) = ((1_000, UNBONDING + 1), (500, UNBONDING - 9));
        assert_eq!(unbonding(), [long, short]);
        jump_to(UNBONDING - 9);
        assert_ok!(withdraw());
        assert_eq!(unbonding(), [long]);
        refuses(withdraw, Error::NothingToWithdraw);
        assert_eq!(free(EVE), WEALTH - STAKE + 500);
    });
}

#[test]
fn the_last_of_the_stake_ends_the_worker() {
    market(|| {
        assert_ok!(Inference::unbond(signed(BOB), STAKE));
        jump_to(1 + UNBONDING);
        undoes(
            || Inference::withdraw_unbonded(signed(BOB)),
            Error::OffersRemain,
        );
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert_eq!(free(BOB), WEALTH);
        assert_eq!(Workers::<Test>::get(BOB), None);
        // And may come again.
        assert_ok!(Inference::register_worker(signed(BOB), STAKE, bytes("")));
    });
}

#[test]
fn stake_behind_a_job_stays_until_the_job_is_final() {
    market(|| {
        reparametrise(|p| p.review_window = 29);
        let job = claimed();
        assert_ok!(Inference::unbond(signed(BOB), STAKE));
        jump_to(5);
        assert_ok!(deliver(BOB, job));
        // As if governance had shortened the period: the exposure alone keeps the stake.
        crate::Workers::<Test>::mutate(BOB, |bob| bob.as_mut().unwrap().unbonding[0].from = 6);
        jump_to(6);
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert_eq!(held(BOB, HoldReason::Stake), EXPOSURE);
        refuses(
            || Inference::withdraw_unbonded(signed(BOB)),
            Error::StakeBacksJobs,
        );

        assert_ok!(Inference::accept_result(signed(ALICE), job));
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert_eq!(held(BOB, HoldReason::Stake), 0);
    });
}

#[test]
fn unbonding_stake_takes_no_new_jobs_but_answers_for_old_ones() {
    market(|| {
        let job = claimed();
        assert_ok!(Inference::unbond(signed(BOB), STAKE - 10_000));
        let next = submit();
        refuses(
            || Inference::claim_job(signed(BOB), next),
            Error::FreeStakeTooSmall,
        );
        jump_to(12);
        let before = wealth(ALICE);
        assert_ok!(Inference::progress_job(signed(EVE), job));
        assert_eq!(wealth(ALICE), before + WORST_CASE / 2);
        assert_eq!(held(BOB, HoldReason::Stake), STAKE - WORST_CASE / 2);
    });
}

#[test]
fn a_worker_that_lost_everything_can_leave() {
    market(|| {
        reparametrise(|p| {
            p.exposure_factor = 1;
            p.late_share = sp_runtime::Permill::one();
            p.min_stake = WORST_CASE;
        });
        assert_ok!(Inference::register_worker(
            signed(EVE),
            WORST_CASE,
            bytes("")
        ));
        assert_ok!(offer(EVE, PRICES, 1));
        let job = submit();
        assert_ok!(Inference::claim_job(signed(EVE), job));
        run_to(12);
        assert_eq!(held(EVE, HoldReason::Stake), 0);
        undoes(withdraw, Error::OffersRemain);
        assert_ok!(Inference::remove_offer(signed(EVE), model()));
        assert_ok!(withdraw());
        assert_eq!(Inference::worker(EVE), None);
    });
}

#[test]
fn stake_stays_while_a_seat_is_open() {
    audited_market(|| {
        let job = delivered();
        run_to(now() + 3);
        let who = Inference::audit(job).unwrap().rounds[0].auditors[0].who;
        assert_eq!(Inference::worker(who).unwrap().open_audits, 1);
        assert_ok!(Inference::unbond(signed(who), 1_000));
        // As if it had been unbonding for long when it was drawn.
        Workers::<Test>::mutate(who, |worker| {
            worker.as_mut().unwrap().unbonding[0].from = now();
        });
        let withdraw = || Inference::withdraw_unbonded(signed(who));
        refuses(withdraw, Error::SeatsOpen);
        // Nobody says anything in any round: the result stands.
        while !status(job).is_final() {
            run_to(now() + 1);
        }
        assert_eq!(status(job), JobStatus::Settled);
        assert_eq!(Inference::worker(who).unwrap().open_audits, 0);
        assert_ok!(withdraw());
        assert_eq!(held(who, HoldReason::Stake), STAKE - 1_000);
    });
}
