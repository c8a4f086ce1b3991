//! Reading a tensor from a file a few rows at a time.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use candle_core::{
    quantized::ggml_file::qtensor_from_ggml, quantized::GgmlDType, DType, Device, Tensor,
};

use crate::weights::{EachRow, Row, WeightsError};

/// Bytes read at once: fewer calls into the system than row by row, and little memory.
const BATCH: usize = 1 << 20;

/// How a tensor's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q6K,
}

impl Encoding {
    /// Elements in a block, and its bytes.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q6K => (256, 210),
        }
    }

    /// Bytes of so many elements; `None` if they do not fill blocks, or are too many to count.
    pub(super) fn bytes(self, elements: usize) -> Option<usize> {
        let (count, bytes) = self.block();
        elements
            .is_multiple_of(count)
            .then(|| (elements / count).checked_mul(bytes))
            .flatten()
    }
}

/// A tensor in an open file.
pub(super) struct Stored<'a> {
    /// The file's name, for messages.
    pub(super) file_name: &'a str,
    pub(super) file: &'a mut File,
    /// Where the tensor begins.
    pub(super) offset: u64,
    pub(super) encoding: Encoding,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Stored<'_> {
    /// Hands every row to `each`, in order.
    ///
    /// # Errors
    /// [`WeightsError::Io`], or the first error of `each`.
    pub(super) fn read(self, name: &str, each: EachRow<'_>) -> Result<(), WeightsError> {
        let io = |source| WeightsError::Io {
            file: self.file_name.into(),
            source,
        };
        if self.rows == 0 || self.columns == 0 {
            return Ok(());
        }
        let row_bytes = self
            .encoding
            .bytes(self.columns)
            .ok_or_else(|| WeightsError::Values {
                name: name.into(),
                reason: format!("rows of {} elements do not fill blocks", self.columns),
            })?;
        self.file.seek(SeekFrom::Start(self.offset)).map_err(io)?;
        let batch = BATCH.div_ceil(row_bytes).min(self.rows);
        let mut buffer = vec![0u8; batch * row_bytes];
        let mut index = 0;
        while index < self.rows {
            let rows = batch.min(self.rows - index);
            let bytes = &mut buffer[..rows * row_bytes];
            self.file.read_exact(bytes).map_err(io)?;
            let widened =
                match self.encoding {
                    Encoding::Q8_0 | Encoding::Q4_0 => None,
                    encoding => Some(widen(encoding, bytes, rows * self.columns).map_err(
                        |error| WeightsError::Values {
                            name: name.into(),
                            reason: error.to_string(),
                        },
                    )?),
                };
            for (row, bytes) in bytes.chunks_exact(row_bytes).enumerate() {
                let row_of = |values: &[f32]| -> std::ops::Range<usize> {
                    debug_assert_eq!(values.len(), rows * self.columns);
                    row * self.columns..(row + 1) * self.columns
                };
                let stored = match (&widened, self.encoding) {
                    (Some(values), _) => Row::Values(&values[row_of(values)]),
                    (None, Encoding::Q8_0) => Row::Q8_0(bytes),
                    (None, _) => Row::Q4_0(bytes),
                };
                each(index + row, stored)?;
            }
            index += rows;
        }
        Ok(())
    }
}

/// Stored elements as f32: exactly for floats, as the format says for Q6_K.
fn widen(encoding: Encoding, bytes: &[u8], count: usize) -> candle_core::Result<Vec<f32>> {
    let cpu = Device::Cpu;
    let tensor = match encoding {
        Encoding::F32 => Tensor::from_raw_buffer(bytes, DType::F32, &[count], &cpu)?,
        Encoding::F16 => Tensor::from_raw_buffer(bytes, DType::F16, &[count], &cpu)?,
        Encoding::Bf16 => Tensor::from_raw_buffer(bytes, DType::BF16, &[count], &cpu)?,
        Encoding::Q8_0 => blocks(GgmlDType::Q8_0, bytes, count)?,
        Encoding::Q4_0 => blocks(GgmlDType::Q4_0, bytes, count)?,
        Encoding::Q6K => blocks(GgmlDType::Q6K, bytes, count)?,
    };
    tensor.to_dtype(DType::F32)?.to_vec1()
}

fn blocks(dtype: GgmlDType, bytes: &[u8], count: usize) -> candle_core::Result<Tensor> {
    qtensor_from_ggml(dtype, bytes, vec![count], &Device::Cpu)?.dequantize(&Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values of the `gguf` package, made by scripts/engine-golden.
    #[test]
    fn blocks_are_dequantised_as_in_the_gguf_package() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/blocks.safetensors"
        );
        let bytes = std::fs::read(file).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (encoding, name) in [(Encoding::Q6K, "q6_k"), (Encoding::Q4_0, "q4_0")] {
            let blocks = tensors.tensor(&format!("{name}.blocks")).unwrap();
            let values = tensors.tensor(&format!("{name}.values")).unwrap();
            let expected: Vec<u32> = values
                .data()
                .chunks_exact(4)
                .map(|b| u32::from_le_bytes(b.try_into().unwrap()))
                .collect();
            let found: Vec<u32> = widen(encoding, blocks.data(), expected.len())
                .unwrap()
                .into_iter()
                .map(f32::to_bits)
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn sizes_that_fill_no_blocks_or_overflow_are_none() {
        assert_eq!(Encoding::Q8_0.bytes(64), Some(68));
        assert_eq!(Encoding::Q8_0.bytes(63), None);
        assert_eq!(Encoding::F32.bytes(usize::MAX), None);
    }
}
