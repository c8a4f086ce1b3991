//! Whether a delivered result is right, and if not, where it is wrong.

use super::question::Question;
use crate::{
    executor::{Assignment, Cancel, ExecutionError, Executor, ReplayOutcome, ReplayTask},
    journal::Delivery,
};
use genesisflow_primitives::{
    audit::{AuditDigest, Ballot},
    evidence::{self, MalformedEvidence},
    Fault, Usage, H256,
};
use std::fmt;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Digest and verdict, as an auditor commits to them.
    pub ballot: Ballot,
    /// The first thing that is wrong, if anything is.
    pub difference: Option<Difference>,
}

/// What is wrong with a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The evidence is no list of tokens.
    Evidence(MalformedEvidence),
    /// No machine can have a result for this job.
    Impossible(String),
    /// The prompt is longer than the job pays for.
    Prompt {
        /// Its tokens.
        tokens: u32,
        /// What the job pays for.
        most: u32,
    },
    /// A token is not the sampler's choice, or the output ends too early or too late.
    Token {
        /// Index of the first that is wrong.
        index: u32,
        /// How many tokens were delivered.
        delivered: u32,
    },
    /// Output or evidence is longer than the job allows.
    TooLong {
        /// Which of the two.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
        /// What the job allows.
        most: u32,
    },
    /// The text is not the tokens decoded.
    Text {
        /// First byte that is wrong.
        at: usize,
    },
    /// The usage is not what was used.
    Usage {
        /// As delivered.
        claimed: Usage,
        /// As it is.
        actual: Usage,
    },
    /// The fault is not the true one, or there is none.
    Fault {
        /// As delivered.
        claimed: Option<Fault>,
        /// As it is.
        actual: Option<Fault>,
    },
    /// The trace is not that of the run.
    Trace {
        /// As delivered.
        claimed: H256,
        /// As it is.
        actual: H256,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence(malformed) => write!(f, "{malformed}"),
            Self::Impossible(reason) => write!(f, "no result can be right for this job: {reason}"),
            Self::Prompt { tokens, most } => {
                write!(f, "the prompt has {tokens} tokens, the job pays for {most}")
            }
            Self::Token { index, delivered } if index < delivered => write!(
                f,
                "output token {index} of {delivered} is not the one that the model gives, or comes after the end"
            ),
            Self::Token { delivered, .. } => write!(
                f,
                "the output ends after {delivered} tokens, where the model goes on"
            ),
            Self::TooLong { what, bytes, most } => {
                write!(f, "the {what} has {bytes} bytes, the job allows {most}")
            }
            Self::Text { at } => write!(
                f,
                "the text is not that of its tokens from byte {at} on"
            ),
            Self::Usage { claimed, actual } => write!(
                f,
                "the usage is {} tokens in and {} out, claimed are {} and {}",
                actual.input, actual.output, claimed.input, claimed.output
            ),
            Self::Fault { claimed, actual } => write!(
                f,
                "the run ends {}, claimed is that it ends {}",
                shown(*actual),
                shown(*claimed)
            ),
            Self::Trace { claimed, actual } => write!(
                f,
                "the trace is 0x{}, claimed is 0x{}",
                hex::encode(actual),
                hex::encode(claimed)
            ),
        }
    }
}

fn shown(fault: Option<Fault>) -> String {
    match fault {
        None => "without a fault".into(),
        Some(fault) => format!("in {:?} at position {}", fault.code, fault.position),
    }
}

/// Checks a result with one replay.
///
/// # Errors
/// What keeps this machine from replaying it.
pub async fn check<E: Executor>(
    executor: &E,
    question: Question,
    cancel: Cancel,
) -> Result<Finding, ExecutionError> {
    let Question {
        assignment,
        claimed,
        seed,
    } = question;
    let tokens = match evidence::decode(&claimed.evidence) {
        Ok(tokens) => tokens,
        // There is nothing to replay, and the digest covers nothing.
        Err(malformed) => {
            return Ok(Finding {
                ballot: Ballot {
                    digest: AuditDigest::new(&seed).finish(),
                    valid: false,
                },
                difference: Some(Difference::Evidence(malformed)),
            })
        }
    };
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let task = ReplayTask {
        assignment: assignment.clone(),
        tokens,
        seed,
    };
    let replayed = executor.replay(task, cancel).await?;
    let difference = difference(&assignment, &claimed, count, replayed.outcome);
    Ok(Finding {
        ballot: Ballot {
            digest: replayed.digest,
            valid: difference.is_none(),
        },
        difference,
    })
}

