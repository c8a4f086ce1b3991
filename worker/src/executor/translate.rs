//! Between the chain's terms and the engine's.

use super::{Assignment, ExecutionError, ReplayOutcome, Replayed, TrueResult};
use crate::journal::Delivery;
use genesisflow_engine::{
    Audit, Finish, GenerateRequest, Generation, Prompt, Replay, Sampling, ENGINE_VERSION,
};
use genesisflow_primitives::{
    audit::AuditDigest, evidence, Fault, FaultCode, InputFormat, ResultClaim, Usage, H256,
};

/// What the engine is asked for a job on a model with these stop tokens and this context.
pub(super) fn request(
    assignment: &Assignment,
    stop_tokens: &[u32],
    context: u32,
) -> Result<GenerateRequest, ExecutionError> {
    Ok(GenerateRequest {
        model_id: assignment.model.0,
        prompt: prompt(assignment)?,
        sampling: Sampling {
            temperature_milli: assignment.options.temperature_milli,
            top_k: assignment.options.top_k,
            top_p_milli: assignment.options.top_p_milli,
        },
        seed: assignment.seed.0,
        max_output: assignment.max_output_units,
        stop_tokens: stop_tokens.to_vec(),
        context,
        output_bytes: assignment.max_output_bytes as usize,
        evidence_bytes: assignment.max_evidence_bytes as usize,
    })
}

fn prompt(assignment: &Assignment) -> Result<Prompt, ExecutionError> {
    let text = String::from_utf8(assignment.input.clone())
        .map_err(|_| ExecutionError::Refused("its input is no UTF-8".into()))?;
    Ok(match assignment.options.format {
        InputFormat::Text => Prompt::Text(text),
        InputFormat::Messages => Prompt::Messages(text),
        InputFormat::Raw => Prompt::Raw(text),
    })
}

/// The result as the chain takes it.
pub(super) fn delivery(
    generation: &Generation,
    assignment: &Assignment,
) -> Result<Delivery, ExecutionError> {
    let output = generation.text.clone().into_bytes();
    let evidence = evidence::encode(&generation.tokens);
    let units = u32::try_from(generation.tokens.len()).unwrap_or(u32::MAX);
    let fits = generation.prompt_tokens <= assignment.max_input_units
        && units <= assignment.max_output_units
        && output.len() <= assignment.max_output_bytes as usize
        && evidence.len() <= assignment.max_evidence_bytes as usize;
    if !fits {
        return Err(ExecutionError::Refused(format!(
            "the result exceeds the job's limits: {} input tokens, {units} output tokens, {} bytes of output, {} of evidence",
            generation.prompt_tokens,
            output.len(),
            evidence.len()
        )));
    }
    Ok(Delivery {
        output,
        evidence,
        claim: ResultClaim {
            usage: Usage {
                input: generation.prompt_tokens,
                output: units,
            },
            fault: fault(generation.finish),
            trace: H256(generation.trace),
            engine_version: ENGINE_VERSION,
        },
    })
}

/// The answer about a job for which no result can be right.
pub(super) fn impossible(seed: &H256, reason: String) -> Replayed {
    Replayed {
        outcome: ReplayOutcome::Impossible { reason },
        digest: AuditDigest::new(seed).finish(),
    }
}

/// What an audit found, as the audit loop reads it.
pub(super) fn replayed(audit: Audit) -> Replayed {
    let digest = H256(audit.digests.first().copied().unwrap_or_default());
    let outcome = match audit.replay {
        Replay::Matches(generation) => ReplayOutcome::Matches(TrueResult {
            input_units: generation.prompt_tokens,
            fault: fault(generation.finish),
            trace: H256(generation.trace),
            output: generation.text.into_bytes(),
        }),
        Replay::Differs { index } => ReplayOutcome::Differs { index },
    };
    Replayed { outcome, digest }
}

fn fault(finish: Finish) -> Option<Fault> {
    match finish {
        Finish::Stop | Finish::Length | Finish::ByteLimit => None,
        Finish::Fault { code, position } => Some(Fault {
            code: match code {
                genesisflow_engine::FaultCode::ActivationOverflow => FaultCode::ActivationOverflow,
                genesisflow_engine::FaultCode::KeyValueOverflow => FaultCode::KeyValueOverflow,
                genesisflow_engine::FaultCode::Template => FaultCode::Template,
            },
            position,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genesisflow_primitives::{JobOptions, ModelId};

    fn assignment() -> Assignment {
        Assignment {
            job: 1,
            model: ModelId::repeat_byte(1),
            input: b"hello".to_vec(),
            options: JobOptions::default(),
            seed: H256::zero(),
            max_input_units: 7,
            max_output_units: 3,
            max_output_bytes: 48,
            max_evidence_bytes: 12,
        }
    }

    fn generation() -> Generation {
        Generation {
            prompt_tokens: 7,
            tokens: vec![5, 300, 2],
            text: "héllo".into(),
            trace: [9; 32],
            finish: Finish::Stop,
        }
    }

    #[test]
    fn a_generation_is_delivered_as_the_chain_reads_it() {
        let delivery = delivery(&generation(), &assignment()).unwrap();
        assert_eq!(delivery.output, "héllo".as_bytes());
        assert_eq!(evidence::decode(&delivery.evidence), Ok(vec![5, 300, 2]));
        let usage = Usage {
            input: 7,
            output: 3,
        };
        assert_eq!(delivery.claim.usage, usage);
        assert_eq!(delivery.claim.fault, None);
        assert_eq!(delivery.claim.trace, H256([9; 32]));
        assert_eq!(delivery.claim.engine_version, ENGINE_VERSION);
    }

    #[test]
    fn a_fault_is_delivered_with_what_came_before_it() {
        let mut faulty = generation();
        faulty.finish = Finish::Fault {
            code: genesisflow_engine::FaultCode::KeyValueOverflow,
            position: 9,
        };
        let delivery = delivery(&faulty, &assignment()).unwrap();
        let fault = Fault {
            code: FaultCode::KeyValueOverflow,
            position: 9,
        };
        assert_eq!(delivery.claim.fault, Some(fault));
        assert_eq!(delivery.claim.usage.output, 3);
    }

    #[test]
    fn a_result_that_the_chain_would_refuse_is_not_delivered() {
        let limits: [fn(&mut Assignment); 4] = [
            |job| job.max_input_units = 6,
            |job| job.max_output_units = 2,
            |job| job.max_output_bytes = 5,
            |job| job.max_evidence_bytes = 3,
        ];
        for limit in limits {
            let mut tight = assignment();
            limit(&mut tight);
            assert!(
                matches!(
                    delivery(&generation(), &tight),
                    Err(ExecutionError::Refused(_))
                ),
                "{tight:?}"
            );
        }
    }

    #[test]
    fn input_that_is_no_text_is_refused() {
        let mut binary = assignment();
        binary.input = vec![0xff];
        assert!(matches!(prompt(&binary), Err(ExecutionError::Refused(_))));
    }
}
