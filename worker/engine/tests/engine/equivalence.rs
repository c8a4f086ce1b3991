//! However a sequence is computed, the bits are the same: in one prefill, in chunks of any size,
//! token by token, on any kernel, on any number of threads; and a replay finds what a run made.

use std::ops::ControlFlow;

use crate::random_model::{
    config, decoder, q4_0_decoder, spoil, tensors, whole_blocks, Numbers, FAMILIES,
};
use genesisflow_canonical::kernels::Kernel;
use genesisflow_engine::{
    decoder::{Decoder, FeedFault, Sequence},
    FaultCode, Finish, GenerateRequest, Model, Prompt, Replay, Sampling,
};
use half::f16;
use proptest::prelude::*;

/// States and logits of the sampled positions, or the fault, as bits.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub states: Vec<u32>,
    pub logits: Vec<u32>,
    pub fault: Option<(FaultCode, usize, Vec<u16>)>,
}

fn fault_bits(fault: FeedFault) -> (FaultCode, usize, Vec<u16>) {
    let row = fault.last_key_row.into_iter().map(f16::to_bits).collect();
    (fault.code, fault.position, row)
}

/// Feeds `tokens` in pieces of the given sizes (over and over), sampling from `sampled` on.
pub fn run(decoder: &Decoder, tokens: &[u32], pieces: &[usize], sampled: usize) -> Seen {
    let mut sequence = Sequence::new(decoder, tokens.len()).unwrap();
    let mut seen = Seen {
        states: vec![],
        logits: vec![],
        fault: None,
    };
    let mut from = 0;
    for size in pieces.iter().cycle() {
        let to = (from + size).min(tokens.len());
        let start = sampled.saturating_sub(from).min(to - from);
        let fed = sequence.feed(&tokens[from..to], start);
        seen.states.extend(fed.states.iter().map(|x| x.to_bits()));
        if let Ok(logits) = sequence.logits(&fed.states) {
            seen.logits.extend(logits.iter().map(|x| x.to_bits()));
        }
        from = to;
        if let Some(fault) = fed.fault {
            seen.fault = Some(fault_bits(fault));
            break;
        }
        if from == tokens.len() {
            break;
        }
    }
    seen
}

pub fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..5, 5usize..200], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn chunks_threads_and_kernels_cannot_be_told_apart(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        length in 1usize..280,
        pieces in pieces(),
        sampled in 0usize..280,
    ) {
        let mut numbers = Numbers::new(seed);
        let config = config(family, &mut numbers);
        let weights = tensors(&config, &mut numbers);
        let tokens = numbers.tokens(length, config.vocab_size);
        let fastest = decoder(&config, &weights, Kernel::detect(), 1);
        let sampled = sampled.min(length - 1);
        let whole = run(&fastest, &tokens, &[length], sampled);
        prop_assert!(whole.fault.is_none());
        prop_assert_eq!(whole.states.len(), (length - sampled) * config.hidden_size);
        prop_assert_eq!(&run(&fastest, &tokens, &[1], sampled), &whole, "one by one");
        prop_assert_eq!(&run(&fastest, &tokens, &pieces, sampled), &whole, "in pieces");
        for threads in [2, 4] {
            let decoder = decoder(&config, &weights, Kernel::detect(), threads);
            prop_assert_eq!(&run(&decoder, &tokens, &pieces, sampled), &whole, "{} threads", threads);
        }
        for kernel in Kernel::available() {
            let decoder = decoder(&config, &weights, kernel, 1);
            prop_assert_eq!(&run(&decoder, &tokens, &pieces, sampled), &whole, "{}", kernel.name());
        }
    }

    #[test]
    fn weights_in_fours_give_the_same_bits_on_every_kernel(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        length in 1usize..150,
        pieces in pieces(),
    ) {
        let mut numbers = Numbers::new(seed);
        let mut config = config(family, &mut numbers);
        whole_blocks(&mut config);
        let weights = tensors(&config, &mut numbers);
        let tokens = numbers.tokens(length, config.vocab_size);
        let scalar = q4_0_decoder(&config, &weights, Kernel::SCALAR, 1);
        let whole = run(&scalar, &tokens, &[length], 0);
        prop_assert!(whole.fault.is_none());
        for kernel in Kernel::available() {
            let decoder = q4_0_decoder(&config, &weights, kernel, 2);
            prop_assert_eq!(&run(&decoder, &tokens, &pieces, 0), &whole, "{}", kernel.name());
        }
    }

    /// Weights near the limits, so that some positions fault: always the same one, with the same
    /// last key row.
    #[test]
    fn faults_are_the_same_however_they_are_met(
        seed: u64,
        length in 1usize..180,
        pieces in pieces(),
        sampled in 0usize..180,
    ) {
        let mut numbers = Numbers::new(seed);
        let config = config("llama", &mut numbers);
        let mut weights = tensors(&config, &mut numbers);
        spoil(&mut weights, &config, &mut numbers);
        let tokens = numbers.tokens(length, config.vocab_size);
        let decoder = decoder(&config, &weights, Kernel::detect(), 2);
        let sampled = sampled.min(length - 1);
        let whole = run(&decoder, &tokens, &[length], sampled);
        prop_assert_eq!(&run(&decoder, &tokens, &[1], sampled), &whole, "one by one");
        prop_assert_eq!(&run(&decoder, &tokens, &pieces, sampled), &whole, "in pieces");
    }

    #[test]
    fn a_replay_finds_what_a_run_made_and_nothing_else(
        seed: u64,
        family in prop::sample::select(&FAMILIES[..]),
        prompt in 1usize..60,
        max_output in 1u32..40,
        temperature_milli in prop_oneof![Just(0u32), 500u32..2000],
        evidence_bytes in prop_oneof![Just(usize::MAX), 1usize..40],
        spoiled: bool,
        stop: bool,
    ) {
        let mut numbers = Numbers::new(seed);
        let config = config(family, &mut numbers);
        let mut weights = tensors(&config, &mut numbers);
        if spoiled {
            spoil(&mut weights, &config, &mut numbers);
        }
        let prompt = numbers.tokens(prompt, config.vocab_size);
        let request = GenerateRequest {
            model_id: [5; 32],
            prompt: Prompt::Tokens(prompt),
            sampling: Sampling { temperature_milli, top_k: 40, top_p_milli: 950 },
            seed: [seed as u8; 32],
            max_output,
            stop_tokens: if stop { numbers.tokens(6, config.vocab_size) } else { vec![] },
            context: 200,
            output_bytes: usize::MAX,
            evidence_bytes,
        };
        let model = Model::new(decoder(&config, &weights, Kernel::detect(), 2), None);
        let made = model.generate(&request, &mut |_| ControlFlow::Continue(())).unwrap();
        let replayed = model.replay(&request, &made.tokens).unwrap();
        prop_assert_eq!(&replayed, &Replay::Matches(made.clone()));

        let seeds = [[1; 32], [2; 32]];
        let audit = |tokens: &[u32]| model.audit(&request, tokens, &seeds).unwrap();
        let audited = audit(&made.tokens);
        prop_assert_eq!(&audited.replay, &replayed);
        prop_assert_ne!(audited.digests[0], audited.digests[1]);
        let nothing = genesisflow_canonical::Trace::audit(&seeds[0]).finish();
        let differs = |tokens: &[u32]| model.replay(&request, tokens).unwrap();
        for index in 0..made.tokens.len() {
            let mut changed = made.tokens.clone();
            changed[index] = (changed[index] + 1) % config.vocab_size as u32;
            prop_assert_eq!(differs(&changed), Replay::Differs { index: index as u32 });
            let shown = audit(&changed).digests;
            prop_assert_ne!(shown[0], nothing, "a difference cannot be shown without a run");
            changed[index] = u32::MAX;
            prop_assert_eq!(audit(&changed).digests, shown);
            prop_assert_eq!(differs(&changed), Replay::Differs { index: index as u32 });
            let cut = &made.tokens[..index];
            prop_assert_eq!(differs(cut), Replay::Differs { index: index as u32 });
        }
        let mut longer = made.tokens.clone();
        longer.push(0);
        prop_assert_eq!(differs(&longer), Replay::Differs { index: made.tokens.len() as u32 });
    }
}

