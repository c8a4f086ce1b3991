//! Money that somebody tries to keep from moving.

use crate::{mock::*, primitives::*, Event, HoldReason};
use frame_support::{
    assert_ok,
    traits::{fungible::MutateFreeze, LockableCurrency, WithdrawReasons},
};

#[test]
fn a_requester_who_freezes_or_locks_its_funds_blocks_nothing() {
    type Trick = (&'static str, fn());
    let tricks: [Trick; 2] = [
        ("freeze", || {
            assert_ok!(Balances::set_freeze(&7, &ALICE, Balance::MAX));
        }),
        ("lock", || {
            Balances::set_lock(*b"obstacle", &ALICE, Balance::MAX, WithdrawReasons::all())
        }),
    ];
    for (name, trick) in tricks {
        market(|| {
            let (settled, expired, cancelled) = (claimed(), submit(), submit());
            trick();
            assert_ok!(deliver(BOB, settled));
            assert_ok!(Inference::accept_result(signed(ALICE), settled));
            assert_ok!(Inference::cancel_job(signed(ALICE), cancelled));
            run_to(100);
            assert_eq!(wealth(BOB), WEALTH + FEE - 1, "{name}");
            assert_eq!(wealth(TREASURY), ED + DELIVERY_FEE + 1, "{name}");
            assert_eq!(held(ALICE, HoldReason::Job), 0, "{name}");
            assert!(Inference::job(expired).is_none(), "{name}");
        });
    }
}

#[test]
fn a_worker_who_freezes_its_stake_pays_all_the_same() {
    market(|| {
        claimed();
        assert_ok!(Balances::set_freeze(&7, &BOB, Balance::MAX));
        run_to(12);
        assert_eq!(wealth(ALICE), WEALTH + WORST_CASE / 2);
        assert_eq!(held(BOB, HoldReason::Stake), STAKE - WORST_CASE / 2);
    });
}

/// Empties an account's free balance; its holds stay. Needs a second reason for it to exist, as an
/// account used by another pallet has.
fn impoverish(who: AccountId) {
    System::inc_providers(&who);
    assert_ok!(Balances::transfer_all(signed(who), EVE, false));
    assert_eq!(free(who), 0);
}

#[test]
fn a_worker_below_the_existential_deposit_is_still_paid() {
    market(|| {
        let job = claimed();
        impoverish(BOB);
        assert_ok!(deliver(BOB, job));
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        // The model's least fee makes sure that this alone is an account.
        assert_eq!(free(BOB), FEE - 1);
        assert!(free(BOB) >= ED);
    });
}

#[test]
fn a_share_of_nothing_goes_astray_nowhere() {
    market(|| {
        assert_ok!(Balances::transfer_all(signed(TREASURY), EVE, false));
        reparametrise(|p| {
            p.protocol_share = sp_runtime::Permill::zero();
            p.delivery_fee = 0;
            p.delivery_fee_per_byte = 0;
        });
        let job = delivered();
        events();
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        assert_eq!(wealth(BOB), WEALTH + FEE);
        let diverted = |event: &Event<Test>| matches!(event, Event::PaymentDiverted { .. });
        assert!(!events().iter().any(diverted));
    });
}

#[test]
fn shares_that_the_treasury_cannot_receive_go_to_the_worker() {
    market(|| {
        // A treasury that nobody has funded: 1 base unit of share cannot make an account.
        assert_ok!(Balances::transfer_all(signed(TREASURY), EVE, false));
        assert!(!System::account_exists(&TREASURY));
        reparametrise(|p| p.delivery_fee_per_byte = 0);
        let job = delivered();
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        // The whole fee, and the prepaid delivery of 7.
        assert_eq!(wealth(BOB), WEALTH + FEE + 7);
        assert_eq!(wealth(TREASURY), 0);
        // The prepaid delivery and the protocol's share.
        assert!(events().contains(&Event::PaymentDiverted {
            payee: TREASURY,
            instead: Some(BOB),
            amount: 7 + 1
        }));
    });
}

#[test]
fn dust_that_its_owner_cannot_receive_goes_to_the_treasury() {
    market(|| {
        reparametrise(|p| p.job_deposit_per_byte = 0);
        let job = submit();
        impoverish(ALICE);
        // The escrow comes back whole; then there is an account again for all the rest.
        assert_ok!(Inference::cancel_job(signed(ALICE), job));
        assert_eq!(free(ALICE), MAX_FEE + DELIVERY_FEE);
        assert_ok!(Balances::transfer_all(signed(ALICE), EVE, false));
        // What is left is the record's deposit of 20: below the existential deposit.
        let treasury = free(TREASURY);
        run_to(40);
        assert_eq!(held(ALICE, HoldReason::Job), 0);
        assert_eq!(free(TREASURY), treasury + 20);
        assert!(events().contains(&Event::PaymentDiverted {
            payee: ALICE,
            instead: Some(TREASURY),
            amount: 20
        }));
    });
}

#[test]
fn dust_that_nobody_can_receive_is_burnt_and_blocks_nothing() {
    new_chain().execute_with(|| {
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest())
        ));
        reparametrise(|p| p.job_deposit_per_byte = 0);
        let job = submit();
        impoverish(ALICE);
        assert_ok!(Inference::cancel_job(signed(ALICE), job));
        assert_ok!(Balances::transfer_all(signed(ALICE), EVE, false));
        assert_ok!(Balances::transfer_all(signed(TREASURY), EVE, false));
        let issuance = pallet_balances::TotalIssuance::<Test>::get();
        run_to(40);
        assert_eq!(Inference::job(job), None);
        assert_eq!(pallet_balances::TotalIssuance::<Test>::get(), issuance - 20);
        check_everything();
    });
}

#[test]
fn holds_of_many_roles_on_one_account_do_not_mix() {
    market(|| {
        // EVE is everything at once.
        assert_ok!(Inference::register_worker(signed(EVE), STAKE, bytes("")));
        let mut own = manifest();
        own.name = bytes("eve's");
        assert_ok!(Inference::register_model(signed(EVE), registration(&own)));
        assert_ok!(Inference::set_offer(signed(EVE), own.id(), 10, 20, 2));
        assert_ok!(Inference::submit_job(
            signed(EVE),
            own.id(),
            bytes(INPUT),
            10,
            MAX_FEE
        ));
        let job = last_job();
        assert_ok!(Inference::claim_job(signed(EVE), job));
        check_everything();
        // Late with its own job: it compensates itself.
        run_to(12);
        check_everything();
        assert_eq!(held(EVE, HoldReason::Stake), STAKE - WORST_CASE / 2);
        assert_eq!(wealth(EVE), WEALTH);
        run_to(100);
        assert_eq!(held(EVE, HoldReason::Job), 0);
    });
}
