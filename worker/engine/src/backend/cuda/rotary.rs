//! Tables of the rotary embedding in a device's memory.

use std::sync::Arc;

use genesisflow_canonical::rope::cos_sin;
use genesisflow_cuda::{
    device::{Buffer, Device, DeviceError},
    operators::Rope,
};

use super::{weights::floats, USUAL_POSITIONS};

/// Cosines and sines of the positions that have come up. They are f64 functions of the definition,
/// which only the processor computes.
#[derive(Debug)]
pub(super) struct Rotary {
    cosines: Buffer,
    sines: Buffer,
    positions: usize,
}

impl Rotary {
    /// Bytes of a table for the usual positions.
    pub(super) fn usual_bytes(head_dim: usize) -> usize {
        4 * USUAL_POSITIONS * head_dim
    }

    /// A table for at least so many positions, and no more than `most` without need. Each is for
    /// the usual ones or twice as many as the one before, so that it seldom has to be made anew.
    pub(super) fn new(
        device: &Arc<dyn Device>,
        frequencies: &[f64],
        positions: usize,
        most: usize,
    ) -> Result<Self, DeviceError> {
        let positions = positions
            .next_power_of_two()
            .max(USUAL_POSITIONS)
            .min(most)
            .max(positions);
        let (mut cosines, mut sines) = (Vec::new(), Vec::new());
        for position in 0..positions as u32 {
            for frequency in frequencies {
                let (cos, sin) = cos_sin(position, *frequency);
                cosines.push(cos);
                sines.push(sin);
            }
        }
        Ok(Self {
            cosines: floats(device, &cosines)?,
            sines: floats(device, &sines)?,
            positions,
        })
    }

    /// Positions it has.
    pub(super) fn positions(&self) -> usize {
        self.positions
    }

    /// What the operators take.
    pub(super) fn rope(&self) -> Rope<'_> {
        Rope {
            cosines: self.cosines.span(),
            sines: self.sines.span(),
            positions: self.positions,
        }
    }
}
