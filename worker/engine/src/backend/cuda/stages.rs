//! Faults as a device notes them: for each row the code of the earliest stage that failed.

use crate::{decoder::Before, request::FaultCode};

/// A row without fault.
pub(super) const NONE: u32 = u32::MAX;

/// Codes of a layer's stages, in the order in which they are evaluated.
const STAGES: u32 = 4;

/// Where rows are checked. The codes of later stages are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// What queries, keys and values are made of is quantised.
    Normed(usize),
    /// Keys are rounded; values, which follow, have the next code.
    Keys(usize),
    /// Whatever else of the layer is quantised.
    Rest(usize),
}

impl Stage {
    /// Its code.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Normed(layer) => STAGES * layer as u32,
            Self::Keys(layer) => STAGES * layer as u32 + 1,
            Self::Rest(layer) => STAGES * layer as u32 + 3,
        }
    }
}

/// What a code says.
pub(super) fn read(code: u32) -> (FaultCode, Before) {
    let layer = (code / STAGES) as usize;
    match code % STAGES {
        0 => (FaultCode::ActivationOverflow, Before::Keys(layer)),
        1 => (FaultCode::KeyValueOverflow, Before::Keys(layer)),
        2 => (FaultCode::KeyValueOverflow, Before::Values(layer)),
        _ => (FaultCode::ActivationOverflow, Before::Values(layer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_as_stages_follow_each_other_and_say_what_failed() {
        let stages = |layer| {
            [
                Stage::Normed(layer).code(),
                Stage::Keys(layer).code(),
                Stage::Keys(layer).code() + 1,
                Stage::Rest(layer).code(),
            ]
        };
        let codes = [stages(0), stages(1), stages(2)].concat();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(!codes.contains(&NONE));
        for layer in 0..3 {
            let read = stages(layer).map(read);
            assert!(matches!(
                read[0],
                (FaultCode::ActivationOverflow, Before::Keys(at)) if at == layer
            ));
            assert!(matches!(
                read[1],
                (FaultCode::KeyValueOverflow, Before::Keys(at)) if at == layer
            ));
            assert!(matches!(
                read[2],
                (FaultCode::KeyValueOverflow, Before::Values(at)) if at == layer
            ));
            assert!(matches!(
                read[3],
                (FaultCode::ActivationOverflow, Before::Values(at)) if at == layer
            ));
        }
    }
}
