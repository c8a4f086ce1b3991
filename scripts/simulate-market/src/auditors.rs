//! What an honest auditor earns and risks.

use crate::{
    game::Game,
    pool::Pool,
    random::{Mean, Random},
    rules::Rules,
    table::{amount, percent, Report, Table},
    verdicts::{HONEST_ACCOUNTS, HOSTILE_SHARES, SILENCE},
};

/// What a job costs its worker, as a share of the fee: an assumption.
const JOB_COST: f64 = 0.5;

/// What one seat of an honest auditor comes to on average, in worst-case fees, where nobody attacks.
struct Seat {
    pay: f64,
    silence: f64,
    replay: f64,
}

impl Seat {
    /// A seat on a job with this fee. A replay costs `replay` of the job's cost.
    fn new(rules: &Rules, fee: f64, seat_pay: u8, replay: f64) -> Self {
        Self {
            pay: (1.0 - SILENCE) * rules.pay(fee, seat_pay),
            silence: SILENCE * rules.silent_fine(fee, seat_pay),
            replay: (1.0 - SILENCE) * replay * JOB_COST * fee,
        }
    }

    fn net(&self) -> f64 {
        self.pay - self.silence - self.replay
    }
}

/// Replays per seat of an account with this share of the stake: it replays a round once, however
/// many of its seats it holds.
pub fn replays_per_seat(share: f64, seats: u32) -> f64 {
    (1.0 - (1.0 - share).powi(seats as i32)) / (share * f64::from(seats))
}

/// Runs the part: `jobs` months in all are played.
pub fn report(jobs: u64, seed: u64) -> Report {
    let mut report = Report::default();
    report.heading("What an honest auditor earns and risks");
    per_seat(&mut report);
    hidden_ballots(&mut report);
    months(&mut report, jobs, seed);
    attacks(&mut report);
    report
}

fn per_seat(report: &mut Report) {
    report.paragraph(&format!(
        "One seat, in percent of the audited job's fee, where nobody attacks (exact). The auditor is silent {} of the \
         time; a job costs its worker {} of its fee, and a replay the given part of that.",
        percent(SILENCE),
        percent(JOB_COST)
    ));
    let mut table = Table::new(&[
        "seat pay",
        "replay / job",
        "fee / worst case",
        "pay",
        "fines for silence: first draft",
        "chain",
        "replay",
        "net: first draft",
        "chain",
    ]);
    let (draft, chain) = (Rules::first_draft(), Rules::of_the_chain());
    let mut positive = true;
    for (seat_pay, replay) in [(10, 0.05), (10, 0.15), (30, 0.3), (100, 1.0)] {
        for fee in [1.0, 0.3, 0.05] {
            let (old, new) = (
                Seat::new(&draft, fee, seat_pay, replay),
                Seat::new(&chain, fee, seat_pay, replay),
            );
            positive &= new.net() > 0.0;
            table.row(vec![
                format!("{seat_pay} %"),
                percent(replay),
                percent(fee),
                percent(new.pay / fee),
                percent(old.silence / fee),
                percent(new.silence / fee),
                percent(new.replay / fee),
                percent(old.net() / fee),
                percent(new.net() / fee),
            ]);
        }
    }
    report.table(&table);
    report.claim(
        positive,
        "An honest auditor that reveals what it committed earns on every seat where nobody attacks, however far the \
         fee stays below the worst case, if seat pay covers the replay with a quarter to spare."
            .into(),
    );
}

