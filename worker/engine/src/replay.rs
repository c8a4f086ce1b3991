//! Replay: checking a result with one prefill instead of a run.

use genesisflow_canonical::{SamplerSettings, Trace};

use crate::{
    decoder::{FeedFault, Sequence},
    generate::{template_fault, Output},
    model::Model,
    request::{Finish, GenerateError, GenerateRequest, Generation},
    text::PromptError,
    threads::check_arithmetic,
};

/// Rows of logits computed together.
const HEAD_ROWS: usize = 32;

/// What a replay of a claimed output found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The tokens are the sampler's choice up to the end, and the output ends where it must. The
    /// generation is what [`Model::generate`] would have returned: text, usage, trace and finish
    /// are to be compared with the claim.
    Matches(Generation),
    /// The output differs from the true one, first at this index. An output that ends too early or
    /// goes on too long differs at its end.
    Differs {
        /// Index in the output tokens.
        index: u32,
    },
}

/// A replay with the digests that show that it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// What the replay found.
    pub replay: Replay,
    /// A digest for each seed: the hash of `"genesisflow/audit/v1"`, the seed, and the states of
    /// the replay. For a right output these are the states of its trace, with the last K row if the
    /// run ends in a fault. Where the output differs, they go up to the state that shows it.
    pub digests: Vec<[u8; 32]>,
}

/// A finished replay, before it is hashed.
struct Replayed {
    /// What agreed, and the states behind it.
    output: Output,
    prompt_tokens: usize,
    end: Ended,
}

enum Ended {
    /// The output is the true one, with this end.
    Matches(Result<Finish, FeedFault>),
    /// It is not; the true run ends in this fault where they part, if in one.
    Differs {
        fault: Option<FeedFault>,
        /// The state that shows the difference.
        state: Vec<f32>,
    },
}

impl Model {
    /// Replays a request against claimed output tokens.
    ///
    /// # Errors
    /// [`GenerateError`] if the request itself cannot be run.
    pub fn replay(
        &self,
        request: &GenerateRequest,
        tokens: &[u32],
    ) -> Result<Replay, GenerateError> {
        Ok(self.replayed(request, tokens)?.replay(request))
    }

    /// Replays a request against claimed output tokens, and shows for each of `seeds` that it did.
    ///
    /// # Errors
    /// [`GenerateError`] if the request itself cannot be run.
    pub fn audit(
        &self,
        request: &GenerateRequest,
        tokens: &[u32],
        seeds: &[[u8; 32]],
    ) -> Result<Audit, GenerateError> {
        let replayed = self.replayed(request, tokens)?;
        Ok(Audit {
            digests: seeds.iter().map(|seed| replayed.digest(seed)).collect(),
            replay: replayed.replay(request),
        })
    }

