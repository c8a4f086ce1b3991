//! A safetensors file, read on demand.

use std::{collections::BTreeSet, fs::File, io::Read, path::Path};

use safetensors::{tensor::Metadata, Dtype};

use crate::weights::{check_shape, EachRow, TensorSource, WeightsError};

use super::rows::{Encoding, Stored};

/// Largest header that is accepted, in bytes: a hundred thousand tensors and more.
const MAX_HEADER: u64 = 16 << 20;

/// A safetensors file: its header in memory, its tensors on disk.
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
            format: "safetensors",
            reason,
        };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix)
            .map_err(|_| malformed("it is shorter than 8 bytes".into()))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > MAX_HEADER || header_length > length.saturating_sub(8) {
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
        let unused = header
            .tensors()
            .into_keys()
            // Older checkpoints store the rotary frequencies, which follow from the config.
            .filter(|name| !name.ends_with(".rotary_emb.inv_freq"))
            .collect();
        Ok(Self {
            name,
            file,
            data,
            header,
            unused,
        })
    }

    /// Names of all its tensors.
    pub(super) fn tensors(&self) -> impl Iterator<Item = String> + '_ {
        self.header.tensors().into_keys()
    }
}

impl TensorSource for SafetensorsFile {
    fn rows(&mut self, name: &str, shape: &[usize], each: EachRow<'_>) -> Result<(), WeightsError> {
        let info = self
            .header
            .info(name)
            .ok_or_else(|| WeightsError::MissingTensor(name.into()))?;
        check_shape(name, &info.shape, shape)?;
        let encoding = match info.dtype {
            Dtype::F32 => Encoding::F32,
            Dtype::F16 => Encoding::F16,
            Dtype::BF16 => Encoding::Bf16,
            other => {
                return Err(WeightsError::Type {
                    name: name.into(),
                    found: format!("{other:?}"),
                    remedy: "supported in safetensors are F32, F16 and BF16, so convert it to one",
                })
            }
        };
        self.unused.remove(name);
        let columns = shape.last().copied().unwrap_or(1);
        let stored = Stored {
            file_name: &self.name,
            file: &mut self.file,
            offset: self.data + info.data_offsets.0 as u64,
            encoding,
            rows: shape.iter().product::<usize>() / columns.max(1),
            columns,
        };
        stored.read(name, each)
    }

    fn unused(&self) -> Option<String> {
        self.unused.first().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Row;
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
            match row {
                Row::Values(row) => rows.push((i, row.to_vec())),
                other => panic!("{other:?}"),
            }
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
