//! Changes to files: of bytes, of lengths, of JSON, of GGUF's parts.

use serde_json::{json, Value};

use crate::gguf::{Entry, File};

/// Pseudo-random numbers (SplitMix64), the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A position among `length`, often near the front, where headers are.
    fn position(&mut self, length: usize) -> usize {
        let within = match self.below(4) {
            0 => length,
            1 => length.min(4096),
            2 => length.min(512),
            _ => length.min(32),
        };
        self.below(within.max(1))
    }
}

const EXTREMES: [u64; 12] = [
    0,
    1,
    31,
    33,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 40,
    (1 << 60) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 7,
    u64::MAX,
];

/// Changes bytes: flips, extremes in place of lengths, ranges cut out, repeated or blanked.
pub fn bytes(random: &mut Random, whole: &[u8]) -> Vec<u8> {
    let mut out = whole.to_vec();
    for _ in 0..1 + random.below(3) {
        if out.is_empty() {
            break;
        }
        let at = random.position(out.len());
        let length = 1 + random.below(64.min(out.len() - at));
        match random.below(9) {
            0 | 1 => out[at] ^= 1 << random.below(8),
            2 => out[at] = random.bits() as u8,
            3 => out.truncate(at),
            4 => drop(out.drain(at..at + length)),
            5 => {
                let range = out[at..at + length].to_vec();
                out.splice(at..at, range);
            }
            6 => out[at..at + length].fill(*random.pick(&[0, 0xff, b'[', b'9'])),
            7 => {
                let value = random.pick(&EXTREMES).to_le_bytes();
                let width = *random.pick(&[4, 8]);
                for (to, from) in out[at..].iter_mut().zip(&value[..width]) {
                    *to = *from;
                }
            }
            _ => out.extend((0..length).map(|i| i as u8)),
        }
    }
    out
}

/// Changes a JSON value somewhere: removes, repeats, renames, replaces.
pub fn json(random: &mut Random, value: &mut Value) {
    // A walk down from the root that ends early now and then.
    let goes_down = random.below(6) > 0;
    match value {
        Value::Object(map) if goes_down && !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned();
            let key = key.unwrap_or_default();
            match random.below(12) {
                0 => drop(map.remove(&key)),
                1 => {
                    let moved = map.remove(&key).unwrap_or_default();
                    map.insert(replacement_text(random), moved);
                }
                _ => map.get_mut(&key).into_iter().for_each(|v| json(random, v)),
            }
        }
        Value::Array(list) if goes_down && !list.is_empty() => {
            let at = random.below(list.len());
            match random.below(12) {
                0 => drop(list.remove(at)),
                1 => {
                    let copies = vec![list[at].clone(); *random.pick(&[1, 100, 3000])];
                    list.extend(copies);
                }
                _ => json(random, &mut list[at]),
            }
        }
        _ => *value = replacement(random, value),
    }
}

fn replacement_text(random: &mut Random) -> String {
    let texts = [
        "",
        "a",
        "type",
        "(",
        "(?=a*)*",
        "[a-",
        "\u{0}",
        "../x",
        "é",
        "<s>",
        "Sequence",
        "Regex",
        "BPE",
        "Unigram",
        "WordPiece",
        "WordLevel",
        "Replace",
        "ByteFallback",
        "Precompiled",
    ];
    match random.below(12) {
        0 => "x".repeat(5000),
        1 => "(".repeat(2000),
        2 => "(a?){60}".repeat(8),
        3 => "((a{50}){50}){50}".into(),
        _ => (*random.pick(&texts)).to_owned(),
    }
}

fn replacement(random: &mut Random, old: &Value) -> Value {
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    match random.below(14) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 | 3 => json!(random.pick(&EXTREMES)),
        4 => json!(-1),
        5 => json!(random.pick(&[1e308, -0.0, 1e-320, 0.5])),
        6 | 7 => json!(replacement_text(random)),
        8 => json!([]),
        9 => json!({}),
        10 => nested(100),
        11 => json!([old]),
        12 => json!({ "type": old }),
        _ => json!(random.below(300)),
    }
}

/// Changes a GGUF file's parts: entries and tensors removed, repeated, of other types and sizes.
pub fn gguf(random: &mut Random, file: &mut File) {
    for _ in 0..1 + random.below(2) {
        let (entry, tensor) = (
            random.below(file.entries.len().max(1)),
            random.below(file.tensors.len().max(1)),
        );
        if file.entries.is_empty() || file.tensors.is_empty() {
            return;
        }
        let extreme = *random.pick(&EXTREMES);
        match random.below(15) {
            0 => drop(file.entries.remove(entry)),
            1 => file.entries.push(file.entries[entry].clone()),
            2 => file.entries[entry].kind = random.below(15) as u32,
            3 => {
                let bytes = &mut file.entries[entry].bytes;
                for (to, from) in bytes.iter_mut().zip(extreme.to_le_bytes()) {
                    *to = from;
                }
            }
            4 => {
                let value = Entry::new("general.alignment", 10, extreme.to_le_bytes().to_vec());
                file.entries.push(value);
            }
            5 => drop(file.tensors.remove(tensor)),
            6 => file.tensors.push(file.tensors[tensor].clone()),
            7 => file.tensors[tensor].kind = random.below(42) as u32,
            8 => {
                let dimensions = &mut file.tensors[tensor].dimensions;
                let at = random.below(dimensions.len());
                dimensions[at] = extreme;
            }
            9 => file.tensors[tensor]
                .dimensions
                .push(*random.pick(&[0, 1, extreme])),
            10 => file.tensors[tensor].dimensions.reverse(),
            11 => {
                let data = &mut file.tensors[tensor].data;
                data.truncate(random.below(data.len().max(1)));
            }
            12 => {
                let data = &mut file.tensors[tensor].data;
                for _ in 0..8 {
                    let at = random.below(data.len().max(1));
                    if let Some(byte) = data.get_mut(at) {
                        *byte = *random.pick(&[0x7f, 0x80, 0xff, 0x7c]);
                    }
                }
            }
            13 => {
                // Arrays in arrays, with a length that the file does not have.
                let mut bytes = Vec::new();
                for _ in 0..random.below(6) {
                    bytes.extend_from_slice(&9u32.to_le_bytes());
                    bytes.extend_from_slice(&random.pick(&[1, 2, extreme]).to_le_bytes());
                }
                bytes.extend_from_slice(&(random.below(13) as u32).to_le_bytes());
                bytes.extend_from_slice(&extreme.to_le_bytes());
                file.entries.push(Entry::new("x", 9, bytes));
            }
            _ => {
                file.more_entries = *random.pick(&[0, 1, extreme]);
                file.more_tensors = *random.pick(&[0, 1, extreme]);
            }
        }
    }
}
