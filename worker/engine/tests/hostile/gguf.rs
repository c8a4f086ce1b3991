//! GGUF files from parts, each of which may be anything.

/// A metadata value's type and bytes.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Vec<u8>,
    pub kind: u32,
    pub bytes: Vec<u8>,
}

/// A tensor and its data.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: Vec<u8>,
    /// The one closest in memory first, as the format has it.
    pub dimensions: Vec<u64>,
    pub kind: u32,
    pub data: Vec<u8>,
}

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    pub version: u32,
    pub entries: Vec<Entry>,
    pub tensors: Vec<Tensor>,
    /// Added to what the file says of how many there are.
    pub more_entries: u64,
    pub more_tensors: u64,
}

impl Entry {
    pub fn text(key: &str, value: &str) -> Self {
        let mut bytes = (value.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(value.as_bytes());
        Self::new(key, 8, bytes)
    }

    pub fn u32(key: &str, value: u32) -> Self {
        Self::new(key, 4, value.to_le_bytes().to_vec())
    }

    pub fn f32(key: &str, value: f32) -> Self {
        Self::new(key, 6, value.to_le_bytes().to_vec())
    }

    pub fn new(key: &str, kind: u32, bytes: Vec<u8>) -> Self {
        Self {
            key: key.into(),
            kind,
            bytes,
        }
    }
}

impl File {
    /// A small model of architecture `llama` that loads: two layers, Q8_0, norms in F32.
    pub fn llama(vocabulary: u64) -> Self {
        let (hidden, inner) = (32u64, 64u64);
        let mut tensors = vec![
            Tensor::blocks("token_embd.weight", hidden, vocabulary),
            Tensor::ones("output_norm.weight", hidden),
            Tensor::blocks("output.weight", hidden, vocabulary),
        ];
        for layer in 0..2 {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            tensors.extend([
                Tensor::ones(&name("attn_norm"), hidden),
                Tensor::ones(&name("ffn_norm"), hidden),
                Tensor::blocks(&name("attn_q"), hidden, hidden),
                Tensor::blocks(&name("attn_k"), hidden, hidden / 2),
                Tensor::blocks(&name("attn_v"), hidden, hidden / 2),
                Tensor::blocks(&name("attn_output"), hidden, hidden),
                Tensor::blocks(&name("ffn_gate"), hidden, inner),
                Tensor::blocks(&name("ffn_up"), hidden, inner),
                Tensor::blocks(&name("ffn_down"), inner, hidden),
            ]);
        }
        Self {
            version: 3,
            entries: vec![
                Entry::text("general.architecture", "llama"),
                Entry::u32("llama.embedding_length", hidden as u32),
                Entry::u32("llama.block_count", 2),
                Entry::u32("llama.feed_forward_length", inner as u32),
                Entry::u32("llama.attention.head_count", 4),
                Entry::u32("llama.attention.head_count_kv", 2),
                Entry::f32("llama.attention.layer_norm_rms_epsilon", 1e-5),
                Entry::f32("llama.rope.freq_base", 10_000.0),
                // A list of texts, as the tokens are in real files.
                Entry::new(
                    "tokenizer.ggml.tokens",
                    9,
                    [
                        &8u32.to_le_bytes()[..],
                        &2u64.to_le_bytes(),
                        &1u64.to_le_bytes(),
                        b"a",
                        &2u64.to_le_bytes(),
                        b"bc",
                    ]
                    .concat(),
                ),
            ],
            tensors,
            more_entries: 0,
            more_tensors: 0,
        }
    }

    /// The tensor of this name, to change it.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        let mut tensors = self.tensors.iter_mut();
        tensors.find(|t| t.name == name.as_bytes()).unwrap()
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let text = |out: &mut Vec<u8>, text: &[u8]| {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text);
        };
        let mut out = b"GGUF".to_vec();
        out.extend_from_slice(&self.version.to_le_bytes());
        let count = |n: usize, more: u64| (n as u64).wrapping_add(more).to_le_bytes();
        out.extend_from_slice(&count(self.tensors.len(), self.more_tensors));
        out.extend_from_slice(&count(self.entries.len(), self.more_entries));
        for entry in &self.entries {
            text(&mut out, &entry.key);
            out.extend_from_slice(&entry.kind.to_le_bytes());
            out.extend_from_slice(&entry.bytes);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend_from_slice(&(tensor.dimensions.len() as u32).to_le_bytes());
            for dimension in &tensor.dimensions {
                out.extend_from_slice(&dimension.to_le_bytes());
            }
            out.extend_from_slice(&tensor.kind.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            offset += (tensor.data.len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend_from_slice(&tensor.data);
        }
        out
    }
}

impl Tensor {
    /// Q8_0 with some values.
    fn blocks(name: &str, columns: u64, rows: u64) -> Self {
        let blocks = columns / 32 * rows;
        let block = |index: u64| {
            let scale = half::f16::from_f32(0.002).to_le_bytes();
            let quants = (0..32).map(move |i| ((index * 37 + i * 11) % 255 + 129) as u8);
            scale.into_iter().chain(quants)
        };
        Self {
            name: name.into(),
            dimensions: vec![columns, rows],
            kind: 8,
            data: (0..blocks).flat_map(block).collect(),
        }
    }

    /// F32.
    fn ones(name: &str, length: u64) -> Self {
        Self {
            name: name.into(),
            dimensions: vec![length],
            kind: 0,
            data: (0..length).flat_map(|_| 1f32.to_le_bytes()).collect(),
        }
    }
}
