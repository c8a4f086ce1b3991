//! The `manifest.toml` that a fetched model begins with: what its files say, and
//! terms to be reviewed before anything is registered.

use crate::{
    error::{Error, Kind, Result},
    hub::DEFAULT_HUB,
    manifest::DESCRIPTION,
    model_files::files,
};
use genesisflow_engine::{
    loading::{WeightFiles, CONFIG},
    text::TextProcessor,
    Prompt,
};
use genesisflow_primitives::FileRole;
use std::path::Path;

/// Longest context that is proposed. A job may take as much memory as its
/// context needs, so a model's own limit is often more than a machine wants.
const LONGEST_CONTEXT: u32 = 4_096;
/// Longest output that is proposed.
const LONGEST_OUTPUT: u32 = 1_024;
/// Proposed for a template's tokens beyond those that were counted: another
/// date in it, say.
const SPARE_OVERHEAD: u32 = 8;
/// Weight bytes (two for each weight) that a machine with two slow cores reads
/// in a second while it replays, times the tokens that it replays then, a tenth
/// of it: see the measurements in docs/engine.md.
const REPLAYED_BYTES: u64 = 24_000_000_000;
/// Highest replay rate that is proposed.
const FASTEST_REPLAY: u32 = 2_000;
/// Tokens of context for each token a second of replay that keep the commit
/// window within what the chain allows (824), rounded down.
const CONTEXT_PER_RATE: u32 = 800;

/// Checks that the engine can run what is in `dir`, as far as that shows
/// without reading all weights.
///
/// # Errors
/// [`Kind::Model`] if a file is missing, or asks for what the engine does not
/// compute.
pub fn check_runnable(dir: &Path) -> Result<()> {
    files(dir)?;
    WeightFiles::find(dir)
        .and_then(|weights| weights.open(dir).map(|_| ()))
        .map_err(|error| unusable(dir, error))?;
    TextProcessor::load(dir)
        .map(|_| ())
        .map_err(|error| unusable(dir, error))
}

pub(crate) fn unusable(dir: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::Model,
        format!("the engine cannot run the model in {}", dir.display()),
    )
    .because(cause)
    .fix("choose a model that it runs: docs/engine.md lists architectures and files")
}

/// Writes the `manifest.toml` of `dir` if there is none; false if there is one.
///
/// `source` is where the files came from, if that is an address.
///
/// # Errors
/// [`Kind::Model`] if the model's files cannot be read; [`Kind::Journal`] if
/// the manifest cannot be written.
pub fn write(dir: &Path, name: &str, source: Option<&str>) -> Result<bool> {
    let path = dir.join(DESCRIPTION);
    if path.exists() {
        return Ok(false);
    }
    let config = std::fs::read(dir.join(CONFIG)).map_err(|error| unusable(dir, error))?;
    let config: serde_json::Value =
        serde_json::from_slice(&config).map_err(|error| unusable(dir, error))?;
    let longest = config["max_position_embeddings"]
        .as_u64()
        .map(|context| u32::try_from(context).unwrap_or(u32::MAX));
    let weights = files(dir)?
        .into_iter()
        .filter(|(role, _)| *role == FileRole::Weights)
        .filter_map(|(_, name)| Some(std::fs::metadata(dir.join(name)).ok()?.len()))
        .sum();
    let text = proposal(name, source, longest, overhead(dir)?, weights);
    std::fs::write(&path, text).map_err(|error| crate::hub::unwritable(&path, error))?;
    Ok(true)
}