/// The first thing that is wrong with `claimed`, which has `tokens` output
/// tokens, given what their replay found.
pub fn difference(
    assignment: &Assignment,
    claimed: &Delivery,
    tokens: u32,
    outcome: ReplayOutcome,
) -> Option<Difference> {
    let truth = match outcome {
        ReplayOutcome::Impossible { reason } => return Some(Difference::Impossible(reason)),
        ReplayOutcome::Differs { index } => {
            return Some(Difference::Token {
                index,
                delivered: tokens,
            })
        }
        ReplayOutcome::Matches(truth) => truth,
    };
    if truth.input_units > assignment.max_input_units {
        return Some(Difference::Prompt {
            tokens: truth.input_units,
            most: assignment.max_input_units,
        });
    }
    if tokens > assignment.max_output_units {
        return Some(Difference::Token {
            index: assignment.max_output_units,
            delivered: tokens,
        });
    }
    let lengths = [
        ("output", claimed.output.len(), assignment.max_output_bytes),
        (
            "evidence",
            claimed.evidence.len(),
            assignment.max_evidence_bytes,
        ),
    ];
    for (what, bytes, most) in lengths {
        if bytes > most as usize {
            return Some(Difference::TooLong { what, bytes, most });
        }
    }
    if claimed.output != truth.output {
        let pairs = claimed.output.iter().zip(&truth.output);
        return Some(Difference::Text {
            at: pairs.take_while(|(a, b)| a == b).count(),
        });
    }
    let actual = Usage {
        input: truth.input_units,
        output: tokens,
    };
    if claimed.claim.usage != actual {
        return Some(Difference::Usage {
            claimed: claimed.claim.usage,
            actual,
        });
    }
    if claimed.claim.fault != truth.fault {
        return Some(Difference::Fault {
            claimed: claimed.claim.fault,
            actual: truth.fault,
        });
    }
    if claimed.claim.trace != truth.trace {
        return Some(Difference::Trace {
            claimed: claimed.claim.trace,
            actual: truth.trace,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::TrueResult;
    use genesisflow_primitives::{FaultCode, JobOptions, ModelId, ResultClaim};

    const TOKENS: [u32; 3] = [5, 300, 2];

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

    fn truth() -> TrueResult {
        TrueResult {
            input_units: 7,
            output: "héllo".into(),
            fault: None,
            trace: H256::repeat_byte(9),
        }
    }

    fn honest() -> Delivery {
        Delivery {
            output: "héllo".into(),
            evidence: evidence::encode(&TOKENS),
            claim: ResultClaim {
                usage: Usage {
                    input: 7,
                    output: 3,
                },
                fault: None,
                trace: H256::repeat_byte(9),
                engine_version: 1,
            },
        }
    }

    fn overflow(position: u32) -> Option<Fault> {
        Some(Fault {
            code: FaultCode::ActivationOverflow,
            position,
        })
    }

    fn against(claimed: &Delivery, truth: TrueResult) -> Option<Difference> {
        difference(&assignment(), claimed, 3, ReplayOutcome::Matches(truth))
    }

    #[test]
    fn an_honest_result_is_right_whatever_engine_made_it() {
        assert_eq!(against(&honest(), truth()), None);
        let mut other_engine = honest();
        other_engine.claim.engine_version = 77;
        assert_eq!(against(&other_engine, truth()), None);
    }

    #[test]
    fn an_altered_token_is_found_by_the_replay() {
        let found = difference(
            &assignment(),
            &honest(),
            3,
            ReplayOutcome::Differs { index: 1 },
        );
        let wrong = Difference::Token {
            index: 1,
            delivered: 3,
        };
        assert!(wrong.to_string().contains("output token 1 of 3"), "{wrong}");
        assert_eq!(found, Some(wrong));
    }

    #[test]
    fn an_output_cut_early_is_found_at_its_end() {
        let found = difference(
            &assignment(),
            &honest(),
            3,
            ReplayOutcome::Differs { index: 3 },
        );
        let words = found.unwrap().to_string();
        assert!(words.contains("ends after 3 tokens"), "{words}");
    }

    #[test]
    fn altered_text_is_wrong_even_if_the_tokens_are_right() {
        for (text, at) in [("hello", 1), ("hé", 3), ("héllo!", 6), ("", 0)] {
            let mut altered = honest();
            altered.output = text.into();
            assert_eq!(
                against(&altered, truth()),
                Some(Difference::Text { at }),
                "{text}"
            );
        }
    }

    #[test]
    fn inflated_usage_is_wrong() {
        let mut inflated = honest();
        inflated.claim.usage.input = 8;
        assert!(matches!(
            against(&inflated, truth()),
            Some(Difference::Usage { claimed, actual })
                if claimed.input == 8 && actual == honest().claim.usage
        ));
        let mut modest = honest();
        modest.claim.usage.output = 2;
        assert!(matches!(
            against(&modest, truth()),
            Some(Difference::Usage { .. })
        ));
    }

    #[test]
    fn a_wrong_trace_is_wrong_though_all_else_is_right() {
        let mut wrong = honest();
        wrong.claim.trace = H256::zero();
        assert!(matches!(
            against(&wrong, truth()),
            Some(Difference::Trace { actual, .. }) if actual == truth().trace
        ));
    }

    #[test]
    fn a_fault_is_right_only_if_it_is_the_true_one() {
        let mut faulty = honest();
        faulty.claim.fault = overflow(9);
        let truly = |fault| TrueResult { fault, ..truth() };
        assert_eq!(against(&faulty, truly(overflow(9))), None);
        for actual in [None, overflow(8)] {
            assert!(matches!(
                against(&faulty, truly(actual)),
                Some(Difference::Fault { .. })
            ));
        }
        let hidden = against(&honest(), truly(overflow(9))).unwrap();
        assert!(
            hidden
                .to_string()
                .contains("ActivationOverflow at position 9"),
            "{hidden}"
        );
    }

    #[test]
    fn what_is_beyond_the_jobs_limits_is_wrong() {
        let limits: [fn(&mut Assignment); 4] = [
            |job| job.max_input_units = 6,
            |job| job.max_output_units = 2,
            |job| job.max_output_bytes = 5,
            |job| job.max_evidence_bytes = 3,
        ];
        for limit in limits {
            let mut tight = assignment();
            limit(&mut tight);
            let found = difference(&tight, &honest(), 3, ReplayOutcome::Matches(truth()));
            assert!(
                matches!(
                    found,
                    Some(
                        Difference::Prompt { .. }
                            | Difference::Token { .. }
                            | Difference::TooLong { .. }
                    )
                ),
                "{tight:?}: {found:?}"
            );
        }
    }

    #[test]
    fn a_job_without_any_right_result_has_none() {
        let reason = "its prompt exceeds the context".to_owned();
        let found = difference(
            &assignment(),
            &honest(),
            3,
            ReplayOutcome::Impossible { reason },
        );
        assert!(found.unwrap().to_string().contains("exceeds the context"));
    }

    /// Fails the test if it is asked for anything.
    struct Unasked;

    #[async_trait::async_trait]
    impl Executor for Unasked {
        fn serves(&self, _: ModelId) -> bool {
            true
        }
        async fn estimate(&self, _: &Assignment) -> Result<std::time::Duration, ExecutionError> {
            panic!("nothing is to be estimated")
        }
        async fn execute(&self, _: Assignment, _: Cancel) -> Result<Delivery, ExecutionError> {
            panic!("nothing is to be run")
        }
        async fn replay(
            &self,
            _: ReplayTask,
            _: Cancel,
        ) -> Result<crate::executor::Replayed, ExecutionError> {
            panic!("nothing is to be replayed")
        }
    }

    #[tokio::test]
    async fn malformed_evidence_is_invalid_and_its_digest_covers_nothing() {
        let mut malformed = honest();
        malformed.evidence = vec![4, 0x02, 0x00];
        let seed = H256::repeat_byte(7);
        let question = Question {
            assignment: assignment(),
            claimed: malformed,
            seed,
        };
        let found = check(&Unasked, question, Cancel::default()).await.unwrap();
        assert!(!found.ballot.valid);
        assert_eq!(found.ballot.digest, AuditDigest::new(&seed).finish());
        assert!(matches!(
            found.difference,
            Some(Difference::Evidence(MalformedEvidence { after: 1 }))
        ));
    }
}
