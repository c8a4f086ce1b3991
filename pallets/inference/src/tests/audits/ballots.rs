//! `commit_ballot` and `reveal_ballot`.

use super::support::*;
use crate::{
    audits::{Phase, Said},
    mock::*,
    primitives::{audit::Ballot, views::SeatStatus, *},
    Error, Event,
};
use frame_support::{assert_ok, dispatch::Pays};
use sp_runtime::traits::BadOrigin;

/// ANNA, BERT and CLEO have committed to valid ballots.
fn to_reveal() -> JobId {
    let id = judged_by_three();
    for (who, _) in THREE {
        assert_ok!(commit(who, id, Act::Valid));
    }
    assert_eq!(audit(id).phase, Phase::Reveal);
    id
}

#[test]
fn a_commitment_is_free_and_hides_the_ballot() {
    court(|| {
        let id = judged_by_three();
        events();
        let outcome = commit(ANNA, id, Act::Invalid).unwrap();
        assert_eq!(outcome.pays_fee, Pays::No);
        assert_eq!(
            events(),
            [Event::BallotCommitted {
                job: id,
                round: 0,
                auditor: ANNA
            }]
        );
        let view = Inference::audit(id).unwrap();
        let seat = view.rounds[0]
            .auditors
            .iter()
            .find(|a| a.who == ANNA)
            .unwrap();
        assert!(seat.commitment.is_some());
        assert_eq!(seat.ballot, None);
        let waiting = &Inference::seats(ANNA, None, 16)[0];
        assert_eq!(waiting.status, SeatStatus::Committed);
        assert_eq!(
            audit(id).phase,
            Phase::Commit,
            "the others are still to come"
        );
    });
}

#[test]
fn the_last_commitment_begins_the_reveal_at_once() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(commit(ANNA, id, Act::Valid));
        assert_ok!(commit(BERT, id, Act::Valid));
        jump_to(now() + 2);
        events();
        assert_ok!(commit(CLEO, id, Act::Valid));
        let reveal_until = now() + terms(id).reveal_window;
        assert_eq!(until(id), reveal_until);
        assert!(events().contains(&Event::RevealBegun {
            job: id,
            until: reveal_until
        }));
        assert_eq!(
            Inference::seats(ANNA, None, 16)[0].status,
            SeatStatus::ToReveal
        );
    });
}

#[test]
fn commitments_end_with_their_window_even_if_nobody_notices() {
    court(|| {
        let id = judged_by_three();
        let last = until(id);
        jump_to(last);
        assert_ok!(commit(ANNA, id, Act::Valid));
        jump_to(last + 1);
        undoes(|| commit(BERT, id, Act::Valid), Error::NotCommitting);
        // Whoever moves it on, and when: the reveal counts from the deadline.
        jump_to(last + 3);
        undoes(|| commit(BERT, id, Act::Valid), Error::NotCommitting);
        undoes(|| reveal(ANNA, id, Act::Valid), Error::NotRevealing);
        let progressed = Inference::progress_job(signed(EVE), id).unwrap();
        assert_eq!(progressed.pays_fee, Pays::No);
        assert_eq!(until(id), last + terms(id).reveal_window);
        undoes(|| commit(BERT, id, Act::Valid), Error::NotCommitting);
        assert_ok!(reveal(ANNA, id, Act::Valid));
    });
}

