//! Generation: from a prompt to tokens, text and trace.

use std::ops::ControlFlow;

use genesisflow_canonical::{SamplerSettings, Trace};

use crate::{
    decoder::{FeedFault, Sequence},
    model::Model,
    request::{FaultCode, Finish, GenerateError, GenerateRequest, Generation},
    text::PromptError,
    threads::check_arithmetic,
};

impl Model {
    /// Runs a job. `on_token` hears of every token as it is accepted and may stop the run.
    ///
    /// A job that no machine can finish is a result too: it ends in [`Finish::Fault`].
    ///
    /// # Errors
    /// [`GenerateError`] if the request cannot be run, or the caller stopped it.
    pub fn generate(
        &self,
        request: &GenerateRequest,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Generation, GenerateError> {
        check_arithmetic()?;
        let sampling = request.settings()?;
        let prompt = match self.prompt_tokens(&request.prompt) {
            Ok(prompt) => prompt,
            Err(PromptError::Template(_)) => {
                let end = Err(template_fault());
                return Ok(Output::default().finish(request, 0, end));
            }
            Err(error) => return Err(error.into()),
        };
        self.check_fits(&prompt, request)?;

        let total = prompt.len() + request.max_output as usize;
        let memory = GenerateError::Memory { tokens: total };
        let mut sequence = Sequence::new(self.decoder(), total).ok_or(memory)?;
        let mut output = Output::default();
        let mut next = prompt.clone();
        let end = loop {
            let fed = sequence.feed(&next, next.len() - 1);
            if let Some(fault) = fed.fault {
                break Err(fault);
            }
            let Ok(logits) = sequence.logits(&fed.states) else {
                break Err(sequence.head_fault(sequence.position() - 1));
            };
            let position = (prompt.len() + output.tokens.len()) as u64;
            let kernel = self.decoder().kernel();
            let token = kernel.sample(&logits, sampling, &request.seed, position);

            if !self.accept(request, &mut output, token)? {
                break Ok(Finish::ByteLimit);
            }
            output.states.extend_from_slice(&fed.states);
            if on_token(token).is_break() {
                return Err(GenerateError::Cancelled);
            }
            if let Some(finish) = output.end(request, token) {
                break Ok(finish);
            }
            next = vec![token];
        };
        Ok(output.finish(request, prompt.len(), end))
    }

    /// Refuses what cannot be started.
    pub(crate) fn check_fits(
        &self,
        prompt: &[u32],
        request: &GenerateRequest,
    ) -> Result<(), GenerateError> {
        let vocabulary = self.decoder().config().vocab_size;
        if let Some(id) = prompt.iter().find(|id| **id as usize >= vocabulary) {
            return Err(GenerateError::UnknownToken {
                id: *id,
                vocabulary,
            });
        }
        let fits = (prompt.len() as u64)
            .checked_add(request.max_output.into())
            .is_some_and(|total| total <= request.context.into());
        if !fits {
            return Err(GenerateError::Context {
                prompt: prompt.len(),
                output: request.max_output,
                context: request.context,
            });
        }
        Ok(())
    }

    /// Adds a token to the output, unless it takes the text or the evidence over its limit.
    pub(crate) fn accept(
        &self,
        request: &GenerateRequest,
        output: &mut Output,
        token: u32,
    ) -> Result<bool, GenerateError> {
        let evidence = output.evidence + compact_len(token);
        output.tokens.push(token);
        let text = self.output_text(&output.tokens, &request.stop_tokens)?;
        if evidence > request.evidence_bytes || text.len() > request.output_bytes {
            output.tokens.pop();
            return Ok(false);
        }
        (output.text, output.evidence) = (text, evidence);
        Ok(true)
    }
}

impl GenerateRequest {
    /// The sampler's settings, within their limits.
    pub(crate) fn settings(&self) -> Result<SamplerSettings, GenerateError> {
        if self.max_output == 0 {
            return Err(GenerateError::NoOutput);
        }
        let sampling = self.sampling;
        SamplerSettings::new(
            sampling.temperature_milli,
            sampling.top_k,
            sampling.top_p_milli,
        )
        .map_err(GenerateError::Sampling)
    }
}

/// What a run has produced so far.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) tokens: Vec<u32>,
    /// States behind the tokens, `[token][hidden_size]`. Kept, because the trace begins with their
    /// number.
    pub(crate) states: Vec<f32>,
    text: String,
    evidence: usize,
}

impl Output {
    /// Whether `token`, the last one, ends the output.
    pub(crate) fn end(&self, request: &GenerateRequest, token: u32) -> Option<Finish> {
        if request.stop_tokens.contains(&token) {
            Some(Finish::Stop)
        } else if self.tokens.len() == request.max_output as usize {
            Some(Finish::Length)
        } else {
            None
        }
    }

    /// The result, with its trace.
    pub(crate) fn finish(
        self,
        request: &GenerateRequest,
        prompt_tokens: usize,
        end: Result<Finish, FeedFault>,
    ) -> Generation {
        let mut trace = Trace::new(&request.model_id, self.tokens.len() as u32);
        trace.state(&self.states);
        let finish = end.unwrap_or_else(|fault| {
            trace.last_key_row(&fault.last_key_row);
            Finish::Fault {
                code: fault.code,
                position: fault.position as u32,
            }
        });
        Generation {
            prompt_tokens: prompt_tokens as u32,
            tokens: self.tokens,
            text: self.text,
            trace: trace.finish(),
            finish,
        }
    }
}

/// The fault of an input that the template cannot render: before the first position, covering
/// nothing.
pub(crate) fn template_fault() -> FeedFault {
    FeedFault {
        code: FaultCode::Template,
        position: 0,
        last_key_row: Vec::new(),
    }
}

/// Bytes of a token id as a SCALE compact integer.
fn compact_len(id: u32) -> usize {
    match id {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_counted_in_scale_compact_bytes() {
        for (id, len) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 4),
            ((1 << 30) - 1, 4),
            (1 << 30, 5),
        ] {
            assert_eq!(compact_len(id), len, "{id}");
        }
    }
}
