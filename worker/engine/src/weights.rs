//! Where weights come from: what the decoder asks of a file, and tensors in memory.
//!
//! The readers of files are in [`crate::loading`].

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// What is wrong with the weights.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file is not of the format its name says, or a damaged one.
    #[error(
        "{file} is not a usable {format} file ({reason}); fetch it again and check its sha256"
    )]
    Malformed {
        /// The file.
        file: String,
        /// The format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A tensor the config calls for is not there.
    #[error("the weights have no tensor `{0}`, which the config calls for")]
    MissingTensor(String),
    /// A tensor has another shape than the config calls for.
    #[error("tensor `{name}` has shape {found:?}, the config calls for {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that follows from the config.
        expected: Vec<usize>,
    },
    /// A tensor has a type that is not read.
    #[error("tensor `{name}` is {found}; {remedy}")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
        /// What is read, and how to get there.
        remedy: &'static str,
    },
    /// A tensor holds values the definition refuses.
    #[error("tensor `{name}`: {reason}")]
    Values {
        /// The tensor.
        name: String,
        /// What was found where.
        reason: String,
    },
    /// A tensor in the file belongs to nothing in the config.
    #[error(
        "the weights hold a tensor `{0}` that the config has no place for; the config belongs to \
         another model or misses a flag"
    )]
    UnusedTensor(String),
}

/// One row of a tensor, in the form its source stores it.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Elements, widened to f32 exactly.
    Values(&'a [f32]),
    /// Blocks of 34 bytes for 32 elements: an f16 scale, little-endian, then 32 signed bytes.
    Q8_0(&'a [u8]),
    /// Blocks of 18 bytes for 32 elements: an f16 scale, little-endian, then 16 bytes whose low
    /// nibbles are elements 0 to 15 and whose high nibbles are 16 to 31, each 8 too large.
    Q4_0(&'a [u8]),
}

/// Takes a row of a tensor: its index and what is stored.
pub type EachRow<'a> = &'a mut dyn FnMut(usize, Row<'_>) -> Result<(), WeightsError>;

/// Something that holds named tensors.
pub trait TensorSource {
    /// Hands the tensor over row by row (the last dimension): every row once, not always in
    /// ascending order.
    ///
    /// # Errors
    /// [`WeightsError`] if the tensor is missing, has another shape or an unsupported type, or
    /// cannot be read; or the first error of `each`.
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError>;

    /// The first tensor that was never read, if there is one.
    fn unused(&self) -> Option<String>;

    /// Whether a tensor's rows come as [`Row::Q4_0`].
    fn is_q4_0(&self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Divisors of the rotary frequencies that come with the weights: one for each of `pairs`, or
    /// none at all. GGUF files carry the scaling of Llama 3 so.
    ///
    /// # Errors
    /// As [`TensorSource::rows`].
    fn rotary_divisors(&mut self, pairs: usize) -> Result<Option<Vec<f32>>, WeightsError> {
        let _ = pairs;
        Ok(None)
    }

    /// A tensor of one dimension.
    ///
    /// # Errors
    /// As [`TensorSource::rows`]; [`WeightsError::Type`] if it is quantised.
    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>, WeightsError> {
        let mut out = Vec::new();
        self.rows(name, &[len], &mut |_, row| match row {
            Row::Values(values) => {
                out.extend_from_slice(values);
                Ok(())
            }
            Row::Q8_0(_) | Row::Q4_0(_) => Err(WeightsError::Type {
                name: name.into(),
                found: "quantised".into(),
                remedy: "norms and biases must be F32, F16 or BF16, so convert the model again",
            }),
        })?;
        Ok(out)
    }
}

/// Refuses a tensor whose shape is not the config's.
pub(crate) fn check_shape(
    name: &str,
    found: &[usize],
    expected: &[usize],
) -> Result<(), WeightsError> {
    if found == expected {
        return Ok(());
    }
    Err(WeightsError::Shape {
        name: name.into(),
        found: found.into(),
        expected: expected.into(),
    })
}

/// Tensors in memory, for models that were just made: in training, in tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryTensors {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    unused: BTreeSet<String>,
}

impl MemoryTensors {
    /// Adds a tensor; `data` holds its elements, the last dimension closest.
    ///
    /// # Panics
    /// If `data` has not as many elements as `shape` says.
    pub fn insert(&mut self, name: impl Into<String>, shape: &[usize], data: Vec<f32>) {
        assert_eq!(shape.iter().product::<usize>(), data.len());
        let name = name.into();
        self.unused.insert(name.clone());
        self.tensors.insert(name, (shape.into(), data));
    }

    /// Names, shapes and elements, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        let tensors = self.tensors.iter();
        tensors.map(|(name, (shape, data))| (&name[..], &shape[..], &data[..]))
    }

    /// The elements of a tensor, to change them.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Vec<f32>> {
        self.tensors.get_mut(name).map(|(_, data)| data)
    }
}

impl TensorSource for MemoryTensors {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        let (found, data) = self
            .tensors
            .get(name)
            .ok_or_else(|| WeightsError::MissingTensor(name.into()))?;
        check_shape(name, found, shape)?;
        self.unused.remove(name);
        let columns = shape.last().copied().unwrap_or(1);
        for (index, row) in data.chunks_exact(columns.max(1)).enumerate() {
            each(index, Row::Values(row))?;
        }
        Ok(())
    }

    fn unused(&self) -> Option<String> {
        self.unused.first().cloned()
    }
}