#[test]
fn only_seats_of_the_present_round_commit_and_each_once() {
    court(|| {
        let zero = H256::zero();
        let open = submit();
        for id in [open, open + 1] {
            let error = if id == open {
                Error::NotUnderAudit
            } else {
                Error::JobUnknown
            };
            refuses(|| Inference::commit_ballot(signed(ANNA), id, zero), error);
        }
        let id = delivered();
        refuses(
            || Inference::commit_ballot(signed(ANNA), id, zero),
            Error::NotUnderAudit,
        );
        draw(id, &THREE);
        for stranger in [ALICE, BOB, DORA, EVE, NOBODY] {
            refuses(
                || Inference::commit_ballot(signed(stranger), id, zero),
                Error::NoSeat,
            );
        }
        assert_ok!(commit(ANNA, id, Act::Valid));
        refuses(|| commit(ANNA, id, Act::Invalid), Error::AlreadyCommitted);
        assert_ok!(commit(BERT, id, Act::Valid));
        assert_ok!(commit(CLEO, id, Act::Valid));
        refuses(|| commit(ANNA, id, Act::Valid), Error::AlreadyCommitted);
        assert_ok!(reveal(ANNA, id, Act::Valid));
        refuses(|| commit(ANNA, id, Act::Valid), Error::AlreadyCommitted);
        assert_ok!(reveal(BERT, id, Act::Valid));
        assert_ok!(reveal(CLEO, id, Act::Valid));
        refuses(|| commit(ANNA, id, Act::Valid), Error::NotUnderAudit);
    });
}

#[test]
fn between_rounds_nobody_has_a_seat() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Lazy), (BERT, Act::Invalid)]);
        assert_eq!(audit(id).phase, Phase::Drawing);
        for who in JURY {
            refuses(
                || Inference::commit_ballot(signed(who), id, H256::zero()),
                Error::NoSeat,
            );
            let zero = H256::zero();
            refuses(
                || Inference::reveal_ballot(signed(who), id, zero, true, zero),
                Error::NoSeat,
            );
        }
    });
}

#[test]
fn a_reveal_is_free_and_public() {
    court(|| {
        let id = to_reveal();
        let digest = replayed(id);
        events();
        let outcome = reveal(ANNA, id, Act::Valid).unwrap();
        assert_eq!(outcome.pays_fee, Pays::No);
        assert_eq!(
            events(),
            [Event::BallotRevealed {
                job: id,
                round: 0,
                auditor: ANNA,
                digest,
                valid: true
            }]
        );
        let ballot = Ballot {
            digest,
            valid: true,
        };
        let view = Inference::audit(id).unwrap();
        let seat = view.rounds[0]
            .auditors
            .iter()
            .find(|a| a.who == ANNA)
            .unwrap();
        assert_eq!(seat.ballot, Some(ballot));
        assert_eq!(
            Inference::seats(ANNA, None, 16)[0].status,
            SeatStatus::Revealed
        );
    });
}

#[test]
fn the_last_reveal_ends_the_round_at_once() {
    court(|| {
        let id = to_reveal();
        assert_ok!(reveal(ANNA, id, Act::Valid));
        assert_ok!(reveal(BERT, id, Act::Valid));
        assert_eq!(status(id), JobStatus::Audit, "two of three are not all");
        jump_to(now() + 1);
        events();
        assert_ok!(reveal(CLEO, id, Act::Valid));
        let decided_until = now() + terms(id).appeal_window;
        assert_eq!((status(id), until(id)), (JobStatus::Decided, decided_until));
        let events = events();
        assert!(events.contains(&Event::RoundEnded {
            job: id,
            round: 0,
            valid: Some(true)
        }));
        assert!(events.contains(&Event::AuditDecided {
            job: id,
            valid: Some(true),
            until: decided_until
        }));
        for (who, _) in THREE {
            assert!(Inference::seats(who, None, 16).is_empty());
            assert_eq!(Inference::worker(who).unwrap().open_audits, 0);
        }
    });
}

#[test]
fn only_what_was_committed_can_be_revealed() {
    court(|| {
        let id = to_reveal();
        let Ballot { digest, valid } = ballot(ANNA, id, Act::Valid).unwrap();
        for (digest, valid, salt) in [
            (digest, !valid, SALT),
            (H256::zero(), valid, SALT),
            (digest, valid, H256::zero()),
        ] {
            refuses(
                || Inference::reveal_ballot(signed(ANNA), id, digest, valid, salt),
                Error::CommitmentDiffers,
            );
        }
        assert_ok!(reveal(ANNA, id, Act::Valid));
        refuses(|| reveal(ANNA, id, Act::Valid), Error::AlreadyRevealed);
        refuses(|| reveal(ANNA, id, Act::Invalid), Error::AlreadyRevealed);
    });
}

