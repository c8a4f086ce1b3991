//! The training run.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{ensure, Context, Result};
use tokenizers::Tokenizer;

use crate::checkpoint::{self, Settings};
use crate::language::Language;
use crate::model::{Batch, Model};
use crate::optimizer::Optimizer;
use crate::parallel;
use crate::random::Random;
use crate::task::{Part, Sample, Task};
use crate::tokenizer::{self, Encoded};

/// A batch is always computed in this many pieces, whatever the number of
/// threads, and their gradients are added in order: so the result is the same.
pub const SHARDS: usize = 8;

/// Steps over which the learning rate rises from 0.
const WARM_UP: usize = 50;
/// Held-out questions of each cell that progress is measured with.
const PROBE_PER_CELL: usize = 16;

/// Shares of the tasks in a batch, in the order of [`Task::ALL`]. Sums and phrases are the hardest.
const SHARES: [u32; 5] = [12, 12, 40, 10, 26];

/// How a run is carried out, apart from what it computes.
pub struct Run {
    /// What is computed.
    pub settings: Settings,
    /// Threads to use.
    pub threads: usize,
    /// The checkpoint file.
    pub checkpoint: PathBuf,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Steps between measurements of held-out accuracy.
    pub probe_every: usize,
    /// End (with a checkpoint) after this many seconds, if given.
    pub stop_after: Option<u64>,
}

/// How a call of [`train`] ended.
pub enum Outcome {
    /// All steps are done.
    Done(Model),
    /// The time was over first; the checkpoint holds this many steps.
    Paused(usize),
}

/// The samples of shard `shard` of step `step`.
fn draw_shard(
    tokenizer: &Tokenizer,
    settings: &Settings,
    step: usize,
    shard: usize,
) -> Result<Vec<Encoded>> {
    let mut random = Random::new(settings.seed, (step * SHARDS + shard) as u64);
    let total: u32 = SHARES.iter().sum();
    (0..settings.batch / SHARDS)
        .map(|_| {
            let mut left = random.below(total);
            let mut task = Task::ALL[0];
            for (candidate, share) in Task::ALL.into_iter().zip(SHARES) {
                task = candidate;
                if left < share {
                    break;
                }
                left -= share;
            }
            let language = *random.pick(&Language::ALL);
            let sample = Sample::draw(task, language, Part::Training, &mut random);
            tokenizer::encode(tokenizer, &sample)
        })
        .collect()
}

/// Loss an answer token, gradient of it, and tokens fed, of one step.
fn step_gradients(
    model: &Model,
    tokenizer: &Tokenizer,
    settings: &Settings,
    step: usize,
    threads: usize,
) -> Result<(f64, Vec<Vec<f32>>, usize)> {
    let shards = parallel::in_order(threads, SHARDS, |shard| -> Result<_> {
        let batch = Batch::new(&draw_shard(tokenizer, settings, step, shard)?);
        let (loss, gradients) = model.loss_and_gradients(&batch)?;
        Ok((loss, gradients, batch.tokens(), batch.targets.len()))
    });
    let (mut loss, mut tokens, mut targets) = (0f64, 0, 0);
    let mut sum: Option<Vec<Vec<f32>>> = None;
    for shard in shards {
        let (shard_loss, gradients, fed, answered) = shard?;
        loss += f64::from(shard_loss);
        tokens += fed;
        targets += answered;
        match &mut sum {
            None => sum = Some(gradients),
            Some(sum) => {
                for (sum, gradient) in sum.iter_mut().zip(gradients) {
                    for (s, g) in sum.iter_mut().zip(gradient) {
                        *s += g;
                    }
                }
            }
        }
    }
    let mut gradients = sum.context("a batch has at least one shard")?;
    let factor = 1.0 / targets as f32;
    for gradient in &mut gradients {
        for g in gradient.iter_mut() {
            *g *= factor;
        }
    }
    Ok((loss / targets as f64, gradients, tokens))
}