/// Tokens that the tokenizer and the chat template add to one byte of input.
fn overhead(dir: &Path) -> Result<u32> {
    let text = TextProcessor::load(dir).map_err(|error| unusable(dir, error))?;
    let tokens = text
        .encode(&Prompt::Text("a".into()))
        .map_err(|error| unusable(dir, error))?;
    let added = u32::try_from(tokens.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Ok(if text.has_template() {
        added.saturating_add(SPARE_OVERHEAD)
    } else {
        added
    })
}

fn proposal(
    name: &str,
    source: Option<&str>,
    longest: Option<u32>,
    overhead: u32,
    weight_bytes: u64,
) -> String {
    let context = longest.unwrap_or(LONGEST_CONTEXT).clamp(2, LONGEST_CONTEXT);
    let output = LONGEST_OUTPUT.min(context / 2);
    let rate = replay_rate(weight_bytes, context);
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let sources = match source {
        Some(source) => format!("sources = [{}]", quoted(source)),
        None => format!("# sources = [\"{DEFAULT_HUB}/OWNER/NAME\"]"),
    };
    let own = match longest {
        Some(longest) => format!(" The model itself goes up to {longest}."),
        None => String::new(),
    };
    format!(
        r#"# What the marketplace needs to know of this model besides its files. Review it before
# `model register`: all of it is part of the model's id, and cannot be changed afterwards.
name = {}
{sources}
# stop-tokens = [2]      # default: eos_token_id of the model's own files

[limits]
# Tokens of prompt and output together; each job takes memory for as many as it may have.{own}
context = {context}
max-output = {output}
# Most tokens that formatting adds to one per input byte; counted with the model's own template.
prompt-overhead = {overhead}

[terms]
# In GEN: the least that any offer may ask per token, and the least fee of a job.
min-price-input = "0.000001"
min-price-output = "0.000002"
min-fee = "0.002"
# Tokens a second that an auditor must manage. Estimated from the size of the weights, for a
# machine with two slow cores: compare with what `bench --model` says of prefill on yours.
replay-rate = {rate}
# Pay of an audit seat, in percent of the fee.
seat-pay = 50
"#,
        quoted(name)
    )
}

/// Tokens a second: two leading digits, and enough for the chain.
fn replay_rate(weight_bytes: u64, context: u32) -> u32 {
    let estimate = REPLAYED_BYTES / weight_bytes.max(1);
    let estimate = u32::try_from(estimate).unwrap_or(u32::MAX);
    let mut unit = 1;
    while estimate / unit >= 100 {
        unit *= 10;
    }
    let least = context.div_ceil(CONTEXT_PER_RATE);
    (estimate / unit * unit).min(FASTEST_REPLAY).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_what_a_manifest_can_be_read_from() {
        let text = proposal(
            "a \"b\"",
            Some("https://x/y"),
            Some(32_768),
            31,
            988_000_000,
        );
        let read: toml::Value = toml::from_str(&text).unwrap();
        assert_eq!(read["name"].as_str(), Some("a \"b\""));
        assert_eq!(read["sources"][0].as_str(), Some("https://x/y"));
        assert_eq!(read["limits"]["context"].as_integer(), Some(4_096));
        assert_eq!(read["limits"]["prompt-overhead"].as_integer(), Some(31));
        assert_eq!(read["terms"]["replay-rate"].as_integer(), Some(24));
        assert!(text.contains("up to 32768"), "{text}");
    }

    #[test]
    fn limits_stay_within_the_model_and_the_chain() {
        let read = |longest, bytes| -> toml::Value {
            toml::from_str(&proposal("m", None, longest, 0, bytes)).unwrap()
        };
        let small = read(Some(256), 1);
        assert_eq!(small["limits"]["context"].as_integer(), Some(256));
        assert_eq!(small["limits"]["max-output"].as_integer(), Some(128));
        assert_eq!(small["terms"]["replay-rate"].as_integer(), Some(2_000));
        // However large, its longest job can be replayed within the window.
        let large = read(None, u64::MAX);
        let rate = large["terms"]["replay-rate"].as_integer().unwrap();
        assert!(
            150 + 4 * (4_096 + 2 * rate - 1) / (2 * rate) <= 1_800,
            "{rate}"
        );
        assert!(read(Some(0), 0)["limits"]["max-output"].as_integer() >= Some(1));
    }

    #[test]
    fn rates_are_rounded_down_to_two_digits() {
        assert_eq!(replay_rate(7_000_000, 256), 2_000);
        assert_eq!(replay_rate(270_000_000, 4_096), 88);
        assert_eq!(replay_rate(20_000_000, 4_096), 1_200);
        assert_eq!(replay_rate(16_000_000_000, 4_096), 6);
    }
}
