//! What auditors lose, and when.

use super::support::*;
use crate::{
    audits::{Said, SlashCause},
    mock::*,
    primitives::*,
    Event,
};
use frame_support::assert_ok;

/// What everybody of the jury has lost of its stake.
fn lost() -> Vec<(AccountId, Balance)> {
    let lost = JURY.map(|who| (who, STAKE - stake(who)));
    lost.into_iter().filter(|(_, lost)| *lost > 0).collect()
}

#[test]
fn a_seat_against_the_verdict_loses_a_fifth_of_the_exposure_after_the_delay() {
    for act in [Act::Invalid, Act::Lazy, Act::Spite] {
        court(|| {
            let id = judged_by_three();
            play_as(id, &[(ANNA, act)]);
            let before = free(TREASURY);
            events();
            pass(id);
            assert_eq!(lost(), [], "there is time to cancel");
            let after = until(id);
            assert!(events().contains(&Event::SlashScheduled {
                job: id,
                who: ANNA,
                amount: WRONG_FINE,
                after
            }));
            let view = Inference::audit(id).unwrap();
            assert_eq!(view.slashes.len(), 1);
            assert_eq!((view.slashes[0].who, view.slashes[0].at), (ANNA, after + 1));
            pass(id);
            assert_eq!(lost(), [(ANNA, WRONG_FINE)]);
            assert_eq!(
                free(TREASURY),
                before + PROTOCOL + DELIVERY_FEE + WRONG_FINE
            );
            assert!(events().contains(&Event::Slashed {
                job: id,
                who: ANNA,
                amount: WRONG_FINE
            }));
        });
    }
}

#[test]
fn a_silent_seat_loses_little_and_is_chilled_at_once() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Silent)]);
        assert_eq!(verdict(id), Some(true));
        assert!(Inference::worker(ANNA).unwrap().chilled);
        finish(id);
        assert_eq!(lost(), [(ANNA, SILENT_FINE)]);
        // It says itself when it is back.
        assert_ok!(Inference::activate(signed(ANNA)));
    });
}

#[test]
fn a_ballot_that_is_not_revealed_is_fined_as_wrong() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Hide)]);
        assert_eq!(verdict(id), Some(true));
        finish(id);
        assert_eq!(lost(), [(ANNA, WRONG_FINE)]);
    });
}

#[test]
fn a_hidden_ballot_is_fined_even_without_a_verdict_and_silence_too() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Hide), (BERT, Act::Silent)]);
        draw(
            id,
            &[(CAROL, 1), (ANNA, 1), (CLEO, 1), (DORA, 1), (EMIL, 1)],
        );
        play(id, |who| match who {
            CAROL | DORA => Act::Valid,
            CLEO | EMIL => Act::Invalid,
            _ => Act::Lazy,
        });
        assert_eq!(verdict(id), None);
        finish(id);
        assert_eq!(lost(), [(ANNA, WRONG_FINE), (BERT, SILENT_FINE)]);
    });
}

#[test]
fn fines_are_per_seat() {
    court(|| {
        let id = delivered();
        draw(id, &[(ANNA, 1), (BERT, 2)]);
        play_as(id, &[(BERT, Act::Silent)]);
        draw(id, &[(ANNA, 1), (CLEO, 1), (DORA, 2), (EMIL, 1)]);
        play_as(id, &[(DORA, Act::Invalid)]);
        assert_eq!(verdict(id), Some(true));
        finish(id);
        assert_eq!(lost(), [(BERT, 2 * SILENT_FINE), (DORA, 2 * WRONG_FINE)]);
    });
}

#[test]
fn fines_of_all_rounds_add_up_to_one_slash() {
    court(|| {
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid), (BERT, Act::Silent)]);
        draw(
            id,
            &[(CAROL, 1), (ANNA, 1), (CLEO, 1), (DORA, 1), (EMIL, 1)],
        );
        play_as(id, &[(ANNA, Act::Lazy)]);
        pass(id);
        let slashes = audit(id).slashes;
        assert_eq!(slashes.len(), 2);
        assert!(slashes
            .iter()
            .all(|slash| slash.cause == SlashCause::Auditor));
        finish(id);
        assert_eq!(lost(), [(ANNA, 2 * WRONG_FINE), (BERT, SILENT_FINE)]);
    });
}