fn hidden_ballots(report: &mut Report) {
    // Downtime of 1 %, in outages of half an hour on average.
    const OUTAGE_SECONDS: f64 = 1_800.0;
    const BETWEEN_SECONDS: f64 = 300.0;
    let starts = SILENCE / ((1.0 - SILENCE) * OUTAGE_SECONDS) * BETWEEN_SECONDS;
    report.paragraph(&format!(
        "A ballot that was committed and not revealed costs {} worst-case fees, fee = worst case. An auditor that is \
         down {} of the time, in outages of {OUTAGE_SECONDS} s on average, and commits {BETWEEN_SECONDS} s before \
         reveals begin, loses a ballot that way now and then:",
        amount(Rules::of_the_chain().hidden_fine()),
        percent(SILENCE),
    ));
    let mut table = Table::new(&[
        "reveal window",
        "ballots lost",
        "mean fine per seat, worst-case fees",
        "in pays of a seat (10 %), fee = worst case",
        "fee = 30 %",
        "fee = 5 %",
    ]);
    for blocks in [100.0, 300.0, 900.0] {
        let lost = starts * (-blocks * 2.0 / OUTAGE_SECONDS).exp();
        let rules = Rules::of_the_chain();
        let fine = lost * rules.hidden_fine();
        table.row(vec![
            format!("{blocks} blocks"),
            percent(lost),
            amount(fine),
            amount(fine / rules.pay(1.0, 10)),
            amount(fine / rules.pay(0.3, 10)),
            amount(fine / rules.pay(0.05, 10)),
        ]);
    }
    report.table(&table);
}

fn months(report: &mut Report, jobs: u64, seed: u64) {
    const AUDITS: f64 = 5_000.0;
    const SEAT_PAY: u8 = 10;
    const REPLAY: f64 = 0.1;
    let months = (jobs / 50).clamp(200, 5_000);
    let rules = Rules::of_the_chain();
    let mut random = Random::new(seed, 3);
    report.paragraph(&format!(
        "A month with {AUDITS} audits in the pool, fee = worst case, seat pay {SEAT_PAY} %, replay {} of the job's \
         cost, {months} months played for each row, in fees. Fines follow the audited job, so a large stake earns \
         what a small one does per seat, and more surely; it saves replays, for it replays a round once.",
        percent(REPLAY)
    ));
    let mut table = Table::new(&[
        "share of the pool's stake",
        "seats a month",
        "income, formula",
        "income, played",
        "standard deviation",
        "months with a loss",
        "income per seat",
    ]);
    let mut agree = true;
    for share in [0.0005, 0.005, 0.05, 0.2] {
        let seats = f64::from(rules.first_seats());
        let one = Seat::new(&rules, 1.0, SEAT_PAY, REPLAY);
        let per_seat = one.pay - one.silence - one.replay * replays_per_seat(share, 3);
        let expected = AUDITS * seats * share * per_seat;
        let mut income = Mean::default();
        let mut losses = 0;
        for _ in 0..months {
            let mut month = 0.0;
            let present = 1.0 - (1.0 - share).powi(3);
            for _ in 0..random.poisson(AUDITS * present) {
                let held = held_if_any(share, present, &mut random);
                month += if random.chance(SILENCE) {
                    -held * rules.silent_fine(1.0, SEAT_PAY)
                } else {
                    held * rules.pay(1.0, SEAT_PAY) - REPLAY * JOB_COST
                };
            }
            income.add(month);
            losses += u64::from(month < 0.0);
        }
        agree &= (income.mean() - expected).abs() <= 5.0 * income.error() + 1e-9;
        table.row(vec![
            percent(share),
            amount(AUDITS * seats * share),
            amount(expected),
            amount(income.mean()),
            amount(income.deviation()),
            percent(losses as f64 / months as f64),
            amount(per_seat),
        ]);
    }
    report.table(&table);
    report.claim(
        agree,
        "Played incomes of auditors agree with the formula.".into(),
    );
}

/// Seats of an account in a round of three, given that it has one.
fn held_if_any(share: f64, present: f64, random: &mut Random) -> f64 {
    let one = 3.0 * share * (1.0 - share).powi(2) / present;
    let three = share.powi(3) / present;
    let point = random.unit();
    if point < one {
        1.0
    } else if point < 1.0 - three {
        2.0
    } else {
        3.0
    }
}