    fn replayed(
        &self,
        request: &GenerateRequest,
        tokens: &[u32],
    ) -> Result<Replayed, GenerateError> {
        check_arithmetic()?;
        let sampling = request.settings()?;
        let prompt = match self.prompt_tokens(&request.prompt) {
            Ok(prompt) => prompt,
            Err(PromptError::Template(_)) => {
                return Ok(Replayed::at_fault(
                    Output::default(),
                    0,
                    tokens,
                    template_fault(),
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.check_fits(&prompt, request)?;

        let followed = self.followed(request, tokens);
        let fed: Vec<u32> = prompt.iter().chain(followed).copied().collect();
        let memory = GenerateError::Memory { tokens: fed.len() };
        let mut sequence = Sequence::new(self.decoder(), fed.len()).ok_or(memory)?;
        let pass = sequence.feed(&fed, prompt.len() - 1);

        let mut output = Output::default();
        let hidden_size = self.decoder().config().hidden_size;
        for states in pass.states.chunks(HEAD_ROWS * hidden_size) {
            let (logits, overflow) = self.logits_before_overflow(&mut sequence, states);
            let vocabulary = self.decoder().config().vocab_size;
            let rows = logits.chunks_exact(vocabulary);
            for (logits, state) in rows.zip(states.chunks_exact(hidden_size)) {
                let step = self.replay_step(
                    request,
                    sampling,
                    &mut output,
                    prompt.len(),
                    tokens,
                    logits,
                    state,
                )?;
                let end = match step {
                    Step::Next => continue,
                    Step::Ends(finish) if output.tokens.len() == tokens.len() => {
                        Ended::Matches(Ok(finish))
                    }
                    Step::Ends(Finish::ByteLimit) | Step::Differs => Ended::Differs {
                        fault: None,
                        state: state.to_vec(),
                    },
                    // The token that ends it was right: its state is there already.
                    Step::Ends(_) => Ended::Differs {
                        fault: None,
                        state: Vec::new(),
                    },
                };
                return Ok(Replayed {
                    output,
                    prompt_tokens: prompt.len(),
                    end,
                });
            }
            if overflow {
                let position = prompt.len() - 1 + output.tokens.len();
                let fault = sequence.head_fault(position);
                return Ok(Replayed::at_fault(output, prompt.len(), tokens, fault));
            }
        }
        Ok(match pass.fault {
            Some(fault) => Replayed::at_fault(output, prompt.len(), tokens, fault),
            // Tokens are left that no honest output has at this place.
            None => Replayed {
                output,
                prompt_tokens: prompt.len(),
                end: Ended::Differs {
                    fault: None,
                    state: Vec::new(),
                },
            },
        })
    }

    /// The claimed tokens worth feeding: up to the end of the longest output, a stop token or an id
    /// no sampler returns. The last token of an output is never fed.
    fn followed<'t>(&self, request: &GenerateRequest, tokens: &'t [u32]) -> &'t [u32] {
        let vocabulary = self.decoder().config().vocab_size;
        let longest = tokens.len().min(request.max_output as usize - 1);
        let end = tokens[..longest]
            .iter()
            .position(|id| *id as usize >= vocabulary || request.stop_tokens.contains(id));
        &tokens[..end.unwrap_or(longest)]
    }

    /// Logits of the states before the first that overflows, and whether one does.
    fn logits_before_overflow(&self, sequence: &mut Sequence, states: &[f32]) -> (Vec<f32>, bool) {
        match sequence.logits(states) {
            Ok(logits) => (logits, false),
            Err(0) => (Vec::new(), true),
            Err(row) => {
                let before = row * self.decoder().config().hidden_size;
                let logits = sequence.logits(&states[..before]).unwrap_or_default();
                (logits, true)
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // One step of `replay`, split off for its length.
    fn replay_step(
        &self,
        request: &GenerateRequest,
        sampling: SamplerSettings,
        output: &mut Output,
        prompt_len: usize,
        tokens: &[u32],
        logits: &[f32],
        state: &[f32],
    ) -> Result<Step, GenerateError> {
        let index = output.tokens.len();
        let position = (prompt_len + index) as u64;
        let kernel = self.decoder().kernel();
        let token = kernel.sample(logits, sampling, &request.seed, position);
        if !self.accept(request, output, token)? {
            return Ok(Step::Ends(Finish::ByteLimit));
        }
        if tokens.get(index) != Some(&token) {
            output.tokens.pop();
            return Ok(Step::Differs);
        }
        output.states.extend_from_slice(state);
        Ok(match output.end(request, token) {
            Some(finish) => Step::Ends(finish),
            None => Step::Next,
        })
    }
}

impl Replayed {
    /// A replay whose true run ends in `fault` after `output`.
    fn at_fault(output: Output, prompt_tokens: usize, tokens: &[u32], fault: FeedFault) -> Self {
        let end = if output.tokens.len() == tokens.len() {
            Ended::Matches(Err(fault))
        } else {
            Ended::Differs {
                fault: Some(fault),
                state: Vec::new(),
            }
        };
        Self {
            output,
            prompt_tokens,
            end,
        }
    }

    fn replay(self, request: &GenerateRequest) -> Replay {
        match self.end {
            Ended::Matches(end) => {
                Replay::Matches(self.output.finish(request, self.prompt_tokens, end))
            }
            Ended::Differs { .. } => Replay::Differs {
                index: self.output.tokens.len() as u32,
            },
        }
    }

    fn digest(&self, seed: &[u8; 32]) -> [u8; 32] {
        let mut digest = Trace::audit(seed);
        digest.state(&self.output.states);
        let fault = match &self.end {
            Ended::Matches(end) => end.as_ref().err(),
            Ended::Differs { fault, state } => {
                digest.state(state);
                fault.as_ref()
            }
        };
        if let Some(fault) = fault {
            digest.last_key_row(&fault.last_key_row);
        }
        digest.finish()
    }
}

/// What one position of a replay says.
enum Step {
    Next,
    Ends(Finish),
    Differs,
}
