//! Generation: from a prompt to tokens, text and trace.

use genesisflow_canonical::Trace;

use crate::{
    decoder::{FeedFault, RunOutput},
    model::Model,
    request::{Finish, GenerateError, GenerateRequest, Generation},
};

use super::{output::Output, template_fault, Feed, Job, OnToken, Start};

/// A generation on its way.
#[derive(Debug)]
pub(crate) struct Generating {
    request: GenerateRequest,
    feed: Feed,
    output: Output,
    /// States behind the tokens, `[token][hidden_size]`. Kept, because the trace begins with their
    /// number.
    states: Vec<f32>,
}

impl Generating {
    /// Encodes and checks a request.
    ///
    /// # Errors
    /// [`GenerateError`] if it cannot be run.
    pub(crate) fn start(
        model: &Model,
        request: GenerateRequest,
    ) -> Result<Start<Self>, GenerateError> {
        let mut output = Output::default();
        let Some(feed) = model.start(&request)? else {
            let end = Err(template_fault());
            let result = finish(&request, &mut output, &[], 0, end);
            return Ok(Start::Over(result));
        };
        Ok(Start::Job(Self {
            request,
            feed,
            output,
            states: Vec::new(),
        }))
    }

    fn finish(&mut self, end: Result<Finish, FeedFault>) -> Generation {
        let (output, prompt) = (&mut self.output, self.feed.prompt);
        finish(&self.request, output, &self.states, prompt, end)
    }
}

impl Job for Generating {
    type Result = Generation;

    fn feed(&mut self) -> &mut Feed {
        &mut self.feed
    }

    fn absorb(
        &mut self,
        model: &Model,
        output: RunOutput,
        on_token: OnToken<'_>,
    ) -> Result<Option<Generation>, GenerateError> {
        // One at most: a token is fed when it is known.
        if let Some(token) = output.tokens.first().copied() {
            if !self.output.accept(model, &self.request, token)? {
                return Ok(Some(self.finish(Ok(Finish::ByteLimit))));
            }
            self.states.extend_from_slice(&output.states);
            if on_token(token).is_break() {
                return Err(GenerateError::Cancelled);
            }
            if let Some(finish) = self.output.end(&self.request, token) {
                return Ok(Some(self.finish(Ok(finish))));
            }
            self.feed.tokens.push(token);
        }
        Ok(output.fault.map(|fault| self.finish(Err(fault))))
    }
}

/// The result, with its trace.
fn finish(
    request: &GenerateRequest,
    output: &mut Output,
    states: &[f32],
    prompt: usize,
    end: Result<Finish, FeedFault>,
) -> Generation {
    let mut trace = Trace::new(&request.model_id, output.tokens.len() as u32);
    trace.state(states);
    let finish = end.unwrap_or_else(|fault| {
        trace.last_key_row(&fault.last_key_row);
        Finish::from(&fault)
    });
    output.finish(prompt, trace.finish(), finish)
}
