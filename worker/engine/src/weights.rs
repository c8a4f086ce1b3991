//! Where weights come from: a safetensors file read tensor by tensor, or tensors in memory.
//!
//! Nothing is mapped or read whole: a file larger than memory by its unquantised types loads all
//! the same, and a hostile header cannot ask for more memory than the file is long.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use half::{bf16, f16};
use safetensors::{tensor::Metadata, Dtype};

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
    /// The file is no safetensors file, or a damaged one.
    #[error(
        "{file} is not a usable safetensors file ({reason}); fetch it again and check its sha256"
    )]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor the config calls for is not there.
    #[error("the weights have no tensor `{0}`, which config.json calls for")]
    MissingTensor(String),
    /// A tensor has another shape than the config calls for.
    #[error("tensor `{name}` has shape {found:?}, config.json calls for {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that follows from the config.
        expected: Vec<usize>,
    },
    /// A tensor has a type that is not read.
    #[error("tensor `{name}` is {found}; supported are F32, F16 and BF16, so convert it to one")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        found: String,
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
        "the weights hold a tensor `{0}` that config.json has no place for; the config belongs to \
         another model or misses a flag"
    )]
    UnusedTensor(String),
}

/// Takes a row of a tensor: its index and its elements.
pub type EachRow<'a> = &'a mut dyn FnMut(usize, &[f32]) -> Result<(), WeightsError>;

/// Something that holds named f32 tensors.
pub trait TensorSource {
    /// Hands the tensor over row by row (the last dimension), in order.
    ///
    /// # Errors
    /// [`WeightsError`] if the tensor is missing, has another shape or an unsupported type, or
    /// cannot be read; or the first error of `each`.
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError>;

    /// The first tensor that was never read, if there is one.
    fn unused(&self) -> Option<String>;

    /// A tensor of one dimension.
    ///
    /// # Errors
    /// As [`TensorSource::rows`].
    fn vector(&mut self, name: &str, len: usize) -> Result<Vec<f32>, WeightsError> {
        let mut out = Vec::new();
        self.rows(name, &[len], &mut |_, row| {
            out.extend_from_slice(row);
            Ok(())
        })?;
        Ok(out)
    }
}

/// Largest header that is accepted, in bytes; safetensors' own limit.
const MAX_HEADER: u64 = 100_000_000;

/// A safetensors file, read on demand.
#[derive(Debug)]
pub struct SafetensorsFile {
    name: String,
    file: File,
    /// Offset of the first tensor's data.
    data: u64,
    header: Metadata,
    unused: BTreeSet<String>,
}

impl SafetensorsFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// [`WeightsError::Io`] or [`WeightsError::Malformed`].
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let name = path.display().to_string();
        let io = |source| WeightsError::Io {
            file: name.clone(),
            source,
        };
        let malformed = |reason: String| WeightsError::Malformed {
            file: name.clone(),
            reason,
        };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix)
            .map_err(|_| malformed("it is shorter than 8 bytes".into()))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > MAX_HEADER || header_length > length - 8 {
            return Err(malformed(format!(
                "its header claims {header_length} bytes of a file of {length}"
            )));
        }
        let mut header = vec![0u8; header_length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let header = std::str::from_utf8(&header).map_err(|e| malformed(e.to_string()))?;
        // Deserialising checks that the tensors follow each other without gap or overlap and that
        // each has the bytes its shape needs.
        let header: Metadata =
            serde_json::from_str(header).map_err(|e| malformed(e.to_string()))?;
        let data = 8 + header_length;
        let expected = data.checked_add(header.data_len() as u64);
        if expected != Some(length) {
            return Err(malformed(format!(
                "its tensors need {} bytes, the file has {}",
                header.data_len(),
                length - data
            )));
        }
        let unused = header.tensors().into_keys().collect();
        Ok(Self {
            name,
            file,
            data,
            header,
            unused,
        })
    }
}

