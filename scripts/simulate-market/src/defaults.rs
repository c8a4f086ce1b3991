//! The rules that the simulation changed, beside what they were first.

use crate::{
    rules::Rules,
    table::{percent, Report, Table},
};

/// Runs the part. It has no random numbers.
pub fn report(_jobs: u64, _seed: u64) -> Report {
    let mut report = Report::default();
    report.heading("What was changed, and why");
    let (draft, chain) = (Rules::first_draft(), Rules::of_the_chain());
    let mut table = Table::new(&["rule", "first draft", "chain's defaults", "why"]);
    let mut row = |rule: &str, value: &dyn Fn(&Rules) -> String, why: &str| {
        table.row(vec![rule.into(), value(&draft), value(&chain), why.into()]);
    };
    row(
        "seats on appeal",
        &|rules| rules.appeal_seats().to_string(),
        "whoever loses a verdict can have the last committee drawn for the price of a bond: it must be right",
    );
    row(
        "chance of an audit, fee = worst case",
        &|rules| percent(rules.probability(1.0, 10, false)),
        "margin for hostile committees, withheld blocks and gains outside the market",
    );
    row(
        "the same, fee = 5 % of it",
        &|rules| percent(rules.probability(0.05, 10, false)),
        "the worker states the usage, and could lower its own chance",
    );
    row(
        "premium / expected pay of a first round",
        &|rules| {
            let expected = 3.0 * rules.probability(1.0, 10, false) * rules.pay(1.0, 10);
            percent(rules.premium(1.0, 10, false) / expected)
        },
        "rounds without a verdict are paid as well",
    );
    row(
        "fine for silence, in pays of a seat (10 %, fee = 5 % of the worst case)",
        &|rules| format!("{:.0}", rules.silent_fine(0.05, 10) / rules.pay(0.05, 10)),
        "an auditor that is up 99 % of the time must not lose by auditing cheap jobs",
    );
    row(
        "reward for whoever turns a standing result into a rejection",
        &|rules| if rules.rewards_appeals() { "yes" } else { "no" }.into(),
        "attackers could hinder every verdict, and nobody gained by appealing",
    );
    report.table(&table);
    report
}
