//! Who may send what costs nothing.

use crate::{
    extension::{
        Carriers, CheckStanding, MAX_CARRIED, NOT_CARRIED, NO_CLAIM, NO_COMMITMENT, NO_SEAT,
        TOO_MANY_CARRIED,
    },
    mock::*,
    primitives::{
        audit::{ballot_commitment, Ballot},
        views::SeatStatus,
        *,
    },
    Call,
};
use frame_support::{assert_ok, dispatch::GetDispatchInfo, weights::Weight};
use sp_runtime::{
    traits::{DispatchTransaction, TransactionExtension, TxBaseImplication},
    transaction_validity::{
        InvalidTransaction, TransactionSource, TransactionValidityError, ValidTransaction,
    },
};

type Checked = Result<ValidTransaction, u8>;

/// What the pool says about a call.
fn check(who: AccountId, call: impl Into<RuntimeCall>) -> Checked {
    check_with::<()>(who, call.into())
}

fn check_with<C>(who: AccountId, call: RuntimeCall) -> Checked
where
    C: Carriers<Test> + Send + Sync + 'static,
{
    let before = state_root();
    let checked = CheckStanding::<Test, C>::default().validate_only(
        signed(who),
        &call,
        &call.get_dispatch_info(),
        0,
        TransactionSource::External,
        0,
    );
    assert_eq!(state_root(), before, "a check touched something");
    match checked {
        Ok((validity, _, _)) => Ok(validity),
        Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => Err(code),
        Err(other) => panic!("not one of the documented refusals: {other:?}"),
    }
}

fn delivery(job: JobId) -> Call<Test> {
    Call::deliver {
        job,
        output: OUTPUT.as_bytes().to_vec(),
        evidence: evidence::encode(&[5, 600, 2]),
        claim: result_claim(),
    }
}

fn commitment(job: JobId) -> Call<Test> {
    Call::commit_ballot {
        job,
        commitment: H256::zero(),
    }
}

const BALLOT: Ballot = Ballot {
    digest: H256::repeat_byte(1),
    valid: true,
};
const SALT: H256 = H256::repeat_byte(2);

fn reveal(job: JobId, ballot: Ballot, salt: H256) -> Call<Test> {
    Call::reveal_ballot {
        job,
        digest: ballot.digest,
        valid: ballot.valid,
        salt,
    }
}

/// A job of BOB's that is under audit, and who has seats.
fn audited() -> (JobId, Vec<AccountId>) {
    let job = delivered();
    run_to(now() + 3);
    assert_eq!(status(job), JobStatus::Audit);
    let drawn = [CAROL]
        .into_iter()
        .chain(AUDITORS)
        .filter(|who| !Inference::seats(*who, None, 16).is_empty())
        .collect();
    (job, drawn)
}

fn commit(who: AccountId, job: JobId) {
    let round = Inference::seats(who, None, 16)[0].round;
    let commitment =
        ballot_commitment(&Inference::genesis_hash(), job, round, &who, &BALLOT, &SALT);
    assert_ok!(Inference::commit_ballot(signed(who), job, commitment));
}

#[test]
fn only_the_worker_of_a_claim_may_deliver_and_only_in_time() {
    market(|| {
        let job = submit();
        assert_eq!(
            check(BOB, delivery(job)),
            Err(NO_CLAIM),
            "nobody has claimed"
        );
        assert_ok!(Inference::claim_job(signed(BOB), job));
        assert!(check(BOB, delivery(job)).is_ok());
        assert_eq!(check(CAROL, delivery(job)), Err(NO_CLAIM));
        assert_eq!(check(BOB, delivery(job + 1)), Err(NO_CLAIM));
        jump_to(11);
        assert!(check(BOB, delivery(job)).is_ok(), "the last block");
        jump_to(12);
        assert_eq!(check(BOB, delivery(job)), Err(NO_CLAIM), "late");

        let other = claimed();
        assert_ok!(deliver(BOB, other));
        assert_eq!(check(BOB, delivery(other)), Err(NO_CLAIM), "delivered");
    });
}

#[test]
fn only_a_seat_without_a_ballot_may_commit_and_only_in_time() {
    audited_market(|| {
        let (job, drawn) = audited();
        let who = drawn[0];
        assert!(check(who, commitment(job)).is_ok());
        for stranger in [ALICE, BOB, EVE] {
            assert_eq!(check(stranger, commitment(job)), Err(NO_SEAT));
        }
        assert_eq!(check(who, commitment(job + 1)), Err(NO_SEAT));
        let until = Inference::seats(who, None, 1)[0].until;
        jump_to(until);
        assert!(check(who, commitment(job)).is_ok());
        jump_to(until + 1);
        assert_eq!(check(who, commitment(job)), Err(NO_SEAT), "late");
    });
}

#[test]
fn a_seat_commits_once() {
    audited_market(|| {
        let (job, drawn) = audited();
        assert!(drawn.len() > 1, "else all have committed at once");
        commit(drawn[0], job);
        assert_eq!(check(drawn[0], commitment(job)), Err(NO_SEAT));
        assert!(check(drawn[1], commitment(job)).is_ok());
    });
}

