//! Nothing is left of a job in the end, and every deposit comes back.

use crate::{mock::*, primitives::*, Event, HoldReason};
use frame_support::{assert_ok, storage::StoragePrefixedMap};

/// All storage keys of the market, but for the outputs of blocks: those come and go by themselves.
fn keys() -> Vec<Vec<u8>> {
    let prefix = sp_io::hashing::twox_128(b"Inference");
    let outputs = crate::BlockOutputs::<Test>::final_prefix();
    let mut keys = Vec::new();
    let mut last = prefix.to_vec();
    while let Some(next) = sp_io::storage::next_key(&last).filter(|key| key.starts_with(&prefix)) {
        if !next.starts_with(&outputs) {
            keys.push(next.clone());
        }
        last = next;
    }
    keys
}

#[test]
fn every_end_of_a_job_leaves_no_storage_and_returns_all_deposits() {
    type Life = (&'static str, fn());
    let lives: [Life; 6] = [
        ("accepted", || {
            let job = delivered();
            assert_ok!(Inference::accept_result(signed(ALICE), job));
        }),
        ("settled by silence", || {
            delivered();
        }),
        ("cancelled", || {
            let job = submit();
            assert_ok!(Inference::cancel_job(signed(ALICE), job));
        }),
        ("never claimed", || {
            submit();
        }),
        ("late once", || {
            claimed();
        }),
        ("late twice", || {
            let job = claimed();
            run_to(12);
            assert_ok!(Inference::claim_job(signed(CAROL), job));
        }),
    ];
    for (name, live) in lives {
        market(|| {
            // The counter of jobs is the one thing that stays.
            crate::NextJobId::<Test>::put(0);
            let before = keys();
            live();
            assert!(keys().len() > before.len(), "{name}");
            run_to(200);
            assert_eq!(keys(), before, "{name}");
            assert_eq!(held(ALICE, HoldReason::Job), 0, "{name}");
        });
    }
}

#[test]
fn a_market_that_everybody_leaves_is_empty() {
    bare_market(|| {
        let before = keys();
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest())
        ));
        assert_ok!(Inference::register_worker(signed(BOB), STAKE, bytes("x")));
        assert_ok!(offer(BOB, PRICES, 1));
        assert_ok!(Inference::remove_offer(signed(BOB), model()));
        assert_ok!(Inference::unbond(signed(BOB), STAKE));
        assert_ok!(Inference::retire_model(signed(DAVE), model()));
        run_to(1 + UNBONDING);
        assert_ok!(Inference::withdraw_unbonded(signed(BOB)));
        assert_eq!(keys(), before);
        assert_eq!((free(BOB), free(DAVE)), (WEALTH, WEALTH));
    });
}

#[test]
fn a_record_is_kept_for_the_retention_and_not_longer() {
    market(|| {
        let job = delivered();
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        run_to(31);
        assert!(Inference::result(job).is_some());
        events();
        run_to(32);
        assert!(Inference::job(job).is_none());
        assert!(Inference::result(job).is_none());
        assert_eq!(events(), [Event::JobDropped { job }]);
    });
}

#[test]
fn deposits_shrink_with_what_is_stored() {
    market(|| {
        let job = submit();
        assert_eq!(
            held(ALICE, HoldReason::Job),
            MAX_FEE + JOB_DEPOSIT + DELIVERY_FEE
        );
        assert_ok!(Inference::claim_job(signed(BOB), job));
        assert_ok!(deliver(BOB, job));
        assert_eq!(
            held(ALICE, HoldReason::Job),
            FEE + JOB_DEPOSIT + DELIVERY_FEE
        );
        assert_ok!(Inference::accept_result(signed(ALICE), job));
        assert_eq!(held(ALICE, HoldReason::Job), 20 + OUTPUT.len() as Balance);
        run_to(32);
        assert_eq!(held(ALICE, HoldReason::Job), 0);
    });
}

#[test]
fn a_requester_whose_job_is_gone_can_close_its_account() {
    market(|| {
        delivered();
        run_to(100);
        assert_ok!(Balances::transfer_all(signed(ALICE), EVE, false));
        assert!(!System::account_exists(&ALICE));
        // And be funded and served again.
        assert_ok!(Balances::transfer_allow_death(signed(EVE), ALICE, 50_000));
        delivered();
    });
}

#[test]
fn a_requester_with_a_job_cannot_vanish() {
    market(|| {
        let job = claimed();
        assert_ok!(Balances::transfer_all(signed(ALICE), EVE, false));
        assert!(System::account_exists(&ALICE), "its holds keep the account");
        assert_ok!(deliver(BOB, job));
        run_to(100);
        assert_eq!(wealth(BOB), WEALTH + FEE - 1);
    });
}
