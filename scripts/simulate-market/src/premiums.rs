//! What audits cost, and whether premiums pay for them.

use crate::{
    committee::round_odds,
    pool::Pool,
    random::{Mean, Random},
    rules::Rules,
    table::{amount, percent, Report, Table},
    verdicts::SILENCE,
};

/// Seats that are paid per audit of an honest job, on average, in a pool of equal accounts where
/// nobody attacks.
fn paid_seats(rules: &Rules, accounts: usize) -> f64 {
    let pool = Pool::equal(accounts);
    let first = round_odds(&pool, rules.first_seats(), SILENCE);
    let undecided = first.neither_heard;
    // Whoever reveals is paid, in the first round and in the next.
    let revealed = 1.0 - SILENCE;
    revealed * (f64::from(rules.first_seats()) + undecided * f64::from(rules.redraw_seats()))
}

/// Runs the part: pots are played over `jobs` jobs at most.
pub fn report(jobs: u64, seed: u64) -> Report {
    let mut report = Report::default();
    report.heading("What audits cost");
    shares(&mut report);
    coverage(&mut report);
    pots(&mut report, jobs, seed);
    report
}

fn shares(report: &mut Report) {
    report.paragraph(
        "The premium as a share of a worker's fees, by the number of jobs that it does on a model (chain's defaults; \
         the first 20 that pass an audit are audited as surely as the premium can pay):",
    );
    let volumes = [20.0, 100.0, 1_000.0, 10_000.0, 1_000_000.0];
    let mut table = Table::new(&[
        "rules",
        "seat pay / fee",
        "20 jobs",
        "100",
        "1,000",
        "10,000",
        "1,000,000",
    ]);
    let mut within = true;
    for (name, rules) in [
        ("first draft", Rules::first_draft()),
        ("chain's defaults", Rules::of_the_chain()),
    ] {
        for seat_pay in [10, 30, 100] {
            let mut row = vec![name.to_string(), format!("{seat_pay} %")];
            let (new, established) = (
                rules.premium(1.0, seat_pay, true),
                rules.premium(1.0, seat_pay, false),
            );
            within &= new <= 0.3 + 1e-9 && established <= 0.3 + 1e-9;
            // Jobs until so many have passed an audit.
            let probation =
                f64::from(rules.probation_jobs()) / rules.probability(1.0, seat_pay, true);
            for volume in volumes {
                let first = probation.min(volume);
                row.push(percent(
                    (first * new + (volume - first) * established) / volume,
                ));
            }
            table.row(row);
        }
    }
    report.table(&table);
    report.claim(within, "The premium never exceeds 30 % of a fee.".into());
}

fn coverage(report: &mut Report) {
    report.paragraph(&format!(
        "Seats are paid in every round that has no verdict, and in a small pool all three seats often fall on one \
         account, which decides nothing alone. Seats paid per audit on average (exact; {} silent, nobody attacks), \
         and how much of that the premium brings in:",
        percent(SILENCE)
    ));
    let mut table = Table::new(&[
        "accounts that can be drawn",
        "seats paid per audit",
        "premium = expected pay (first draft)",
        "chain's defaults",
    ]);
    let (draft, chain) = (Rules::first_draft(), Rules::of_the_chain());
    let mut covered = true;
    for accounts in [2, 3, 4, 5, 8, 16, 64] {
        let paid = paid_seats(&chain, accounts);
        let brought = |rules: &Rules| {
            let chance = rules.probability(1.0, 10, false);
            rules.premium(1.0, 10, false) / chance / rules.pay(1.0, 10)
        };
        covered &= accounts < 4 || brought(&chain) > paid;
        table.row(vec![
            accounts.to_string(),
            amount(paid),
            percent(brought(&draft) / paid),
            percent(brought(&chain) / paid),
        ]);
    }
    report.table(&table);
    report.claim(
        covered,
        "From four accounts on, premiums bring in more than seats cost.".into(),
    );
}

/// How a pot fared.
struct Pot {
    /// The part of all that was due which was paid.
    paid: f64,
    /// The same for the first ten audits.
    first_ten: f64,
    /// The part of the single worst audit.
    worst: f64,
    /// Deepest fall of a pot that could be overdrawn, in mean fees.
    drawdown: f64,
    /// What is left, in mean fees.
    left: f64,
}

