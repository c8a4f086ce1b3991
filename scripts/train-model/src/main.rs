//! `train-model`: writes the corpus of the demonstration model, trains it, and measures it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};
use clap::{Parser, Subcommand};

use genesisflow_train_model::checkpoint::Settings;
use genesisflow_train_model::evaluate::{self, REQUIRED};
use genesisflow_train_model::export;
use genesisflow_train_model::language::Language;
use genesisflow_train_model::model::Shape;
use genesisflow_train_model::random::Random;
use genesisflow_train_model::task::{Part, Sample, Task};
use genesisflow_train_model::tokenizer;
use genesisflow_train_model::train::{self, Outcome, Run};

#[derive(Parser)]
#[command(about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Threads to use [default: one a core]. The result does not depend on it.
    #[arg(long, global = true)]
    threads: Option<usize>,
}

#[derive(Subcommand)]
enum Command {
    /// Write samples of the corpus, one JSON object a line, to see what the model is trained on.
    Corpus {
        /// File to write.
        #[arg(long)]
        out: PathBuf,
        /// Samples of each task in each language.
        #[arg(long, default_value_t = 200)]
        per_cell: usize,
        /// Write questions of the held-out part instead.
        #[arg(long)]
        held_out: bool,
        /// Seed of the draws.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Train the model and write it in the Hugging Face layout. Goes on from its checkpoint if there is one.
    Train {
        /// Seed of weights and samples.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Folder for the model's files.
        #[arg(long)]
        out: PathBuf,
        /// Checkpoint file.
        #[arg(long, default_value = "target/train-model/checkpoint.safetensors")]
        checkpoint: PathBuf,
        /// Steps of the whole run.
        #[arg(long, default_value_t = 1800)]
        steps: usize,
        /// Samples a step.
        #[arg(long, default_value_t = 256)]
        batch: usize,
        /// Steps between checkpoints.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        checkpoint_every: u64,
        /// Steps between looks at held-out accuracy.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
        probe_every: u64,
        /// Stop after this many seconds, with a checkpoint to go on from.
        #[arg(long)]
        stop_after: Option<u64>,
    },
    /// Ask the model held-out questions through the engine; fail if a cell is below 95 %.
    Evaluate {
        /// Folder of the model.
        #[arg(long)]
        model: PathBuf,
        /// Questions of each task in each language.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
        per_cell: u64,
        /// Seed of the draws.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print the wrong answers too.
        #[arg(long)]
        show_wrong: bool,
    },
}

fn main() -> ExitCode {
    // candle multiplies matrices on rayon's pool. A shard is one thread's work: parallelism is ours.
    std::env::set_var("RAYON_NUM_THREADS", "1");
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let threads = match arguments.threads {
        Some(0) => bail!("--threads 0: give at least 1"),
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    match arguments.command {
        Command::Corpus {
            out,
            per_cell,
            held_out,
            seed,
        } => write_corpus(&out, per_cell, held_out, seed),
        Command::Train {
            seed,
            out,
            checkpoint,
            steps,
            batch,
            checkpoint_every,
            probe_every,
            stop_after,
        } => {
            let tokenizer = tokenizer::train()?;
            let settings = Settings {
                seed,
                steps,
                batch,
                shape: Shape::SHIPPED,
            };
            let run = Run {
                settings,
                threads,
                checkpoint,
                checkpoint_every: checkpoint_every as usize,
                probe_every: probe_every as usize,
                stop_after,
            };
            match train::train(&run, &tokenizer)? {
                Outcome::Done(model) => {
                    export::export(&out, &model, &tokenizer)?;
                    println!("wrote {}", out.display());
                }
                Outcome::Paused(step) => {
                    println!("paused after step {step} of {steps}; run the same command to go on");
                }
            }
            Ok(())
        }
        Command::Evaluate {
            model,
            per_cell,
            seed,
            show_wrong,
        } => measure(&model, per_cell as usize, seed, threads, show_wrong),
    }
}

fn write_corpus(out: &Path, per_cell: usize, held_out: bool, seed: u64) -> Result<()> {
    let part = if held_out {
        Part::HeldOut
    } else {
        Part::Training
    };
    let file =
        std::fs::File::create(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut file = std::io::BufWriter::new(file);
    let mut random = Random::new(seed, 0);
    let mut written = 0;
    for task in Task::ALL {
        for language in Language::ALL {
            for _ in 0..per_cell {
                let sample = Sample::draw(task, language, part, &mut random);
                let line = serde_json::json!({
                    "task": task.to_string(),
                    "language": language.code(),
                    "question": sample.question,
                    "answer": sample.answer,
                });
                writeln!(file, "{line}").context("cannot write the corpus")?;
                written += 1;
            }
        }
    }
    file.flush().context("cannot write the corpus")?;
    println!("wrote {written} samples to {}", out.display());
    Ok(())
}

fn measure(
    model: &Path,
    per_cell: usize,
    seed: u64,
    threads: usize,
    show_wrong: bool,
) -> Result<()> {
    let started = Instant::now();
    let cells = evaluate::evaluate(model, per_cell, seed, threads)?;
    println!(
        "Held-out questions answered exactly, in per cent ({per_cell} a cell, greedy, canonical arithmetic):\n"
    );
    println!("{}", evaluate::table(&cells));
    println!(
        "\n{} questions in {:.0} s",
        per_cell * cells.len(),
        started.elapsed().as_secs_f64()
    );
    if show_wrong {
        for (sample, answer) in cells.iter().flat_map(|cell| &cell.wrong) {
            println!(
                "{} | right: {} | said: {answer}",
                sample.question, sample.answer
            );
        }
    }
    let low = cells
        .iter()
        .filter(|cell| cell.accuracy() < REQUIRED)
        .count();
    ensure!(
        low == 0,
        "{low} of {} cells are below {REQUIRED} %",
        cells.len()
    );
    Ok(())
}
