//! What cheating pays: per cheat exactly, and over whole careers with the chain's own draw.

use crate::{
    random::{Mean, Random},
    rules::Rules,
    table::{amount, percent, Report, Table},
    verdicts::{detection, HOSTILE_SHARES},
};
use genesisflow_primitives::audit::{combined_seed, is_audited};

/// Mean result of one cheat, in worst-case fees: the gain if it is not found, the exposure if it is.
/// The saved cost of honest work is part of the gain: with `gain` = the whole fee, the cheat is
/// taken to cost nothing.
pub fn per_cheat(found: f64, gain: f64, exposure: f64) -> f64 {
    (1.0 - found) * gain - found * exposure
}

/// The gain of a cheat up to which it loses, in the unit of the exposure.
pub fn losing_gain(found: f64, exposure: f64) -> f64 {
    found * exposure / (1.0 - found).max(f64::MIN_POSITIVE)
}

/// Runs the part: `jobs` careers are played for each cell.
pub fn report(jobs: u64, seed: u64) -> Report {
    let mut report = Report::default();
    report.heading("What cheating pays");
    exact(&mut report);
    audit_rates(&mut report);
    outside_gains(&mut report);
    careers(&mut report, jobs, seed);
    report
}

fn exact(report: &mut Report) {
    report.paragraph(
        "Mean result of one cheat, as a multiple of the fee that the cheat is paid (chain's defaults, exact). A cheat \
         that is not found keeps the whole fee and has had no cost; one that is found loses its exposure. Draws are \
         independent and exposures of parallel jobs add up within the stake, so k cheats have k times this result, \
         at any rate, on any stake, all at once or one by one, and whenever the worker leaves: stake stays until every \
         window is over.",
    );
    let rules = Rules::of_the_chain();
    let mut table = Table::new(&[
        "worker",
        "seat pay / fee",
        "fee / worst case",
        "audited",
        "10 % hostile",
        "20 %",
        "33 %",
        "45 %",
    ]);
    let mut worst = f64::MIN;
    let mut worst_to_a_third = f64::MIN;
    for probation in [true, false] {
        for seat_pay in [10, 30, 100] {
            for fee in [1.0, 0.3, 0.05] {
                let audited = rules.probability(fee, seat_pay, probation);
                let mut row = vec![
                    if probation {
                        "new (first 20 jobs)"
                    } else {
                        "established"
                    }
                    .to_string(),
                    format!("{seat_pay} %"),
                    percent(fee),
                    percent(audited),
                ];
                for share in HOSTILE_SHARES {
                    let found = audited * detection(&rules, share);
                    let result = per_cheat(found, fee, rules.exposure()) / fee;
                    worst = worst.max(result);
                    if share < 0.4 {
                        worst_to_a_third = worst_to_a_third.max(result);
                    }
                    row.push(amount(result));
                }
                table.row(row);
            }
        }
    }
    report.table(&table);
    report.claim(
        worst < 0.0,
        format!(
            "With the fee as the gain, a cheat loses money in every row: at least {} of its fee up to a third of the \
             stake hostile, {} at 45 %.",
            amount(-worst_to_a_third),
            amount(-worst)
        ),
    );
}

fn audit_rates(report: &mut Report) {
    report.paragraph(
        "What more or fewer audits would change: mean result of a cheat in fees, fee = worst case, and what the premium \
         takes of every fee in the long run, by the factor of the chance.",
    );
    let mut table = Table::new(&[
        "factor",
        "audited",
        "premium, seat pay 10 %",
        "100 %",
        "10 % hostile",
        "20 %",
        "33 %",
        "45 %",
    ]);
    for milli in [1_000, 1_500, 2_222, 3_333, 5_000] {
        let rules = Rules::of_the_chain().with_chance_factor(milli);
        let audited = rules.probability(1.0, 10, false);
        let mut row = vec![
            amount(f64::from(milli) / 1_000.0),
            percent(audited),
            percent(rules.premium(1.0, 10, false)),
            percent(rules.premium(1.0, 100, false)),
        ];
        for share in HOSTILE_SHARES {
            let found = audited * detection(&rules, share);
            row.push(amount(per_cheat(found, 1.0, rules.exposure())));
        }
        table.row(row);
    }
    report.table(&table);
}

