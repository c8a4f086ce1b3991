//! What a replay costs beside the run that it checks.

use std::time::Instant;

use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    bench::{RandomWeights, Shape, StoredFormat},
    decoder::Decoder,
    threads::Threads,
    Engine, EngineOptions, GenerateRequest, Model, Prompt, Replay, Sampling,
};

use crate::random_model::Numbers;

const PROMPT: usize = 64;
const OUTPUT: u32 = 256;
const ROUNDS: u64 = 3;

/// The best of some rounds, because what else the machine does only adds.
#[test]
#[ignore = "takes the time of two machines' work: run it alone, with --nocapture"]
fn a_replay_of_256_tokens_takes_at_most_a_quarter_of_their_generation() {
    for name in ["smollm2-135m", "llama-3.2-1b"] {
        let config = Shape::named(name).unwrap().config;
        let vocabulary = config.vocab_size;
        let mut weights = RandomWeights::new(StoredFormat::Q8_0);
        let threads = Threads::pinned(2).unwrap();
        let decoder = Decoder::new(config, &mut weights, Kernel::detect(), threads).unwrap();
        let options = EngineOptions {
            // Else the replay would find the prompt done.
            prefix_cache: false,
            ..EngineOptions::default()
        };
        let engine = Engine::start(Model::new(decoder, None), options).unwrap();
        let (mut making, mut checking) = (f64::MAX, f64::MAX);
        for round in 0..ROUNDS {
            let request = GenerateRequest {
                model_id: [0; 32],
                prompt: Prompt::Tokens(Numbers::new(round).tokens(PROMPT, vocabulary)),
                sampling: Sampling {
                    temperature_milli: 1_000,
                    top_k: 40,
                    top_p_milli: 950,
                },
                seed: [round as u8; 32],
                max_output: OUTPUT,
                stop_tokens: vec![],
                context: 2048,
                output_bytes: usize::MAX,
                evidence_bytes: usize::MAX,
            };
            let start = Instant::now();
            let made = engine.submit(request.clone()).unwrap().wait().unwrap();
            making = making.min(start.elapsed().as_secs_f64());
            assert_eq!(made.tokens.len(), OUTPUT as usize);
            let start = Instant::now();
            let replay = engine.replay(request, made.tokens.clone(), &[[1; 32]]);
            let found = replay.unwrap().wait().unwrap().replay;
            checking = checking.min(start.elapsed().as_secs_f64());
            assert_eq!(found, Replay::Matches(made));
        }
        let ratio = checking / making;
        println!(
            "{name}: {PROMPT} + {OUTPUT} tokens made in {making:.3} s, replayed in {checking:.3} s: {ratio:.3} of it"
        );
        assert!(ratio <= 0.25, "{name}: {ratio}");
    }
}
