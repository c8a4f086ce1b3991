//! What a job has put out so far, and when it is over.

use genesisflow_canonical::SamplerSettings;

use crate::{
    decoder::FeedFault,
    model::Model,
    request::{Finish, GenerateError, GenerateRequest, Generation},
};

/// Accepted tokens and their size as text and as evidence.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) tokens: Vec<u32>,
    text: String,
    evidence: usize,
}

impl Output {
    /// Adds a token, unless it takes the text or the evidence over its limit.
    pub(super) fn accept(
        &mut self,
        model: &Model,
        request: &GenerateRequest,
        token: u32,
    ) -> Result<bool, GenerateError> {
        let evidence = self.evidence + compact_len(token);
        self.tokens.push(token);
        let text = model.output_text(&self.tokens, &request.stop_tokens)?;
        if evidence > request.evidence_bytes || text.len() > request.output_bytes {
            self.tokens.pop();
            return Ok(false);
        }
        (self.text, self.evidence) = (text, evidence);
        Ok(true)
    }

    /// Whether `token`, the last one, ends the output.
    pub(super) fn end(&self, request: &GenerateRequest, token: u32) -> Option<Finish> {
        if request.stop_tokens.contains(&token) {
            Some(Finish::Stop)
        } else if self.tokens.len() == request.max_output as usize {
            Some(Finish::Length)
        } else {
            None
        }
    }

    /// The result.
    pub(super) fn finish(
        &mut self,
        prompt_tokens: usize,
        trace: [u8; 32],
        finish: Finish,
    ) -> Generation {
        let output = std::mem::take(self);
        Generation {
            prompt_tokens: prompt_tokens as u32,
            tokens: output.tokens,
            text: output.text,
            trace,
            finish,
        }
    }
}

impl From<&FeedFault> for Finish {
    fn from(fault: &FeedFault) -> Self {
        Self::Fault {
            code: fault.code,
            position: fault.position as u32,
        }
    }
}

impl GenerateRequest {
    /// The sampler's settings, within their limits.
    pub(super) fn settings(&self) -> Result<SamplerSettings, GenerateError> {
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