fn outside_gains(report: &mut Report) {
    report.paragraph(
        "A cheat may be worth more than the fee to somebody outside the market. It loses as long as that gain stays \
         below this many worst-case fees (established worker, seat pay 10 %):",
    );
    let mut table = Table::new(&[
        "rules",
        "fee stated / worst case",
        "audited",
        "nobody hostile",
        "10 %",
        "20 %",
        "33 %",
        "45 %",
    ]);
    let mut least = f64::MAX;
    for (name, rules) in [
        ("first draft", Rules::first_draft()),
        (
            "chain's defaults with factor 2.222",
            Rules::of_the_chain().with_chance_factor(2_222),
        ),
        ("chain's defaults", Rules::of_the_chain()),
    ] {
        for fee in [1.0, 0.05] {
            let audited = rules.probability(fee, 10, false);
            let mut row = vec![name.to_string(), percent(fee), percent(audited)];
            for share in [0.0].into_iter().chain(HOSTILE_SHARES) {
                let limit = losing_gain(audited * detection(&rules, share), rules.exposure());
                if name == "chain's defaults" && share < 0.4 {
                    least = least.min(limit);
                }
                row.push(amount(limit));
            }
            table.row(row);
        }
    }
    report.table(&table);
    report.claim(
        least > 2.5,
        format!(
            "Up to a third of the stake hostile, a cheat loses as long as it gains less than {} worst-case fees, \
             whatever usage its worker states.",
            amount(least)
        ),
    );
}

/// How a cheating worker goes about it.
struct Plan {
    name: &'static str,
    /// Jobs that its stake can carry at once.
    parallel: u32,
    /// The share of its jobs that it cheats on.
    rate: f64,
    /// Cheats after which it stops and withdraws.
    exit_after: u32,
    /// Whether its first jobs are all audited.
    new: bool,
}

const PLANS: [Plan; 8] = [
    plan("one cheat, then leaves", 1, 1.0, 1, false),
    plan("every job, one at a time, until broke", 1, 1.0, 500, false),
    plan("one job in ten, ten at once", 10, 0.1, 500, false),
    plan("one job in a hundred, fifty at once", 50, 0.01, 500, false),
    plan(
        "half of ten at once, leaves after 20 cheats",
        10,
        0.5,
        20,
        false,
    ),
    plan("all of ten at once, then leaves", 10, 1.0, 10, false),
    plan(
        "all of a hundred at once, then leaves",
        100,
        1.0,
        100,
        false,
    ),
    plan("new worker, every job, four at once", 4, 1.0, 500, true),
];

const fn plan(name: &'static str, parallel: u32, rate: f64, exit_after: u32, new: bool) -> Plan {
    Plan {
        name,
        parallel,
        rate,
        exit_after,
        new,
    }
}

/// How a career went.
struct Career {
    /// In fees.
    result: f64,
    cheats: u32,
}

fn career(plan: &Plan, rules: &Rules, detected: f64, job: &mut u64, random: &mut Random) -> Career {
    const SEAT_PAY: u8 = 10;
    const LONGEST: u32 = 2_000;
    let exposure = rules.exposure();
    let mut stake = exposure * f64::from(plan.parallel);
    let mut valid = if plan.new { 0 } else { rules.probation_jobs() };
    let mut repeated = false;
    let mut career = Career {
        result: 0.0,
        cheats: 0,
    };
    let mut jobs = 0;
    while stake >= exposure && career.cheats < plan.exit_after && jobs < LONGEST {
        let seed = combined_seed(&[random.output()]);
        let chance = rules.chance(1.0, SEAT_PAY, valid < rules.probation_jobs());
        let at_once = (stake / exposure).floor() as u32;
        let (mut lost, mut passed) = (0.0, 0);
        for _ in 0..at_once {
            *job += 1;
            jobs += 1;
            let cheats = career.cheats < plan.exit_after && random.chance(plan.rate);
            let audited = is_audited(&seed, *job, chance);
            if !cheats {
                passed += u32::from(audited);
                continue;
            }
            career.cheats += 1;
            if audited && random.chance(detected) {
                lost += if repeated { stake } else { exposure };
            } else {
                career.result += 1.0;
                passed += u32::from(audited);
            }
        }
        valid += passed;
        repeated |= lost > 0.0;
        let lost = lost.min(stake);
        career.result -= lost;
        stake -= lost;
    }
    career
}