/// Fraction of the peak learning rate at `step`: up in a line, down in a cosine.
fn rate(step: usize, steps: usize) -> f64 {
    if step < WARM_UP {
        return (step + 1) as f64 / WARM_UP as f64;
    }
    let done = (step - WARM_UP) as f64 / (steps.max(WARM_UP + 1) - WARM_UP) as f64;
    0.5 * (1.0 + (std::f64::consts::PI * done).cos())
}

/// Trains from the checkpoint, or from the start if there is none.
///
/// # Errors
/// If the settings make no sense or the checkpoint cannot be read or written.
pub fn train(run: &Run, tokenizer: &Tokenizer) -> Result<Outcome> {
    let settings = &run.settings;
    ensure!(
        settings.batch > 0 && settings.batch.is_multiple_of(SHARDS),
        "--batch {} must be a multiple of {SHARDS}",
        settings.batch
    );
    let model = Model::new(settings.shape, settings.seed)?;
    let mut optimizer = Optimizer::new(&model);
    let (first, spent) = if run.checkpoint.exists() {
        let (done, spent) = checkpoint::load(&run.checkpoint, settings, &model, &mut optimizer)?;
        eprintln!("going on after step {done} of {}", settings.steps);
        (done, spent)
    } else {
        (0, 0.0)
    };
    let size: usize = model.parameters.iter().map(|p| p.var.elem_count()).sum();
    eprintln!("{size} parameters, {} threads", run.threads);
    let started = Instant::now();
    let save = |done: usize, optimizer: &Optimizer| {
        let seconds = spent + started.elapsed().as_secs_f64();
        checkpoint::save(&run.checkpoint, settings, done, seconds, &model, optimizer)
    };
    let (mut tokens, mut loss, mut reported) = (0usize, 0f64, (first, Instant::now()));
    for step in first..settings.steps {
        let (step_loss, gradients, step_tokens) =
            step_gradients(&model, tokenizer, settings, step, run.threads)?;
        let rate = rate(step, settings.steps);
        optimizer.step(&model, &gradients, step, rate, run.threads)?;
        tokens += step_tokens;
        loss += step_loss;
        let done = step + 1;
        if done % 20 == 0 || done == settings.steps {
            let (steps, seconds) = (done - reported.0, reported.1.elapsed().as_secs_f64());
            eprintln!(
                "step {done}/{}  loss {:.4}  {:.0} tokens/s  {:.2} s/step  {:.0} min left",
                settings.steps,
                loss / steps as f64,
                tokens as f64 / seconds,
                seconds / steps as f64,
                (settings.steps - done) as f64 * seconds / steps as f64 / 60.0,
            );
            (tokens, loss, reported) = (0, 0.0, (done, Instant::now()));
        }
        let over = run
            .stop_after
            .is_some_and(|seconds| started.elapsed().as_secs() >= seconds);
        if done % run.checkpoint_every == 0 || done == settings.steps || over {
            save(done, &optimizer)?;
        }
        if done % run.probe_every == 0 {
            eprintln!("{}", probe(&model, tokenizer, run.threads)?);
        }
        if over && done < settings.steps {
            return Ok(Outcome::Paused(done));
        }
    }
    let minutes = (spent + started.elapsed().as_secs_f64()) / 60.0;
    eprintln!("trained for {minutes:.1} minutes in all");
    Ok(Outcome::Done(model))
}

