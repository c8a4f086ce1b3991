//! Device memory from and to vectors.

use std::sync::{Arc, OnceLock};

use genesisflow_canonical::quantize_row::{blocks, BLOCK};
use genesisflow_cuda::{
    driver::CudaDevice,
    layout,
    operators::{Faults, Quantized},
    Buffer, Device, Span,
};
use genesisflow_cuda_shim::Shim;
use half::f16;

/// A device and what tests put there.
pub struct Memory(pub Arc<dyn Device>);

/// A card that takes the shim's place, by its number.
const CARD: &str = "GENESISFLOW_TEST_CUDA";

impl Memory {
    pub fn new() -> Self {
        let Ok(number) = std::env::var(CARD) else {
            return Self(Shim::new());
        };
        // The driver compiles the kernels when a card is opened: once for all tests.
        static OPENED: OnceLock<Arc<dyn Device>> = OnceLock::new();
        let open = || -> Arc<dyn Device> {
            let number = number.parse().expect("the number of a card");
            Arc::new(CudaDevice::open(number).expect(CARD))
        };
        Self(OPENED.get_or_init(open).clone())
    }

    pub fn device(&self) -> &dyn Device {
        &*self.0
    }

    pub fn zeroed(&self, bytes: usize) -> Buffer {
        Buffer::zeroed(&self.0, bytes).unwrap()
    }

    pub fn bytes(&self, content: &[u8]) -> Buffer {
        Buffer::holding(&self.0, content).unwrap()
    }

    pub fn floats(&self, content: &[f32]) -> Buffer {
        self.bytes(
            &content
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect::<Vec<_>>(),
        )
    }

    pub fn numbers(&self, content: &[u32]) -> Buffer {
        self.bytes(
            &content
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect::<Vec<_>>(),
        )
    }

    pub fn halves(&self, content: &[f16]) -> Buffer {
        self.bytes(
            &content
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect::<Vec<_>>(),
        )
    }

    /// Room for fault codes, all unset.
    pub fn faults(&self, rows: usize) -> Buffer {
        self.numbers(&vec![u32::MAX; rows])
    }

    /// Room for quantised rows.
    pub fn quantized(&self, rows: usize, columns: usize) -> QuantizedBuffers {
        QuantizedBuffers {
            quants: self.zeroed(layout::quants_bytes(rows, columns)),
            scales: self.zeroed(layout::scales_bytes(rows, columns)),
            columns,
        }
    }
}

/// Quantised rows in device memory.
pub struct QuantizedBuffers {
    quants: Buffer,
    scales: Buffer,
    columns: usize,
}

impl QuantizedBuffers {
    pub fn spans(&self) -> Quantized<'_> {
        Quantized {
            quants: self.quants.span(),
            scales: self.scales.span(),
        }
    }

    /// A row's bytes and scales in the reference's order.
    pub fn row(&self, row: usize) -> (Vec<i8>, Vec<f32>) {
        let (quants, scales) = (read(self.quants.span()), floats(self.scales.span()));
        let blocks = blocks(self.columns);
        let mut out = (Vec::new(), Vec::new());
        for block in 0..blocks {
            let at = (row / 8 * blocks + block) * 8 + row % 8;
            for column in 0..BLOCK {
                // Four-byte words in the order 0, 4, 1, 5, 2, 6, 3, 7.
                let word = column / 4;
                let byte = at * BLOCK + (word % 4 * 2 + word / 4) * 4 + column % 4;
                out.0.push(quants[byte] as i8);
            }
            out.1.push(scales[at]);
        }
        out
    }
}

pub fn faults(at: &Buffer, code: u32) -> Faults<'_> {
    Faults {
        at: at.span(),
        row_of: None,
        code,
    }
}

pub fn read(span: Span) -> Vec<u8> {
    let mut bytes = vec![0; span.bytes()];
    span.read(&mut bytes).unwrap();
    bytes
}

pub fn numbers(span: Span) -> Vec<u32> {
    let bytes = read(span);
    let words = bytes.as_chunks().0.iter();
    words.map(|b| u32::from_le_bytes(*b)).collect()
}

pub fn floats(span: Span) -> Vec<f32> {
    numbers(span).into_iter().map(f32::from_bits).collect()
}

pub fn halves(span: Span) -> Vec<f16> {
    let bytes = read(span);
    let words = bytes.as_chunks().0.iter();
    words.map(|b| f16::from_le_bytes(*b)).collect()
}

/// Compares bits, and says where the first differ.
#[track_caller]
pub fn assert_bits(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: elements");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!(
            g.to_bits() == e.to_bits(),
            "{what}: element {i} is {g:e} ({:08x}), not {e:e} ({:08x})",
            g.to_bits(),
            e.to_bits()
        );
    }
}