#[test]
fn only_the_ballot_that_opens_the_commitment_may_be_revealed_and_only_then() {
    audited_market(|| {
        let (job, drawn) = audited();
        let who = drawn[0];
        let refused = Err(NO_COMMITMENT);
        assert_eq!(check(who, reveal(job, BALLOT, SALT)), refused);
        for auditor in &drawn {
            if *auditor != who {
                commit(*auditor, job);
            }
        }
        commit(who, job);
        assert_eq!(
            Inference::seats(who, None, 1)[0].status,
            SeatStatus::ToReveal
        );
        assert!(check(who, reveal(job, BALLOT, SALT)).is_ok());
        let turned = Ballot {
            valid: false,
            ..BALLOT
        };
        assert_eq!(check(who, reveal(job, turned, SALT)), refused);
        assert_eq!(check(who, reveal(job, BALLOT, H256::zero())), refused);
        assert_eq!(check(EVE, reveal(job, BALLOT, SALT)), refused);
        assert_eq!(
            check(who, commitment(job)),
            Err(NO_SEAT),
            "too late to commit"
        );

        let until = Inference::seats(who, None, 1)[0].until;
        jump_to(until + 1);
        assert_eq!(check(who, reveal(job, BALLOT, SALT)), refused, "late");
    });
}

#[test]
fn one_standing_is_good_for_one_transaction_in_the_pool() {
    market(|| {
        let (first, second) = (claimed(), claimed());
        let tags = |job| check(BOB, delivery(job)).expect("it has standing").provides;
        assert_eq!(tags(first).len(), 1);
        assert_eq!(tags(first), tags(first));
        assert_ne!(tags(first), tags(second));
    });
}

#[test]
fn other_calls_and_unsigned_ones_pass() {
    market(|| {
        let job = submit();
        for call in [
            Call::claim_job { job },
            Call::progress_job { job },
            Call::dispute_result { job },
            Call::chill {},
        ] {
            let validity = check(EVE, call).expect("it needs no standing");
            assert_eq!(validity, ValidTransaction::default());
        }
        // What nobody has signed is not for this extension to judge.
        let call = RuntimeCall::from(delivery(job));
        let passed = CheckStanding::<Test>::default().validate(
            RuntimeOrigin::none(),
            &call,
            &call.get_dispatch_info(),
            0,
            (),
            &TxBaseImplication(()),
            TransactionSource::External,
        );
        assert!(passed.is_ok_and(|(validity, ..)| validity == ValidTransaction::default()));
    });
}

/// Stands for proxies and batches: `set_heap_pages(n)` is operational, and here carries `n`
/// deliveries of job 0 in BOB's name. Only EVE may send it.
struct Carrier;

impl Carriers<Test> for Carrier {
    fn carried<'a>(
        who: &AccountId,
        call: &'a RuntimeCall,
    ) -> Option<Vec<(AccountId, &'a RuntimeCall)>> {
        let RuntimeCall::System(frame_system::Call::set_heap_pages { pages }) = call else {
            return Some(Vec::new());
        };
        let carried: &'static RuntimeCall = Box::leak(Box::new(delivery(0).into()));
        (*who == EVE).then(|| (0..*pages).map(|_| (BOB, carried)).collect())
    }
}

fn wrapper(carried: u64) -> RuntimeCall {
    RuntimeCall::System(frame_system::Call::set_heap_pages { pages: carried })
}

#[test]
fn calls_within_calls_need_the_standing_of_those_in_whose_name_they_are() {
    market(|| {
        let job = submit();
        assert_eq!(job, 0);
        let check = |who, carried| check_with::<Carrier>(who, wrapper(carried));
        assert_eq!(check(EVE, 1), Err(NO_CLAIM));
        assert_ok!(Inference::claim_job(signed(BOB), job));
        assert!(check(EVE, 1).is_ok());
        assert_eq!(check(CAROL, 1), Err(NOT_CARRIED));
        assert!(check(EVE, u64::from(MAX_CARRIED)).is_ok());
        assert_eq!(
            check(EVE, u64::from(MAX_CARRIED) + 1),
            Err(TOO_MANY_CARRIED)
        );
        let tags = |checked: Checked| checked.expect("it has standing").provides;
        let direct = check_with::<Carrier>(BOB, delivery(job).into());
        assert_eq!(tags(check(EVE, 1)), tags(direct), "one standing, one tag");
    });
}

#[test]
fn what_was_reserved_for_checks_that_were_not_needed_is_given_back() {
    market(|| {
        claimed();
        let extension = CheckStanding::<Test, Carrier>::default();
        let unused = |call: RuntimeCall| {
            let info = call.get_dispatch_info();
            let source = TransactionSource::External;
            let (_, unused, _) = extension
                .validate_only(signed(EVE), &call, &info, 0, source, 0)
                .expect("it has standing");
            unused
        };
        let carried = u64::from(MAX_CARRIED);
        let one = extension.weight(&wrapper(1)).saturating_div(carried);
        assert_eq!(
            extension.weight(&Call::<Test>::chill {}.into()),
            Weight::zero()
        );
        assert_eq!(unused(wrapper(3)), one.saturating_mul(carried - 3));
        assert_eq!(unused(wrapper(u64::from(MAX_CARRIED))), Weight::zero());
    });
}
