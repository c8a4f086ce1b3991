//! Turns measurements into the source of a `WeightInfo`.

use crate::{measure::Function, storage::Figures};
use anyhow::{anyhow, Result};
use frame_benchmarking::{Analysis, BenchmarkResult, BenchmarkSelector};
use std::{collections::BTreeMap, fmt::Write};

/// Rust source that implements `WeightInfo` of `pallet` with functions from [`function`], by name.
pub fn file(pallet: &str, functions: &BTreeMap<String, String>, steps: u32, repeat: u32) -> String {
    let mut source = format!(
        "//! Weights of `{pallet}`, measured. Do not edit: run `scripts/weights.sh`.\n\
         //!\n\
         //! {steps} steps, {repeat} repeats, on {}.\n\n\
         use core::marker::PhantomData;\n\
         use frame_support::{{traits::Get, weights::Weight}};\n\n\
         /// Weights of `{pallet}` on this runtime.\n\
         pub struct WeightInfo<T>(PhantomData<T>);\n\n\
         impl<T: frame_system::Config> {pallet}::WeightInfo for WeightInfo<T> {{\n",
        processor()
    );
    functions.values().for_each(|text| source.push_str(text));
    source.push_str("}\n");
    source
}

/// Rust source of what reads and writes of storage cost.
pub fn storage(figures: &Figures, entries: u64) -> String {
    format!(
        "//! What storage costs, measured. Do not edit: run `scripts/weights.sh`.\n\
         //!\n\
         //! ParityDB with {entries} entries, on {}.\n\n\
         use frame_support::{{parameter_types, weights::RuntimeDbWeight}};\n\n\
         parameter_types! {{\n\
         /// One read and one write, in picoseconds.\n\
         pub const StorageWeight: RuntimeDbWeight = RuntimeDbWeight {{\n\
         read: {},\n\
         write: {},\n\
         }};\n\
         }}\n",
        processor(),
        figures.read.saturating_mul(1_000),
        figures.write.saturating_mul(1_000),
    )
}

/// Rust source of one function of `WeightInfo`.
///
/// # Errors
/// If its measurements have no regression.
pub fn function(function: &Function) -> Result<String> {
    let time = fit(function, &function.timed, BenchmarkSelector::ExtrinsicTime)?;
    let reads = fit(function, &function.tracked, BenchmarkSelector::Reads)?;
    let writes = fit(function, &function.tracked, BenchmarkSelector::Writes)?;

    let mut source = String::new();
    for (name, low, high) in &function.components {
        writeln!(
            source,
            "    /// `{name}` was measured from {low} to {high}."
        )?;
    }
    writeln!(
        source,
        "    // Least time measured: {} ns.",
        time.minimum.max(1)
    )?;
    let used: Vec<bool> = (0..function.components.len())
        .map(|index| {
            [&time, &reads, &writes]
                .iter()
                .any(|fit| fit.slopes[index] > 0)
        })
        .collect();
    let arguments: Vec<String> = function
        .components
        .iter()
        .zip(&used)
        .map(|((name, ..), used)| format!("{}{name}: u32", if *used { "" } else { "_" }))
        .collect();
    writeln!(
        source,
        "    fn {}({}) -> Weight {{",
        function.name,
        arguments.join(", ")
    )?;
    writeln!(source, "        Weight::from_parts({}, 0)", time.base)?;
    for (slope, (name, ..)) in time.slopes.iter().zip(&function.components) {
        if *slope > 0 {
            writeln!(
                source,
                "            .saturating_add(Weight::from_parts({slope}, 0).saturating_mul({name}.into()))"
            )?;
        }
    }
    for (fit, method) in [(&reads, "reads"), (&writes, "writes")] {
        if fit.base > 0 {
            writeln!(
                source,
                "            .saturating_add(T::DbWeight::get().{method}({}))",
                fit.base
            )?;
        }
        for (slope, (name, ..)) in fit.slopes.iter().zip(&function.components) {
            if *slope > 0 {
                writeln!(
                    source,
                    "            .saturating_add(T::DbWeight::get().{method}({slope}).saturating_mul({name}.into()))"
                )?;
            }
        }
    }
    source.push_str("    }\n");
    Ok(source)
}

/// Base and slopes by the regression that upstream's tool uses, in the order of
/// the function's components.
fn fit(
    function: &Function,
    results: &Vec<BenchmarkResult>,
    selector: BenchmarkSelector,
) -> Result<Analysis> {
    let analysis = Analysis::min_squares_iqr(results, selector)
        .map_err(|error| anyhow!("{}: {error}", function.name))?;
    anyhow::ensure!(
        analysis.slopes.len() == function.components.len(),
        "{}: {} slopes for {} components",
        function.name,
        analysis.slopes.len(),
        function.components.len()
    );
    Ok(analysis)
}

/// The processor's name, as the kernel gives it.
fn processor() -> String {
    std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| {
                line.strip_prefix("model name")?
                    .split(": ")
                    .nth(1)
                    .map(Into::into)
            })
        })
        .unwrap_or_else(|| "an unknown processor".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame_benchmarking::BenchmarkParameter;

    fn result(length: u32, nanoseconds: u128, reads: u32) -> BenchmarkResult {
        BenchmarkResult {
            components: vec![(BenchmarkParameter::i, length)],
            extrinsic_time: nanoseconds,
            reads,
            writes: 1,
            ..Default::default()
        }
    }

    #[test]
    fn time_grows_with_the_length_and_storage_does_not() {
        let results: Vec<_> = (0..5)
            .map(|i| result(i * 10, 1_000 + 20 * u128::from(i), 3))
            .collect();
        let source = super::function(&Function {
            name: "submit".into(),
            components: vec![("i".into(), 0, 40)],
            timed: results.clone(),
            tracked: results,
        })
        .unwrap();
        assert!(source.contains("fn submit(i: u32) -> Weight"), "{source}");
        assert!(
            source.contains("Weight::from_parts(1000000, 0)"),
            "{source}"
        );
        assert!(
            source.contains("Weight::from_parts(2000, 0).saturating_mul(i.into())"),
            "{source}"
        );
        assert!(source.contains("reads(3)"), "{source}");
        assert!(source.contains("writes(1)"), "{source}");
    }
}
