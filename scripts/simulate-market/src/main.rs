//! Simulates the market's audits: what cheating pays, how often audits end wrongly, what auditors
//! earn, what audits cost, and how far block authors can bend draws.
//!
//! Rules, draws and verdicts are the chain's own (`genesisflow_primitives::audit`); where there is a
//! formula, it stands beside what was played. The output is Markdown: the tables of
//! `docs/economics.md`. The same seed and number of jobs print the same figures.

mod auditors;
mod cheating;
mod committee;
mod defaults;
mod game;
mod playout;
mod pool;
mod premiums;
mod random;
mod rules;
mod table;
mod verdicts;
mod withholding;

use clap::Parser;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};
use table::Report;

/// The parts of the simulation, in the order in which they are printed.
const PARTS: [fn(u64, u64) -> Report; 6] = [
    defaults::report,
    cheating::report,
    verdicts::report,
    auditors::report,
    premiums::report,
    withholding::report,
];

/// Marks in a document around the tables.
const BEGIN: &str = "<!-- simulation: begin -->";
const END: &str = "<!-- simulation: end -->";

/// Simulates the market's audits and prints tables.
#[derive(Parser)]
struct Arguments {
    /// Jobs that are played for each cell of a table: more of them, less noise. [default: 100000,
    /// with --check 4000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..))]
    jobs: Option<u64>,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print only the claims; the exit status tells whether all of them hold. (It does so without
    /// this flag, too.)
    #[arg(long)]
    check: bool,
    /// Put the tables into this document, between its lines `<!-- simulation: begin -->` and
    /// `<!-- simulation: end -->`, instead of printing them.
    #[arg(long, conflicts_with = "check")]
    update: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments {
        jobs,
        seed,
        check,
        update,
    } = Arguments::parse();
    let jobs = jobs.unwrap_or(if check { 4_000 } else { 100_000 });
    let mut failed = 0;
    let mut tables = String::new();
    let mut claims = String::from("## Claims\n\n");
    for part in PARTS {
        let report = part(jobs, seed);
        tables.push_str(report.text());
        for claim in report.claims() {
            failed += usize::from(!claim.holds);
            let mark = if claim.holds { "holds" } else { "FAILS" };
            claims.push_str(&format!("- {mark}: {}\n", claim.sentence));
        }
    }
    let text = if check {
        claims
    } else {
        format!("{claims}\n{tables}")
    };
    match update {
        None => print!("{text}"),
        Some(path) => {
            if let Err(problem) = update_document(&path, &text) {
                eprintln!("{}: {problem}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!("{failed} claims do not hold: see FAILS above");
        ExitCode::FAILURE
    }
}

/// Replaces what stands between the marks of a document.
fn update_document(path: &Path, text: &str) -> Result<(), String> {
    let document = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let updated = replaced(&document, text).ok_or_else(|| {
        format!("no lines `{BEGIN}` and `{END}` in this order: add them where the tables belong")
    })?;
    fs::write(path, updated).map_err(|error| error.to_string())
}

fn replaced(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n\n{}\n\n{END}{after}",
        text.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claims_hold_at_the_chains_defaults() {
        for part in PARTS {
            for claim in part(4_000, 1).claims() {
                assert!(claim.holds, "{}", claim.sentence);
            }
        }
    }

    #[test]
    fn a_seed_prints_the_same_twice() {
        let print = |seed| withholding::report(1_000, seed).text().to_string();
        assert_eq!(print(3), print(3));
        assert_ne!(print(3), print(4));
    }

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let document = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let updated = replaced(&document, "new\n").unwrap();
        assert_eq!(updated, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(replaced(&updated, "new\n"), Some(updated));
        assert_eq!(replaced("no marks", "new"), None);
    }
}