impl TensorSource for SafetensorsFile {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        let info = self
            .header
            .info(name)
            .ok_or_else(|| WeightsError::MissingTensor(name.into()))?;
        check_shape(name, &info.shape, shape)?;
        let size = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                return Err(WeightsError::Type {
                    name: name.into(),
                    found: format!("{other:?}"),
                })
            }
        };
        self.unused.remove(name);
        let columns = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / columns;
        let io = |source| WeightsError::Io {
            file: self.name.clone(),
            source,
        };
        self.file
            .seek(SeekFrom::Start(self.data + info.data_offsets.0 as u64))
            .map_err(io)?;
        // A few rows at a time: fewer calls into the system than row by row.
        let batch = (1usize << 20).div_ceil(columns * size).min(rows);
        let mut bytes = vec![0u8; batch * columns * size];
        let mut row = vec![0.0f32; columns];
        let mut index = 0;
        while index < rows {
            let bytes = &mut bytes[..batch.min(rows - index) * columns * size];
            self.file.read_exact(bytes).map_err(io)?;
            for bytes in bytes.chunks_exact(columns * size) {
                widen(info.dtype, bytes, &mut row);
                each(index, &row)?;
                index += 1;
            }
        }
        Ok(())
    }

    fn unused(&self) -> Option<String> {
        self.unused.first().cloned()
    }
}

/// Little-endian elements as f32, exactly.
fn widen(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (out, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *out = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
        Dtype::F16 => {
            for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *out = f16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
        _ => {
            for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *out = bf16::from_le_bytes([b[0], b[1]]).to_f32();
            }
        }
    }
}

fn check_shape(name: &str, found: &[usize], expected: &[usize]) -> Result<(), WeightsError> {
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
            each(index, row)?;
        }
        Ok(())
    }

    fn unused(&self) -> Option<String> {
        self.unused.first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn file_of(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn sample() -> Vec<u8> {
        let f32s: Vec<u8> = [1.5f32, -2.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let halves: Vec<u8> = [0x3c00u16, 0xc000]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let ints = vec![1u8; 4];
        safetensors::serialize(
            [
                ("a", TensorView::new(Dtype::F32, vec![2, 1], &f32s).unwrap()),
                ("b", TensorView::new(Dtype::F16, vec![2], &halves).unwrap()),
                ("c", TensorView::new(Dtype::BF16, vec![2], &halves).unwrap()),
                ("d", TensorView::new(Dtype::I8, vec![4], &ints).unwrap()),
            ],
            None,
        )
        .unwrap()
    }

    #[test]
    fn the_three_float_types_are_read_exactly() {
        let (_dir, path) = file_of(&sample());
        let mut file = SafetensorsFile::open(&path).unwrap();
        assert_eq!(file.unused(), Some("a".into()));
        let mut rows = Vec::new();
        file.rows("a", &[2, 1], &mut |i, row| {
            rows.push((i, row.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(rows, [(0, vec![1.5]), (1, vec![-2.0])]);
        assert_eq!(file.vector("b", 2).unwrap(), [1.0, -2.0]);
        assert_eq!(file.vector("c", 2).unwrap(), [0.007_812_5, -2.0]);
        assert!(matches!(
            file.vector("d", 4),
            Err(WeightsError::Type { .. })
        ));
        assert!(matches!(
            file.vector("b", 3),
            Err(WeightsError::Shape { .. })
        ));
        assert!(matches!(
            file.vector("x", 3),
            Err(WeightsError::MissingTensor(_))
        ));
        assert_eq!(file.unused(), Some("d".into()));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = sample();
        for length in 0..whole.len() {
            let (_dir, path) = file_of(&whole[..length]);
            assert!(
                matches!(
                    SafetensorsFile::open(&path),
                    Err(WeightsError::Malformed { .. })
                ),
                "{length} bytes"
            );
        }
        let mut longer = whole;
        longer.push(0);
        let (_dir, path) = file_of(&longer);
        assert!(SafetensorsFile::open(&path).is_err());
    }

    #[test]
    fn hostile_headers_are_errors() {
        let header = |json: &str| {
            let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(json.as_bytes());
            bytes
        };
        for bytes in [
            u64::MAX.to_le_bytes().to_vec(),
            header("[]"),
            header(
                r#"{"a":{"dtype":"F32","shape":[18446744073709551615,9],"data_offsets":[0,4]}}"#,
            ),
            header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#),
            header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#),
            header(r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#),
            header(
                r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
            ),
        ] {
            let (_dir, path) = file_of(&bytes);
            assert!(SafetensorsFile::open(&path).is_err());
        }
    }
}
