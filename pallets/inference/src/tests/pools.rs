//! Audit pools: fixed before anybody can know which job they will be for.

use crate::{mock::*, pools::PoolMember, primitives::*, Candidates, LiveJobs, NewestPools, Pools};
use frame_support::assert_ok;

/// Who is in the pool of a job, and with how much stake.
fn pool_of(id: JobId) -> Vec<(AccountId, Balance)> {
    let Some(period) = job(id).pool else {
        return Vec::new();
    };
    members(Inference::pool(model(), period))
}

fn members(pool: Vec<PoolMember<AccountId>>) -> Vec<(AccountId, Balance)> {
    let mut members: Vec<_> = pool.into_iter().map(|m| (m.who, m.stake)).collect();
    members.sort();
    members
}

/// Who would be in the pool of a job submitted now.
fn present() -> Vec<(AccountId, Balance)> {
    members(Inference::present_pool(model()))
}

fn everybody() -> Vec<(AccountId, Balance)> {
    [BOB, CAROL]
        .into_iter()
        .chain(AUDITORS)
        .map(|who| (who, STAKE))
        .collect()
}

#[test]
fn a_worker_is_in_the_pool_after_a_whole_period_with_stake_and_offer() {
    market(|| {
        let early = submit();
        assert_eq!(job(early).pool, None);
        run_to(2 * PERIOD - 1);
        assert_eq!(
            present(),
            [],
            "the period in which it joined does not count"
        );
        run_to(2 * PERIOD);
        assert_eq!(present(), [(BOB, STAKE), (CAROL, STAKE)]);
        let job = submit();
        assert_eq!(pool_of(job), [(BOB, STAKE), (CAROL, STAKE)]);
        assert_eq!(LiveJobs::<Test>::get(model(), Some(2)), 1);
        assert_eq!(
            LiveJobs::<Test>::get(model(), None::<u32>),
            1,
            "the early one"
        );
    });
}

#[test]
fn that_nobody_can_be_drawn_is_found_out_once_in_a_period_and_charged_once() {
    market(|| {
        let candidates = Candidates::<Test>::get(model()).len() as u32;
        assert_eq!(Inference::use_pool(model()).looked_at, Some(candidates));
        assert_eq!(Inference::use_pool(model()).looked_at, None);
        let id = submit();
        assert_eq!(job(id).pool, None);
        assert_eq!(Inference::pool(model(), 0), []);
        assert_eq!(LiveJobs::<Test>::get(model(), Some(0)), 0);
        for _ in 0..2 {
            assert_eq!(Inference::end_live_job(model(), None), Ok(false));
        }

        // The next pool takes the place of the empty one.
        run_to(2 * PERIOD);
        assert_eq!(Inference::use_pool(model()).looked_at, Some(candidates));
        assert_eq!(Pools::<Test>::iter_keys().count(), 1);
        assert_eq!(NewestPools::<Test>::get(model()), Some(2));
        assert_eq!(Inference::end_live_job(model(), Some(2)), Ok(true));
    });
}

#[test]
fn an_empty_pool_is_made_again_if_a_candidate_was_only_chilled() {
    market(|| {
        run_to(2 * PERIOD);
        for who in [BOB, CAROL] {
            assert_ok!(Inference::chill(signed(who)));
        }
        assert_eq!(job(submit()).pool, None);
        assert_ok!(Inference::activate(signed(BOB)));
        assert_eq!(pool_of(submit()), [(BOB, STAKE)]);
    });
}

#[test]
fn without_candidates_nothing_is_kept() {
    new_chain().execute_with(|| {
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest())
        ));
        submit();
        assert_eq!(Pools::<Test>::iter_keys().count(), 0);
        assert_eq!(NewestPools::<Test>::iter_keys().count(), 0);
    });
}

