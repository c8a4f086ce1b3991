//! The container: header, metadata and the list of tensors, read strictly.
//!
//! This is a reader of our own, beside the one candle has, because a model comes from strangers:
//! candle 0.11.1 divides by an alignment of 0 that a file may claim, multiplies dimensions without
//! a check, lets a second key or tensor of the same name win, and holds every element of an array
//! in 32 bytes. Here each of these is an error, and arrays are passed over, not held.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use crate::weights::WeightsError;

/// Most metadata keys, and most tensors.
const MAX_ENTRIES: u64 = 1 << 16;
/// Longest key; the format's limit.
const MAX_KEY: u64 = 65_535;
/// Longest tensor name; ggml's limit.
const MAX_NAME: u64 = 64;
/// Longest text value that is kept. Longer ones are chat templates and licences.
const MAX_TEXT: u64 = 1024;
/// Deepest nesting of arrays.
const MAX_DEPTH: u32 = 4;
/// Most dimensions of a tensor; ggml's limit.
const MAX_DIMENSIONS: u32 = 4;
/// Alignment where the file names none.
const DEFAULT_ALIGNMENT: u64 = 32;

/// A metadata value, as far as configs need it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Any unsigned integer, or a signed one that is not negative.
    Whole(u64),
    /// A negative integer.
    Negative(i64),
    /// An f32, widened, or an f64.
    Float(f64),
    Flag(bool),
    Text(String),
    /// A text that was passed over for its length.
    LongText,
    /// An array that was passed over.
    Array,
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(n) => n.fmt(f),
            Self::Negative(n) => n.fmt(f),
            Self::Float(x) => x.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Text(text) => write!(f, "`{text}`"),
            Self::LongText => f.write_str("a long text"),
            Self::Array => f.write_str("an array"),
        }
    }
}

/// Where a tensor is, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorInfo {
    /// Dimensions, the one closest in memory last.
    pub(super) shape: Vec<usize>,
    /// ggml's number of the element type.
    pub(super) kind: u32,
    /// From the beginning of the file.
    pub(super) offset: u64,
}

/// What a GGUF file says before its data.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    /// Bytes of the whole file.
    pub(super) length: u64,
}

/// What can go wrong while reading, before the file's name is known.
enum Fault {
    Io(io::Error),
    Malformed(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Malformed("it ends too early".into()),
            _ => Self::Io(error),
        }
    }
}

impl Container {
    /// Reads everything before the data.
    ///
    /// # Errors
    /// [`WeightsError::Io`] or [`WeightsError::Malformed`].
    pub(super) fn read(path: &Path, file: &File) -> Result<Self, WeightsError> {
        let name = || path.display().to_string();
        let length = |file: &File| Ok::<_, Fault>(file.metadata()?.len());
        length(file)
            .and_then(|length| {
                let mut reader = Reader {
                    inner: BufReader::with_capacity(1 << 16, file),
                    length,
                    position: 0,
                };
                reader.container()
            })
            .map_err(|fault| match fault {
                Fault::Io(source) => WeightsError::Io {
                    file: name(),
                    source,
                },
                Fault::Malformed(reason) => WeightsError::Malformed {
                    file: name(),
                    format: "GGUF",
                    reason,
                },
            })
    }
}

struct Reader<'a> {
    inner: BufReader<&'a File>,
    length: u64,
    position: u64,
}

