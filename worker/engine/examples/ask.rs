//! Asks a model a question, without any chain.
//!
//! ```text
//! cargo run --release -p genesisflow-engine --example ask -- worker/models/polyglot-tiny "..."
//! ```

use std::{error::Error, ops::ControlFlow, path::Path, time::Instant};

use genesisflow_engine::{GenerateRequest, Model, Prompt, Sampling};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask <model folder> <question> [stop token id]...".into());
    };
    let stop_tokens = arguments.map(|id| id.parse()).collect::<Result<_, _>>()?;
    let model = Model::load(Path::new(&folder))?;
    let request = GenerateRequest {
        model_id: [0; 32],
        prompt: Prompt::Text(question),
        sampling: Sampling::GREEDY,
        seed: [0; 32],
        max_output: 128,
        stop_tokens,
        context: 256,
        output_bytes: 4096,
        evidence_bytes: 4096,
    };
    let start = Instant::now();
    let result = model.generate(&request, &mut |_| ControlFlow::Continue(()))?;
    let generated = start.elapsed();
    let start = Instant::now();
    model.replay(&request, &result.tokens)?;
    println!("{}", result.text);
    println!(
        "{} + {} tokens in {generated:.1?} ({:.0} output tokens/s), replayed in {:.1?}; {:?}",
        result.prompt_tokens,
        result.tokens.len(),
        result.tokens.len() as f64 / generated.as_secs_f64(),
        start.elapsed(),
        result.finish,
    );
    Ok(())
}