fn careers(report: &mut Report, jobs: u64, seed: u64) {
    let mut random = Random::new(seed, 2);
    let rules = Rules::of_the_chain();
    report.paragraph(&format!(
        "Whole careers ({} cheats or more for each row and share), fee = worst case, seat pay 10 %, hits drawn by the \
         chain's own function: mean result per cheat in fees (formula beside it), and how many careers end with a profit. A \
         second rejection takes the whole stake, so some lose more than the formula for single cheats says.",
        4 * jobs
    ));
    let mut table = Table::new(&[
        "plan",
        "hostile",
        "cheats per career",
        "result per cheat, played",
        "formula",
        "result per career",
        "careers with a profit",
    ]);
    let mut all_lose = true;
    let mut agree = true;
    let mut job = 0;
    for plan in &PLANS {
        for share in [0.0, 0.33] {
            let detected = detection(&rules, share);
            let mut result = Mean::default();
            let mut cheats = Mean::default();
            // Result beyond what the formula expects of the cheats made: a martingale.
            let mut excess = Mean::default();
            let mut profits = 0u64;
            let found = rules.probability(1.0, 10, plan.new) * detected;
            let expected = per_cheat(found, 1.0, rules.exposure());
            // Careers of many cheats need fewer repetitions.
            let count = (4 * jobs / u64::from(plan.exit_after)).max(1_000);
            for _ in 0..count {
                let career = career(plan, &rules, detected, &mut job, &mut random);
                result.add(career.result);
                cheats.add(f64::from(career.cheats));
                excess.add(career.result - expected * f64::from(career.cheats));
                profits += u64::from(career.result > 0.0);
            }
            all_lose &= result.mean() + 3.0 * result.error() < 0.0;
            // A repeated rejection can only cost more than the formula's exposure.
            agree &= excess.mean() <= 5.0 * excess.error() + 1e-9;
            if plan.exit_after == plan.parallel {
                agree &= excess.mean().abs() <= 5.0 * excess.error() + 1e-9;
            }
            table.row(vec![
                plan.name.into(),
                percent(share),
                amount(cheats.mean()),
                amount(result.mean() / cheats.mean()),
                amount(expected),
                amount(result.mean()),
                percent(profits as f64 / count as f64),
            ]);
        }
    }
    report.table(&table);
    report.claim(
        all_lose,
        "Every plan of cheating loses on average, by more than three standard errors.".into(),
    );
    report.claim(
        agree,
        "Played careers agree with the formula, or lose more through repeated rejections.".into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_a_cheat_pays_nothing() {
        for found in [0.01, 0.0436, 0.5] {
            let limit = losing_gain(found, 50.0);
            assert!(per_cheat(found, limit, 50.0).abs() < 1e-9);
            assert!(per_cheat(found, limit * 1.01, 50.0) > 0.0);
        }
    }

    #[test]
    fn found_or_not_found_for_certain() {
        assert_eq!(per_cheat(0.0, 1.0, 50.0), 1.0);
        assert_eq!(per_cheat(1.0, 1.0, 50.0), -50.0);
    }

    #[test]
    fn a_career_ends_with_the_last_cheat_or_the_last_stake() {
        let rules = Rules::of_the_chain();
        let mut random = Random::new(1, 0);
        for _ in 0..200 {
            let career = career(&PLANS[5], &rules, 1.0, &mut 0, &mut random);
            assert_eq!(career.cheats, 10);
            assert!(career.result <= 10.0 && career.result >= -500.0);
        }
    }
}