/// The test above is worth something only if its models do fault, in every way, and not always.
#[test]
fn spoiled_models_fault_in_every_way() {
    let (mut activations, mut key_values, mut none, mut late) = (0, 0, 0, 0);
    for seed in 0..200 {
        let mut numbers = Numbers::new(seed);
        let config = config("llama", &mut numbers);
        let mut weights = tensors(&config, &mut numbers);
        spoil(&mut weights, &config, &mut numbers);
        let tokens = numbers.tokens(100, config.vocab_size);
        let decoder = decoder(&config, &weights, Kernel::detect(), 1);
        match run(&decoder, &tokens, &[100], 99).fault {
            None => none += 1,
            Some((code, position, row)) => {
                assert!(position == 0 || !row.is_empty(), "a key row precedes it");
                late += u32::from(position > 5);
                match code {
                    FaultCode::ActivationOverflow => activations += 1,
                    FaultCode::KeyValueOverflow => key_values += 1,
                    FaultCode::Template => panic!("no template here"),
                }
            }
        }
    }
    assert!(
        activations > 10 && key_values > 10 && none > 10 && late > 10,
        "{activations} {key_values} {none} {late}"
    );
}

/// A fault ends a generation with the tokens sampled before it, and the trace covers the key row.
#[test]
fn a_fault_while_decoding_keeps_the_tokens_before_it() {
    let mut found = 0;
    for seed in 0..300 {
        let mut numbers = Numbers::new(seed);
        let config = config("llama", &mut numbers);
        let mut weights = tensors(&config, &mut numbers);
        spoil(&mut weights, &config, &mut numbers);
        let model = Model::new(decoder(&config, &weights, Kernel::detect(), 1), None);
        let request = GenerateRequest {
            model_id: [0; 32],
            prompt: Prompt::Tokens(numbers.tokens(2, config.vocab_size)),
            sampling: Sampling {
                temperature_milli: 3000,
                top_k: 64,
                top_p_milli: 1000,
            },
            seed: [1; 32],
            max_output: 50,
            stop_tokens: vec![],
            context: 100,
            output_bytes: 1000,
            evidence_bytes: 1000,
        };
        let made = model
            .generate(&request, &mut |_| ControlFlow::Continue(()))
            .unwrap();
        if let Finish::Fault { position, .. } = made.finish {
            let last_fed = 1 + made.tokens.len();
            if made.tokens.is_empty() {
                assert!(position as usize <= last_fed);
            } else {
                assert_eq!(position as usize, last_fed);
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found}");
}