fn attacks(report: &mut Report) {
    report.paragraph(
        "Where attackers strike, honest seats can end up on the wrong side. Fines per attacked job in worst-case fees \
         (chain's defaults): what honest auditors lose together, and what attackers lose in fines and bonds, on \
         average. `smear`: they vote a right result down wherever they hold the first round, its worker appeals; \
         where they do not hold the appeal they vote honestly there. `wager`: they buy a dispute and an appeal (see \
         above). `protect`: a cheat that they audit is rejected all the same, or kept on appeal.",
    );
    let mut table = Table::new(&[
        "attack",
        "hostile",
        "strikes in",
        "honest fines per strike",
        "attackers' fines and bonds per strike",
        "an honest seat's mean loss per strike",
    ]);
    let rules = Rules::of_the_chain();
    let mut dearer = true;
    for share in HOSTILE_SHARES {
        let game = Game::new(&rules, &Pool::mixed(HONEST_ACCOUNTS, share), SILENCE);
        let fine = rules.wrong_fine();
        let holds = game.first.hostile();
        let keep = 1.0 - game.appeal.honest_drawn_again();
        let win = game.appeal.hostile();
        let outvoted_on_appeal = game.appeal.outvoted_seats / win.max(f64::MIN_POSITIVE);
        let first = game.first.outvoted_seats / holds.max(f64::MIN_POSITIVE);
        // Kept for want of a verdict on appeal, honest ballots there are judged by `valid`, too.
        let honest = keep * (first + outvoted_on_appeal) * fine;
        let hostile = (1.0 - keep) * (f64::from(rules.first_seats()) - first) * fine;
        if share < 0.4 {
            dearer &= hostile > honest;
        }
        table.row(vec![
            "smear".into(),
            percent(share),
            percent(holds),
            amount(honest),
            amount(hostile),
            amount(honest / (first + honest_seats_on_appeal(&rules, share))),
        ]);
        let first = f64::from(rules.first_seats()) * (1.0 - share);
        let honest = win * (first + outvoted_on_appeal) * fine;
        let bonds = (1.0 - win) * (rules.dispute_bond(1.0, 10) + rules.appeal_bond(1.0, 10));
        table.row(vec![
            "wager".into(),
            percent(share),
            "any job".into(),
            amount(honest),
            amount(bonds),
            amount(honest / (first + honest_seats_on_appeal(&rules, share))),
        ]);
        let holds = game.first.hostile_heard;
        let first = game.first.outvoted_seats / holds.max(f64::MIN_POSITIVE);
        let honest = keep * (first + outvoted_on_appeal) * fine;
        let hostile = (1.0 - keep) * (f64::from(rules.first_seats()) - first) * fine;
        table.row(vec![
            "protect".into(),
            percent(share),
            percent(holds),
            amount(honest),
            amount(hostile),
            amount(honest / (first + honest_seats_on_appeal(&rules, share))),
        ]);
    }
    report.table(&table);
    report.claim(
        dearer,
        "Voting a right result down costs attackers more in fines than honest auditors, up to a third of the stake."
            .into(),
    );
}

/// Honest seats of an appeal.
fn honest_seats_on_appeal(rules: &Rules, share: f64) -> f64 {
    f64::from(rules.appeal_seats()) * (1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_stake_replays_for_every_seat_and_a_whole_one_once_a_round() {
        assert!((replays_per_seat(1e-6, 3) - 1.0).abs() < 1e-5);
        assert!((replays_per_seat(1.0, 3) - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn seats_held_average_to_the_share() {
        let (share, mut random) = (0.3, Random::new(5, 0));
        let present = 1.0 - 0.7f64.powi(3);
        let mut held = Mean::default();
        for _ in 0..20_000 {
            held.add(held_if_any(share, present, &mut random));
        }
        assert!((held.mean() - 0.9 / present).abs() < 5.0 * held.error());
    }

    #[test]
    fn in_the_first_draft_a_cheap_job_did_not_pay_its_auditor() {
        let seat = |rules| Seat::new(&rules, 0.05, 10, 0.05).net();
        assert!(seat(Rules::first_draft()) < 0.0);
        assert!(seat(Rules::of_the_chain()) > 0.0);
    }
}
