//! Random weights, made row by row as they are asked for, in their stored form: nothing but the
//! packed matrices is ever held.

use half::f16;

use crate::weights::{EachRow, Row, TensorSource, WeightsError};

use super::StoredFormat;

/// Weights of any shape.
#[derive(Clone, Debug)]
pub struct RandomWeights {
    format: StoredFormat,
    state: u64,
}

impl RandomWeights {
    /// Always the same sequence of weights.
    pub fn new(format: StoredFormat) -> Self {
        Self {
            format,
            state: 88_172_645_463_325_252,
        }
    }

    /// The next 64 bits of an xorshift generator.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Fills a row of stored blocks: scales that keep magnitudes from layer to layer, any quants.
    fn fill(&mut self, row: &mut [u8], columns: usize) {
        let largest = match self.format {
            StoredFormat::Q8_0 => 127.0,
            StoredFormat::Q4_0 => 8.0,
        };
        let scale = f16::from_f32(1.7 / (columns as f32).sqrt() / largest);
        for block in row.chunks_exact_mut(self.format.block_bytes()) {
            let (head, quants) = block.split_at_mut(2);
            head.copy_from_slice(&scale.to_le_bytes());
            for bytes in quants.chunks_mut(8) {
                bytes.copy_from_slice(&self.next().to_le_bytes()[..bytes.len()]);
            }
            if self.format == StoredFormat::Q8_0 {
                for byte in quants {
                    // -128 does not occur in Q8_0.
                    *byte = (*byte).max(1).wrapping_sub(128);
                }
            }
        }
    }
}

impl TensorSource for RandomWeights {
    fn rows(
        &mut self,
        _name: &str,
        shape: &[usize],
        each: EachRow<'_>,
    ) -> Result<(), WeightsError> {
        match *shape {
            [rows, columns] => {
                let blocks = columns.div_ceil(32);
                let mut row = vec![0u8; blocks * self.format.block_bytes()];
                for index in 0..rows {
                    self.fill(&mut row, columns);
                    let stored = match self.format {
                        StoredFormat::Q8_0 => Row::Q8_0(&row),
                        StoredFormat::Q4_0 => Row::Q4_0(&row),
                    };
                    each(index, stored)?;
                }
                Ok(())
            }
            // Norms and biases.
            _ => each(0, Row::Values(&vec![1.0; shape.iter().product()])),
        }
    }

    fn unused(&self) -> Option<String> {
        None
    }

    fn is_q4_0(&self, _name: &str) -> bool {
        self.format == StoredFormat::Q4_0
    }
}