#[test]
fn nothing_is_revealed_before_all_have_committed() {
    court(|| {
        let id = judged_by_three();
        refuses(|| reveal(ANNA, id, Act::Valid), Error::NothingCommitted);
        assert_ok!(commit(ANNA, id, Act::Valid));
        refuses(|| reveal(ANNA, id, Act::Valid), Error::NotRevealing);
        jump_to(until(id));
        refuses(|| reveal(ANNA, id, Act::Valid), Error::NotRevealing);
        run_to(until(id) + 1);
        refuses(|| reveal(BERT, id, Act::Valid), Error::NothingCommitted);
        assert_ok!(reveal(ANNA, id, Act::Valid));
    });
}

#[test]
fn reveals_end_with_their_window_even_if_nobody_notices() {
    court(|| {
        let id = to_reveal();
        let last = until(id);
        jump_to(last);
        assert_ok!(reveal(ANNA, id, Act::Valid));
        jump_to(last + 1);
        refuses(|| reveal(BERT, id, Act::Valid), Error::NotRevealing);
        idle(frame_support::weights::Weight::MAX);
        assert_eq!(audit(id).rounds.len(), 2, "one of three is no verdict");
        let zero = H256::zero();
        refuses(
            || Inference::reveal_ballot(signed(BERT), id, zero, true, zero),
            Error::NoSeat,
        );
        let said: Vec<_> = audit(id).rounds[0]
            .auditors
            .iter()
            .map(|a| a.said)
            .collect();
        let hidden = said
            .iter()
            .filter(|said| matches!(said, Said::Committed(_)));
        assert_eq!(hidden.count(), 2);
    });
}

#[test]
fn jobs_without_an_audit_take_no_reveals() {
    court(|| {
        let zero = H256::zero();
        let id = submit();
        refuses(
            || Inference::reveal_ballot(signed(ANNA), id + 1, zero, true, zero),
            Error::JobUnknown,
        );
        refuses(
            || Inference::reveal_ballot(signed(ANNA), id, zero, true, zero),
            Error::NotUnderAudit,
        );
        let id = judged_by_three();
        all_valid(id);
        for who in JURY {
            refuses(
                || Inference::reveal_ballot(signed(who), id, zero, true, zero),
                Error::NotUnderAudit,
            );
        }
    });
}

#[test]
fn a_refused_ballot_pays_its_fee() {
    court(|| {
        let id = judged_by_three();
        let zero = H256::zero();
        let commit = Inference::commit_ballot(signed(EVE), id, zero).unwrap_err();
        let reveal = Inference::reveal_ballot(signed(EVE), id, zero, true, zero).unwrap_err();
        assert_eq!(commit.post_info.pays_fee, Pays::Yes);
        assert_eq!(reveal.post_info.pays_fee, Pays::Yes);
    });
}

#[test]
fn only_signed_accounts_have_ballots() {
    court(|| {
        let id = judged_by_three();
        let zero = H256::zero();
        for origin in [RuntimeOrigin::root(), RuntimeOrigin::none()] {
            let commit = Inference::commit_ballot(origin.clone(), id, zero);
            assert_eq!(commit.unwrap_err().error, BadOrigin.into());
            let reveal = Inference::reveal_ballot(origin, id, zero, true, zero);
            assert_eq!(reveal.unwrap_err().error, BadOrigin.into());
        }
    });
}

#[test]
fn an_account_with_two_seats_has_one_ballot_that_weighs_two() {
    court(|| {
        let id = delivered();
        draw(id, &[(ANNA, 2), (BERT, 1)]);
        play_as(id, &[(ANNA, Act::Valid), (BERT, Act::Invalid)]);
        // Two of three seats, but one account: no verdict.
        assert_eq!(verdict(id), None);
        assert_eq!(audit(id).rounds.len(), 2);
        let id = delivered();
        draw(id, &[(ANNA, 2), (BERT, 1)]);
        all_invalid(id);
        assert_eq!(verdict(id), Some(false));
    });
}