/// Plays a pot over `jobs` jobs of `workers` workers, with fees spread over orders of magnitude.
fn play(rules: &Rules, accounts: usize, workers: u64, jobs: u64, random: &mut Random) -> Pot {
    const SEAT_PAY: u8 = 10;
    /// Spread of the logarithm of fees.
    const SPREAD: f64 = 1.0;
    let redraws = round_odds(&Pool::equal(accounts), rules.first_seats(), SILENCE).neither_heard;
    let (mut pot, mut free, mut peak) = (0.0f64, 0.0f64, 0.0f64);
    let mut played = Pot {
        paid: 0.0,
        first_ten: 0.0,
        worst: 1.0,
        drawdown: 0.0,
        left: 0.0,
    };
    let (mut due_sum, mut paid_sum, mut audits) = (0.0, 0.0, 0);
    let mut passed = 0;
    for _ in 0..jobs {
        let fee = (SPREAD * random.normal() - SPREAD * SPREAD / 2.0).exp();
        let probation = passed < workers * u64::from(rules.probation_jobs());
        // Premium and pay are proportional to the fee.
        let premium = fee * rules.premium(1.0, SEAT_PAY, probation);
        pot += premium;
        free += premium;
        peak = peak.max(free);
        if !random.chance(rules.probability(1.0, SEAT_PAY, probation)) {
            continue;
        }
        passed += 1;
        audits += 1;
        let mut seats = u64::from(rules.first_seats());
        if random.chance(redraws) {
            seats += u64::from(rules.redraw_seats());
        }
        let revealed = random.binomial(seats, 1.0 - SILENCE) as f64;
        let due = revealed * rules.pay(1.0, SEAT_PAY) * fee;
        let paid = due.min(pot);
        pot -= paid;
        free -= due;
        played.drawdown = played.drawdown.max(peak - free);
        due_sum += due;
        paid_sum += paid;
        if due > 0.0 {
            played.worst = played.worst.min(paid / due);
        }
        if audits == 10 {
            played.first_ten = paid_sum / due_sum;
        }
    }
    played.paid = paid_sum / due_sum.max(f64::MIN_POSITIVE);
    played.left = pot;
    played
}

fn pots(report: &mut Report, jobs: u64, seed: u64) {
    let mut random = Random::new(seed, 4);
    let longest = jobs.clamp(10_000, 100_000);
    report.paragraph(
        "The pot of one model over time (played; fees spread log-normally with a standard deviation of 1 in the \
         logarithm, seat pay 10 %, five workers that all begin new). Where the pot does not suffice, seats are paid \
         in proportion. `fall`: how far a pot that could be overdrawn would fall below its highest level; amounts in \
         mean fees; the worst pot of those played stands in brackets.",
    );
    let mut table = Table::new(&[
        "premium",
        "accounts",
        "jobs",
        "of all pay due, paid",
        "of the first ten audits",
        "worst single audit",
        "deepest fall",
        "left at the end",
    ]);
    let mut pays = true;
    for percent_of_pay in [100, 125] {
        let rules = Rules::of_the_chain().with_premium(percent_of_pay);
        for accounts in [3, 64] {
            for volume in [1_000, longest] {
                let runs = (2_000_000 * longest / 100_000 / volume / 10).clamp(10, 100);
                let (mut paid, mut ten, mut fall, mut left) = (
                    Mean::default(),
                    Mean::default(),
                    Mean::default(),
                    Mean::default(),
                );
                let (mut worst, mut least, mut deepest) = (1.0f64, 1.0f64, 0.0f64);
                for _ in 0..runs {
                    let pot = play(&rules, accounts, 5, volume, &mut random);
                    paid.add(pot.paid);
                    ten.add(pot.first_ten);
                    fall.add(pot.drawdown);
                    left.add(pot.left);
                    worst = worst.min(pot.worst);
                    least = least.min(pot.paid);
                    deepest = deepest.max(pot.drawdown);
                }
                if percent_of_pay == 125 && accounts == 64 {
                    pays &= paid.mean() > 0.95;
                }
                table.row(vec![
                    format!("{percent_of_pay} % of pay"),
                    accounts.to_string(),
                    volume.to_string(),
                    format!("{} ({})", percent(paid.mean()), percent(least)),
                    percent(ten.mean()),
                    percent(worst),
                    format!("{} ({})", amount(fall.mean()), amount(deepest)),
                    amount(left.mean()),
                ]);
            }
        }
    }
    report.table(&table);
    report.claim(
        pays,
        "At the default premium, a pot in a pool of 64 accounts pays more than 95 % of what seats are due.".into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_accounts_need_a_second_round_every_fourth_time() {
        let rules = Rules::of_the_chain();
        let paid = paid_seats(&rules, 2) / (1.0 - SILENCE);
        let quarter = 3.0 + 7.0 * 0.25;
        // Silence adds a little.
        assert!(paid > quarter && paid < quarter + 0.2, "{paid}");
        assert!(paid_seats(&rules, 1_000) < 3.01);
    }

    #[test]
    fn a_pot_never_pays_more_than_it_got() {
        let mut random = Random::new(9, 0);
        let rules = Rules::of_the_chain().with_premium(100);
        let pot = play(&rules, 3, 2, 2_000, &mut random);
        assert!(pot.paid <= 1.0 && pot.paid > 0.5 && pot.left >= 0.0);
        assert!(pot.worst < 1.0 && pot.drawdown > 0.0);
    }
}