#[test]
fn other_rounds_are_judged_by_the_final_verdict_whatever_they_decided() {
    court(|| {
        // All of the first round were wrong, as the appeal finds.
        let id = judged_by_three();
        play_as(id, &[(CLEO, Act::Spite)]);
        assert_eq!(verdict(id), Some(true));
        appeal(ALICE, id, &SEVEN);
        all_invalid(id);
        finish(id);
        // CLEO said so, though her digest was made up: under another seed that cannot be judged.
        assert_eq!(lost(), [(ANNA, WRONG_FINE), (BERT, WRONG_FINE)]);
    });
}

#[test]
fn in_the_deciding_round_the_digest_counts() {
    court(|| {
        let id = judged_by_three();
        all_invalid(id);
        appeal(BOB, id, &SEVEN);
        play_as(id, &[(EMIL, Act::Spite)]);
        let id_of_round = audit(id).verdict().unwrap().0;
        assert_eq!(id_of_round, 1);
        finish(id);
        let lost = lost();
        // EMIL voted against on top of a made-up digest; the whole first round was overruled.
        let expected = [ANNA, BERT, CLEO, EMIL].map(|who| (who, WRONG_FINE));
        assert_eq!(lost, expected);
    });
    court(|| {
        let id = judged_by_three();
        all_valid(id);
        appeal(ALICE, id, &SEVEN);
        play_as(id, &[(EMIL, Act::Lazy)]);
        assert_eq!(verdict(id), Some(true));
        finish(id);
        assert_eq!(lost(), [(EMIL, WRONG_FINE)]);
    });
}

#[test]
fn excused_seats_are_neither_fined_nor_chilled_for_silence_but_are_for_lies() {
    for (act, fine) in [
        (Act::Silent, 0),
        (Act::Invalid, WRONG_FINE),
        (Act::Valid, 0),
    ] {
        court(|| {
            reparametrise(|p| p.fined_audits = 1);
            // The first audit of ANNA's stays open while the second is drawn.
            let first = delivered();
            fix_draw(first, |_, drawn| drawn == THREE);
            pass(first);
            let id = delivered();
            draw(id, &[(ANNA, 1), (DORA, 1), (EMIL, 1)]);
            let excused: Vec<_> = audit(id).rounds[0]
                .auditors
                .iter()
                .filter(|auditor| auditor.excused)
                .map(|auditor| auditor.who)
                .collect();
            assert_eq!(excused, [ANNA]);
            all_valid(first);
            play_as(id, &[(ANNA, act)]);
            assert_eq!(verdict(id), Some(true));
            finish(id);
            assert_eq!(stake(ANNA), STAKE - fine, "{act:?}");
            assert!(!Inference::worker(ANNA).unwrap().chilled);
            let paid = if act == Act::Valid { 2 * PAY } else { PAY };
            assert_eq!(free(ANNA), WEALTH - STAKE - 50 + paid);
        });
    }
}

#[test]
fn in_an_outage_nobody_is_fined_though_others_are_later() {
    court(|| {
        let id = judged_by_three();
        play(id, |who| if who == ANNA { Act::Hide } else { Act::Silent });
        let outage = &audit(id).rounds[0];
        assert!(outage
            .auditors
            .iter()
            .any(|a| matches!(a.said, Said::Committed(_))));
        draw(id, &THREE);
        play_as(id, &[(BERT, Act::Silent)]);
        finish(id);
        assert_eq!(lost(), [(BERT, SILENT_FINE)]);
    });
}

#[test]
fn a_fine_takes_no_more_than_there_is_and_unbonding_stake_too() {
    court(|| {
        let id = judged_by_three();
        assert_ok!(Inference::unbond(signed(ANNA), STAKE));
        play_as(id, &[(ANNA, Act::Invalid)]);
        pass(id);
        // Another slash leaves less than the fine.
        lose_stake(ANNA, STAKE - 10);
        events();
        pass(id);
        assert!(events().contains(&Event::Slashed {
            job: id,
            who: ANNA,
            amount: 10
        }));
        assert_eq!(stake(ANNA), 0);
        // It may leave with nothing.
        assert_ok!(Inference::remove_offer(signed(ANNA), model()));
        assert_ok!(Inference::withdraw_unbonded(signed(ANNA)));
        assert!(Inference::worker(ANNA).is_none());
    });
}

#[test]
fn fines_follow_the_audited_job_and_not_the_auditors_wealth() {
    court(|| {
        assert_ok!(Inference::bond_more(signed(ANNA), 500_000));
        let id = judged_by_three();
        play_as(id, &[(ANNA, Act::Invalid)]);
        finish(id);
        assert_eq!(stake(ANNA), STAKE + 500_000 - WRONG_FINE);
    });
}