/// Held-out accuracy in f32, a line for each task: a quick look, not the published measurement.
fn probe(model: &Model, tokenizer: &Tokenizer, threads: usize) -> Result<String> {
    let cells: Vec<(Task, Language)> = Task::ALL
        .into_iter()
        .flat_map(|task| Language::ALL.map(|language| (task, language)))
        .collect();
    let rights = parallel::in_order(threads, cells.len(), |cell| -> Result<usize> {
        let (task, language) = cells[cell];
        let mut random = Random::new(0, cell as u64);
        let samples = (0..PROBE_PER_CELL)
            .map(|_| {
                let sample = Sample::draw(task, language, Part::HeldOut, &mut random);
                tokenizer::encode(tokenizer, &sample)
            })
            .collect::<Result<Vec<_>>>()?;
        let answers = model.answers_exactly(&Batch::new(&samples))?;
        Ok(answers.into_iter().filter(|&right| right).count())
    });
    let mut out = String::new();
    for (&(task, language), right) in cells.iter().zip(rights) {
        if language == Language::ALL[0] {
            out += &format!("\n  held out, {task:<16}");
        }
        let percent = right? * 100 / PROBE_PER_CELL;
        out += &format!(" {language} {percent:>3} %");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shape;

    fn tiny() -> Settings {
        Settings {
            seed: 3,
            steps: 4,
            batch: 16,
            shape: Shape {
                hidden: 32,
                intermediate: 64,
                layers: 2,
            },
        }
    }

    fn run(settings: Settings, threads: usize, checkpoint: PathBuf) -> Run {
        Run {
            settings,
            threads,
            checkpoint,
            checkpoint_every: 2,
            probe_every: usize::MAX,
            stop_after: None,
        }
    }

    fn weights(model: &Model) -> Vec<Vec<f32>> {
        model
            .parameters
            .iter()
            .map(|p| p.var.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    fn finished(outcome: Outcome) -> Model {
        match outcome {
            Outcome::Done(model) => model,
            Outcome::Paused(step) => panic!("paused after step {step}"),
        }
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let tokenizer = tokenizer::train().unwrap();
        let settings = tiny();
        let model = Model::new(settings.shape, settings.seed).unwrap();
        let one = step_gradients(&model, &tokenizer, &settings, 0, 1).unwrap();
        let two = step_gradients(&model, &tokenizer, &settings, 0, 2).unwrap();
        let five = step_gradients(&model, &tokenizer, &settings, 0, 5).unwrap();
        assert_eq!(one, two);
        assert_eq!(one, five);
    }

    #[test]
    fn a_run_that_goes_on_from_a_checkpoint_ends_like_one_in_one_go() {
        let tokenizer = tokenizer::train().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let settings = tiny();
        let whole = run(settings, 2, folder.path().join("whole"));
        let whole = finished(train(&whole, &tokenizer).unwrap());

        let mut pieces = run(settings, 1, folder.path().join("pieces"));
        pieces.stop_after = Some(0);
        let mut pauses = 0;
        let resumed = loop {
            match train(&pieces, &tokenizer).unwrap() {
                Outcome::Done(model) => break model,
                Outcome::Paused(_) => pauses += 1,
            }
        };
        assert_eq!(pauses, 3);
        assert_eq!(weights(&whole), weights(&resumed));
    }

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let tokenizer = tokenizer::train().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        train(&run(tiny(), 2, path.clone()), &tokenizer).unwrap();
        let other = Settings { seed: 4, ..tiny() };
        let error = train(&run(other, 2, path), &tokenizer).err().unwrap();
        assert!(error.to_string().contains("another run"), "{error}");
    }

    #[test]
    fn a_few_steps_lower_the_loss() {
        let tokenizer = tokenizer::train().unwrap();
        let settings = Settings {
            steps: 150,
            ..tiny()
        };
        let folder = tempfile::tempdir().unwrap();
        let untrained = Model::new(settings.shape, settings.seed).unwrap();
        let trained = run(settings, 2, folder.path().join("checkpoint"));
        let trained = finished(train(&trained, &tokenizer).unwrap());
        let loss = |model: &Model| {
            step_gradients(model, &tokenizer, &settings, 1000, 2)
                .unwrap()
                .0
        };
        assert!(loss(&trained) < 0.7 * loss(&untrained));
    }

    #[test]
    fn the_learning_rate_rises_and_falls_to_zero() {
        assert!(rate(0, 1000) < 0.03);
        assert_eq!(rate(WARM_UP, 1000), 1.0);
        assert!(rate(999, 1000) < 0.001);
    }
}