#[test]
fn nothing_done_after_the_submission_changes_a_jobs_pool() {
    audited_market(|| {
        let id = submit();
        let pool = pool_of(id);
        assert_eq!(pool, everybody());
        let [a, b, c, d, _] = AUDITORS;

        // Between submission and delivery: more stake, less, none, no offer, a newcomer.
        assert_ok!(Inference::claim_job(signed(BOB), id));
        assert_ok!(Inference::bond_more(signed(a), 500_000));
        assert_ok!(Inference::unbond(signed(b), STAKE - 10_000));
        assert_ok!(Inference::unbond(signed(c), STAKE));
        assert_ok!(Inference::remove_offer(signed(d), model()));
        assert_ok!(Inference::register_worker(signed(EVE), 900_000, bytes("")));
        assert_ok!(offer(EVE, PRICES, 1));
        assert_eq!(pool_of(id), pool);
        assert_eq!(pool_of(submit()), pool, "a later job has the same pool");

        // Between delivery and draw.
        assert_ok!(deliver(BOB, id));
        assert_ok!(Inference::bond_more(signed(b), 500_000));
        assert_ok!(offer(d, PRICES, 1));
        assert_eq!(pool_of(id), pool);

        // The next period takes the least stake, and knows neither the newcomer nor the offer that
        // was taken back in between.
        run_to(3 * PERIOD);
        let next = pool_of(submit());
        let expected = [
            (BOB, STAKE),
            (CAROL, STAKE),
            (a, STAKE),
            (b, 10_000),
            (AUDITORS[4], STAKE),
        ];
        assert_eq!(next, expected);
        assert_eq!(pool_of(id), pool);

        // And the one after that counts what stood for all of it.
        run_to(4 * PERIOD);
        let after = pool_of(submit());
        assert!(after.contains(&(a, STAKE + 500_000)));
        assert!(after.contains(&(b, 510_000)));
        assert!(after.contains(&(d, STAKE)));
        assert!(after.contains(&(EVE, 900_000)));
        assert!(!after.iter().any(|(who, _)| *who == c));
    });
}

#[test]
fn stake_borrowed_for_a_while_counts_nothing() {
    audited_market(|| {
        let [a, ..] = AUDITORS;
        assert_ok!(Inference::bond_more(signed(a), 500_000));
        run_to(3 * PERIOD - 1);
        assert_ok!(Inference::unbond(signed(a), 500_000));
        for period in 3..6 {
            run_to(period * PERIOD);
            assert!(present().contains(&(a, STAKE)), "period {period}");
        }
    });
}

#[test]
fn a_worker_that_takes_no_jobs_is_left_out_of_new_pools() {
    audited_market(|| {
        let [a, ..] = AUDITORS;
        assert_ok!(Inference::chill(signed(a)));
        assert!(!present().contains(&(a, STAKE)));
        let id = submit();
        // Its coming back does not change the pool.
        assert_ok!(Inference::activate(signed(a)));
        assert_eq!(pool_of(id).len(), everybody().len() - 1);
        assert_eq!(pool_of(submit()), pool_of(id));
        run_to(3 * PERIOD);
        assert_eq!(pool_of(submit()), everybody());
    });
}

#[test]
fn lost_stake_weighs_less_from_the_next_period_on() {
    audited_market(|| {
        let id = claimed();
        run_to(now() + 11);
        let left = STAKE - WORST_CASE / 2;
        assert_eq!(crate::Workers::<Test>::get(BOB).unwrap().stake, left);
        assert_eq!(pool_of(id), everybody());
        run_to(5 * PERIOD);
        assert!(present().contains(&(BOB, left)));
    });
}

#[test]
fn an_offer_that_is_changed_keeps_its_place_and_one_that_is_taken_back_loses_it() {
    audited_market(|| {
        let [a, b, ..] = AUDITORS;
        assert_ok!(offer(a, PRICES, 1));
        assert_ok!(Inference::remove_offer(signed(b), model()));
        assert_ok!(offer(b, PRICES, 1));
        run_to(3 * PERIOD);
        assert!(present().contains(&(a, STAKE)));
        assert!(!present().contains(&(b, STAKE)));
        run_to(4 * PERIOD);
        assert_eq!(present(), everybody());
    });
}

#[test]
fn pools_go_with_their_last_job() {
    audited_market(|| {
        let first = submit();
        let second = submit();
        run_to(3 * PERIOD);
        let third = submit();
        assert_eq!(Pools::<Test>::iter_keys().count(), 2);
        assert_ok!(Inference::cancel_job(signed(ALICE), first));
        assert_eq!(Pools::<Test>::iter_keys().count(), 2, "the second needs it");
        assert_ok!(Inference::cancel_job(signed(ALICE), second));
        assert_eq!(Pools::<Test>::iter_keys().count(), 1);

        // The present one stays, so that another job of the period sees the same.
        let pool = pool_of(third);
        assert_ok!(Inference::cancel_job(signed(ALICE), third));
        assert_ok!(Inference::remove_offer(signed(AUDITORS[0]), model()));
        let fourth = submit();
        assert_eq!(pool_of(fourth), pool);
        assert_ok!(Inference::cancel_job(signed(ALICE), fourth));
        assert_eq!(LiveJobs::<Test>::iter_keys().count(), 0);

        // Until the next one is made.
        run_to(4 * PERIOD);
        assert_eq!(Pools::<Test>::iter_keys().count(), 1);
        let fifth = submit();
        assert_eq!(Pools::<Test>::iter_keys().count(), 1);
        assert_eq!(NewestPools::<Test>::get(model()), job(fifth).pool);

        // With its job, if its period is over by then.
        run_to(5 * PERIOD);
        assert_ok!(Inference::cancel_job(signed(ALICE), fifth));
        assert_eq!(Pools::<Test>::iter_keys().count(), 0);
        assert_eq!(NewestPools::<Test>::iter_keys().count(), 0);
    });
}