impl Reader<'_> {
    fn container(&mut self) -> Result<Container, Fault> {
        let magic = self.bytes::<4>()?;
        if &magic != b"GGUF" {
            return Err(malformed(format!(
                "it begins with {magic:02x?}, not with GGUF"
            )));
        }
        let version = self.u32()?;
        if !(2..=3).contains(&version) {
            return Err(malformed(format!(
                "its version is {version}; versions 2 and 3, little-endian, are read"
            )));
        }
        let (tensor_count, key_count) = (self.u64()?, self.u64()?);
        for (what, count) in [("tensors", tensor_count), ("metadata keys", key_count)] {
            if count > MAX_ENTRIES {
                return Err(malformed(format!(
                    "it claims {count} {what}, more than {MAX_ENTRIES}"
                )));
            }
        }
        let mut metadata = BTreeMap::new();
        for _ in 0..key_count {
            let key = self.text(MAX_KEY)?;
            let kind = self.u32()?;
            let value = self.value(kind)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(malformed(format!("it holds the key `{key}` twice")));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Whole(n)) if n.is_power_of_two() && (8..=1 << 20).contains(n) => *n,
            Some(other) => {
                return Err(malformed(format!(
                    "its alignment is {other}, not a power of two from 8 to 1,048,576"
                )))
            }
        };
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let name = self.text(MAX_NAME)?;
            let info = self.tensor(&name, alignment)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(malformed(format!("it holds the tensor `{name}` twice")));
            }
        }
        // Not above 2^63 + 2^20: the position lies within the file.
        let data = self.position.next_multiple_of(alignment);
        for (name, info) in &mut tensors {
            info.offset = data
                .checked_add(info.offset)
                .filter(|offset| *offset <= self.length)
                .ok_or_else(|| malformed(format!("tensor `{name}` begins beyond its end")))?;
        }
        Ok(Container {
            metadata,
            tensors,
            length: self.length,
        })
    }

    fn tensor(&mut self, name: &str, alignment: u64) -> Result<TensorInfo, Fault> {
        let dimensions = self.u32()?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(malformed(format!(
                "tensor `{name}` has {dimensions} dimensions, not 1 to {MAX_DIMENSIONS}"
            )));
        }
        let mut shape = Vec::new();
        let mut elements = 1u64;
        for _ in 0..dimensions {
            let size = self.u64()?;
            // An element has two bits at least, so that this also bounds the product.
            elements = elements
                .checked_mul(size)
                .filter(|n| size > 0 && n / 4 <= self.length)
                .ok_or_else(|| {
                    malformed(format!(
                        "a dimension of tensor `{name}` is {size}, which the file cannot hold"
                    ))
                })?;
            shape.push(size as usize);
        }
        shape.reverse();
        let kind = self.u32()?;
        let offset = self.u64()?;
        if !offset.is_multiple_of(alignment) {
            return Err(malformed(format!(
                "tensor `{name}` is at offset {offset}, no multiple of {alignment}"
            )));
        }
        Ok(TensorInfo {
            shape,
            kind,
            offset,
        })
    }

    fn value(&mut self, kind: u32) -> Result<Value, Fault> {
        Ok(match kind {
            0 => Value::Whole(self.bytes::<1>()?[0].into()),
            1 => whole(i8::from_le_bytes(self.bytes()?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.bytes()?).into()),
            3 => whole(i16::from_le_bytes(self.bytes()?).into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => whole(i32::from_le_bytes(self.bytes()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?).into()),
            7 => match self.bytes::<1>()?[0] {
                0 => Value::Flag(false),
                1 => Value::Flag(true),
                other => return Err(malformed(format!("a flag is {other}, not 0 or 1"))),
            },
            8 => {
                let length = self.u64()?;
                if length > MAX_TEXT {
                    self.skip(length)?;
                    Value::LongText
                } else {
                    Value::Text(self.utf8(length)?)
                }
            }
            9 => {
                self.skip_array(1)?;
                Value::Array
            }
            10 => Value::Whole(self.u64()?),
            11 => whole(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return Err(malformed(format!("a value has the unknown type {other}"))),
        })
    }

    fn skip_array(&mut self, depth: u32) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(malformed(format!(
                "arrays are nested more than {MAX_DEPTH} deep"
            )));
        }
        let kind = self.u32()?;
        let count = self.u64()?;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            // Each element says its own length, in at least 8 bytes that the file must have.
            8 => {
                for _ in 0..count {
                    let length = self.u64()?;
                    self.skip(length)?;
                }
                return Ok(());
            }
            9 => {
                for _ in 0..count {
                    self.skip_array(depth + 1)?;
                }
                return Ok(());
            }
            other => return Err(malformed(format!("an array has the unknown type {other}"))),
        };
        self.skip(count.saturating_mul(size))
    }

    fn text(&mut self, longest: u64) -> Result<String, Fault> {
        let length = self.u64()?;
        if length > longest {
            return Err(malformed(format!(
                "a name claims {length} bytes, more than {longest}"
            )));
        }
        self.utf8(length)
    }

    fn utf8(&mut self, length: u64) -> Result<String, Fault> {
        let mut bytes = vec![0u8; length as usize];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|e| malformed(format!("a text is no UTF-8: {e}")))
    }

    fn skip(&mut self, length: u64) -> Result<(), Fault> {
        let left = self.length - self.position;
        match i64::try_from(length) {
            Ok(step) if length <= left => {
                self.inner.seek_relative(step)?;
                self.position += length;
                Ok(())
            }
            _ => Err(malformed(format!(
                "a value claims {length} bytes where {left} are left"
            ))),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Fault> {
        if bytes.len() as u64 > self.length - self.position {
            return Err(malformed("it ends too early".into()));
        }
        self.inner.read_exact(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }
}

fn malformed(reason: String) -> Fault {
    Fault::Malformed(reason)
}

fn whole(n: i64) -> Value {
    u64::try_from(n).map_or(Value::Negative(n), Value::Whole)
}
