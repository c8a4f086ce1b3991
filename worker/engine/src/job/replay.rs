//! Replay: checking a result with one prefill instead of a run.

use genesisflow_canonical::Trace;

use crate::{
    decoder::{FeedFault, RunOutput},
    model::Model,
    request::{Finish, GenerateError, GenerateRequest, Generation},
};

use super::{output::Output, template_fault, Feed, Job, OnToken, Start};

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

/// A replay on its way.
#[derive(Debug)]
pub(crate) struct Replaying {
    request: GenerateRequest,
    feed: Feed,
    claimed: Vec<u32>,
    output: Output,
    hashes: Hashes,
}

/// What the states go into.
#[derive(Debug)]
struct Hashes {
    /// As of the whole claim: it counts only if the claim is right.
    trace: Trace,
    audits: Vec<Trace>,
}

impl Hashes {
    fn state(&mut self, state: &[f32]) {
        self.trace.state(state);
        self.audits.iter_mut().for_each(|audit| audit.state(state));
    }

    fn fault(&mut self, fault: &FeedFault) {
        for hash in self.audits.iter_mut().chain([&mut self.trace]) {
            hash.last_key_row(&fault.last_key_row);
        }
    }

    fn digests(&self) -> Vec<[u8; 32]> {
        self.audits.iter().map(|a| a.clone().finish()).collect()
    }
}

impl Replaying {
    /// Encodes and checks a request and what is claimed to be its output.
    ///
    /// # Errors
    /// [`GenerateError`] if the request cannot be run.
    pub(crate) fn start(
        model: &Model,
        request: GenerateRequest,
        claimed: Vec<u32>,
        seeds: &[[u8; 32]],
    ) -> Result<Start<Self>, GenerateError> {
        let mut hashes = Hashes {
            trace: Trace::new(&request.model_id, claimed.len() as u32),
            audits: seeds.iter().map(Trace::audit).collect(),
        };
        let Some(mut feed) = model.start(&request)? else {
            let (fault, mut output) = (template_fault(), Output::default());
            hashes.fault(&fault);
            return Ok(Start::Over(Audit {
                replay: ended(&mut output, &claimed, &hashes, 0, Finish::from(&fault)),
                digests: hashes.digests(),
            }));
        };
        // Up to the end of the longest output, a stop token or an id no sampler returns: what is
        // behind it cannot be right. The last token of an output is never fed.
        let vocabulary = model.decoder().config().vocab_size;
        let longest = claimed.len().min(request.max_output as usize - 1);
        let followed = claimed[..longest]
            .iter()
            .take_while(|id| (**id as usize) < vocabulary && !request.stop_tokens.contains(id));
        feed.tokens.extend(followed);
        feed.positions = feed.tokens.len();
        Ok(Start::Job(Self {
            hashes,
            request,
            feed,
            claimed,
            output: Output::default(),
        }))
    }

    /// Compares one sampled token with the claim; the outcome, if it ends here.
    fn compare(
        &mut self,
        model: &Model,
        token: u32,
        state: &[f32],
    ) -> Result<Option<Replay>, GenerateError> {
        let index = self.output.tokens.len();
        if !self.output.accept(model, &self.request, token)? {
            // The state behind a dropped token is part of no trace, but it shows the difference.
            if index != self.claimed.len() {
                self.hashes.state(state);
            }
            return Ok(Some(self.end(Finish::ByteLimit)));
        }
        self.hashes.state(state);
        if self.claimed.get(index) != Some(&token) {
            return Ok(Some(Replay::Differs {
                index: index as u32,
            }));
        }
        let finish = self.output.end(&self.request, token);
        Ok(finish.map(|finish| self.end(finish)))
    }

    /// The true output ends here; so must the claimed one.
    fn end(&mut self, finish: Finish) -> Replay {
        let (claimed, prompt) = (&self.claimed, self.feed.prompt);
        ended(&mut self.output, claimed, &self.hashes, prompt, finish)
    }
}

fn ended(
    output: &mut Output,
    claimed: &[u32],
    hashes: &Hashes,
    prompt: usize,
    finish: Finish,
) -> Replay {
    let index = output.tokens.len();
    if index == claimed.len() {
        let trace = hashes.trace.clone().finish();
        Replay::Matches(output.finish(prompt, trace, finish))
    } else {
        Replay::Differs {
            index: index as u32,
        }
    }
}

impl Job for Replaying {
    type Result = Audit;

    fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }

    fn absorb(
        &mut self,
        model: &Model,
        output: RunOutput,
        on_token: OnToken<'_>,
    ) -> Result<Option<Audit>, GenerateError> {
        let hidden_size = model.decoder().config().hidden_size;
        let states = output.states.chunks_exact(hidden_size);
        let mut replay = None;
        for (token, state) in output.tokens.iter().zip(states) {
            replay = self.compare(model, *token, state)?;
            if replay.is_some() {
                break;
            }
            if on_token(*token).is_break() {
                return Err(GenerateError::Cancelled);
            }
        }
        if replay.is_none() {
            if let Some(fault) = &output.fault {
                self.hashes.fault(fault);
                replay = Some(self.end(Finish::from(fault)));
            } else if self.feed.left() == 0 {
                // Tokens are left that no honest output has at this place.
                replay = Some(Replay::Differs {
                    index: self.output.tokens.len() as u32,
                });
            }
        }
        Ok(replay.map(|replay| Audit {
            replay,
            digests: self.hashes.digests(),
        }))
    }
}