#[test]
fn a_models_last_pool_goes_with_the_model() {
    for retire_first in [false, true] {
        audited_market(|| {
            let id = submit();
            if retire_first {
                assert_ok!(Inference::retire_model(signed(DAVE), model()));
            }
            assert_ok!(Inference::cancel_job(signed(ALICE), id));
            if !retire_first {
                assert_eq!(Pools::<Test>::iter_keys().count(), 1);
                assert_ok!(Inference::retire_model(signed(DAVE), model()));
            }
            assert_eq!(Pools::<Test>::iter_keys().count(), 0);
            assert_eq!(LiveJobs::<Test>::iter_keys().count(), 0);
            assert_eq!(NewestPools::<Test>::iter_keys().count(), 0);
        });
    }
}

#[test]
fn candidates_are_those_who_offer_the_model() {
    market(|| {
        assert_eq!(Candidates::<Test>::get(model()).into_inner(), [BOB, CAROL]);
        assert_ok!(offer(BOB, PRICES, 2));
        assert_eq!(Candidates::<Test>::get(model()).into_inner(), [BOB, CAROL]);
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_eq!(Candidates::<Test>::get(model()).into_inner(), [CAROL]);
        assert_ok!(Inference::remove_offer(signed(CAROL), model()));
        assert_eq!(Candidates::<Test>::iter_keys().count(), 0);
    });
}

#[test]
fn the_256_largest_stakes_are_candidates() {
    market(|| {
        reparametrise(|p| p.min_stake = 1_000);
        let small = |n: u64| 1_000 + n;
        // With BOB and CAROL they are 256.
        for (n, stake) in (0..254).map(|n| (n, 1_000 + Balance::from(n))) {
            let payer = [ALICE, DAVE, EVE][n as usize % 3];
            assert_ok!(Balances::transfer_keep_alive(
                signed(payer),
                small(n),
                stake + 200
            ));
            assert_ok!(Inference::register_worker(
                signed(small(n)),
                stake,
                bytes("")
            ));
            assert_ok!(offer(small(n), PRICES, 1));
        }
        assert_eq!(Candidates::<Test>::get(model()).len(), 256);

        // Nobody makes room for as little as it has itself.
        let [a, b, ..] = AUDITORS;
        assert_ok!(Inference::register_worker(signed(a), 1_000, bytes("")));
        assert_ok!(offer(a, PRICES, 1));
        assert!(!Candidates::<Test>::get(model()).contains(&a));
        assert!(
            crate::Offers::<Test>::contains_key(model(), a),
            "it can still work"
        );

        assert_ok!(Inference::register_worker(signed(b), 1_001, bytes("")));
        assert_ok!(offer(b, PRICES, 1));
        let candidates = Candidates::<Test>::get(model());
        assert_eq!(candidates.len(), 256);
        assert!(candidates.contains(&b) && !candidates.contains(&small(0)));

        // Who lost its place takes it back with more stake.
        assert_ok!(Inference::bond_more(signed(a), 5_000));
        assert!(!Candidates::<Test>::get(model()).contains(&a));
        assert_ok!(offer(a, PRICES, 1));
        let candidates = Candidates::<Test>::get(model());
        assert!(candidates.contains(&a));
        assert_eq!(candidates.len(), 256);

        run_to(2 * PERIOD);
        let pool = pool_of(submit());
        assert_eq!(pool.len(), 256);
        assert!(
            pool.contains(&(a, 6_000)),
            "its offer was there all the time"
        );
    });
}

#[test]
fn another_period_length_begins_a_new_period() {
    audited_market(|| {
        assert_eq!(Inference::current_period(), 2);
        let id = submit();
        let pool = pool_of(id);
        run_to(2 * PERIOD + 3);
        reparametrise(|p| p.pool_period = 50);
        assert_eq!(Inference::current_period(), 3);
        assert_eq!(pool_of(id), pool);
        run_to(2 * PERIOD + 3 + 49);
        assert_eq!(Inference::current_period(), 3);
        run_to(2 * PERIOD + 3 + 50);
        assert_eq!(Inference::current_period(), 4);
        // Another change of parameters leaves the periods alone.
        reparametrise(|p| p.min_stake += 1);
        assert_eq!(Inference::current_period(), 4);
    });
}

#[test]
fn a_period_in_which_stake_came_does_not_count_after_a_change_of_length_either() {
    market(|| {
        reparametrise(|p| p.pool_period = 3);
        assert_eq!(present(), [], "period 1 follows the one of the offers");
        run_to(4);
        assert_eq!(present(), [(BOB, STAKE), (CAROL, STAKE)]);
    });
}
