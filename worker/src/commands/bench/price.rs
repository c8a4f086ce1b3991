//! What a million tokens cost: the hour's price over what is done in it.

use genesisflow_engine::bench::BatchSpeed;
use serde::Serialize;
use std::fmt::Write;

/// Seconds in an hour.
const HOUR: f64 = 3_600.0;
/// Prices are given for so many tokens.
const TOKENS: f64 = 1e6;

/// The speed of a model.
pub(super) struct Speed<'a> {
    /// What was measured.
    pub name: String,
    /// Input tokens a second.
    pub input: f64,
    /// Output tokens a second of all jobs together, by their number.
    pub output: &'a [BatchSpeed],
}

/// What a million tokens cost, in the money of the hourly price.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    /// What was measured.
    pub name: String,
    /// A million input tokens.
    pub input: f64,
    /// A million output tokens, by the number of jobs at once.
    pub output: Vec<OutputCost>,
}

/// What a million output tokens cost with so many jobs at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct OutputCost {
    pub jobs: usize,
    pub cost: f64,
}

/// What tokens cost if an hour costs `hour` and the machine is at work for the
/// share `busy` of it.
pub(super) fn cost(speed: &Speed<'_>, hour: f64, busy: f64) -> Cost {
    let million = |rate: f64| hour / (HOUR * rate * busy) * TOKENS;
    let of_batch = |batch: &BatchSpeed| OutputCost {
        jobs: batch.sequences,
        cost: million(batch.tokens_per_second),
    };
    Cost {
        name: speed.name.clone(),
        input: million(speed.input),
        output: speed.output.iter().map(of_batch).collect(),
    }
}

/// All costs, one line a model.
pub(super) fn table(costs: &[Cost]) -> String {
    let mut text = format!("{:24} {:>12}", "cost of a million tokens", "input");
    let batches = costs.first().map_or(&[][..], |cost| &cost.output);
    for batch in batches {
        // Writing to a string cannot fail.
        let _ = write!(text, " {:>12}", format!("output x{}", batch.jobs));
    }
    for cost in costs {
        let _ = write!(text, "\n{:24} {:>12}", cost.name, digits(cost.input));
        for output in &cost.output {
            let _ = write!(text, " {:>12}", digits(output.cost));
        }
    }
    text.push_str("\n\nIn the money of the hourly price. Output xN: with N jobs at once.");
    text
}

/// Three leading digits, however small the number.
fn digits(number: f64) -> String {
    if number >= 100.0 {
        return format!("{number:.0}");
    }
    let leading = number.abs().max(1e-12).log10().floor() as i32;
    let decimals = usize::try_from(2 - leading).unwrap_or(0);
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_guide_holds() {
        let decode = [BatchSpeed {
            sequences: 1,
            tokens_per_second: 400.0,
        }];
        let speed = Speed {
            name: "m".into(),
            input: 4_000.0,
            output: &decode,
        };
        let cost = cost(&speed, 0.8, 0.5);
        assert_eq!(digits(cost.output[0].cost), "1.11");
        assert_eq!(digits(cost.input), "0.111");
        let table = table(&[cost]);
        assert!(
            table.contains("output x1") && table.contains("0.111"),
            "{table}"
        );
    }

    #[test]
    fn three_digits_show() {
        let shown = [12_345.6, 99.94, 1.0, 0.012_345].map(digits);
        assert_eq!(shown, ["12346", "99.9", "1.00", "0.0123"]);
    }
}
