//! Measuring the exported model as a worker runs it: through the engine, in
//! canonical arithmetic, greedily, on questions it has never seen.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{anyhow, Context, Result};
use genesisflow_engine::{GenerateRequest, Model, Prompt, Sampling};

use crate::language::Language;
use crate::model::MAX_POSITIONS;
use crate::parallel;
use crate::random::Random;
use crate::task::{Part, Sample, Task};
use crate::tokenizer::EOS;

/// Every cell must reach this, in per cent.
pub const REQUIRED: f64 = 95.0;
/// Longest answer that is waited for, in tokens.
const MAX_OUTPUT: u32 = 48;

/// What one (task, language) cell came to.
pub struct Cell {
    /// The task.
    pub task: Task,
    /// The language of the questions.
    pub language: Language,
    /// Questions asked.
    pub asked: usize,
    /// The questions that were not answered exactly, with what was said instead.
    pub wrong: Vec<(Sample, String)>,
}

impl Cell {
    /// Exactly right answers, in per cent.
    pub fn accuracy(&self) -> f64 {
        100.0 * (self.asked - self.wrong.len()) as f64 / self.asked as f64
    }
}

/// Asks `per_cell` held-out questions of each task in each language. The questions follow from `seed`.
///
/// # Errors
/// If the model does not load or the engine fails on a question.
pub fn evaluate(folder: &Path, per_cell: usize, seed: u64, threads: usize) -> Result<Vec<Cell>> {
    let model = Model::load(folder)
        .map_err(|e| anyhow!("{e}"))
        .with_context(|| format!("cannot load the model in {}", folder.display()))?;
    let cells: Vec<(Task, Language)> = Task::ALL
        .into_iter()
        .flat_map(|task| Language::ALL.map(|language| (task, language)))
        .collect();
    parallel::in_order(threads, cells.len(), |cell| {
        let (task, language) = cells[cell];
        let mut random = Random::new(seed, cell as u64);
        let mut wrong = Vec::new();
        for _ in 0..per_cell {
            let sample = Sample::draw(task, language, Part::HeldOut, &mut random);
            let answer = ask(&model, &sample.question)?;
            if answer != sample.answer {
                wrong.push((sample, answer));
            }
        }
        Ok(Cell {
            task,
            language,
            asked: per_cell,
            wrong,
        })
    })
    .into_iter()
    .collect()
}

/// The model's greedy answer to `question`.
///
/// # Errors
/// If the engine fails.
pub fn ask(model: &Model, question: &str) -> Result<String> {
    let request = GenerateRequest {
        model_id: [0; 32],
        prompt: Prompt::Text(question.to_owned()),
        sampling: Sampling {
            temperature_milli: 0,
            top_k: 1,
            top_p_milli: 1000,
        },
        seed: [0; 32],
        max_output: MAX_OUTPUT,
        stop_tokens: vec![EOS.1],
        context: MAX_POSITIONS as u32,
        output_bytes: 4096,
        evidence_bytes: 4096,
    };
    let generation = model
        .generate(&request, &mut |_| ControlFlow::Continue(()))
        .map_err(|e| anyhow!("the engine failed on {question:?}: {e}"))?;
    Ok(generation.text)
}

/// The table of cells, a row a task and a column a language, in per cent.
pub fn table(cells: &[Cell]) -> String {
    let mut out = format!("{:<16}", "task");
    for language in Language::ALL {
        out += &format!("{:>8}", language.code());
    }
    for cell in cells {
        if cell.language == Language::ALL[0] {
            out += &format!("\n{:<16}", cell.task);
        }
        out += &format!("{:>8.1}", cell.accuracy());
    }
    out
}
