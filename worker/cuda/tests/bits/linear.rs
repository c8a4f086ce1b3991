use genesisflow_canonical::{
    activation::{gelu_tanh_gated, swiglu},
    fused::Portable,
    kernels::WeightFormat,
    linear_row,
    quantize_row::{blocks, quantize_row, BLOCK},
};
use genesisflow_cuda::{
    operators::{linear, quantize, Activation, LinearOutput, Matrix},
    pack,
};
use half::f16;

use crate::{
    memory::{assert_bits, faults, floats, Memory},
    values::Values,
};

/// Numbers of quantised weights, among them runs of the largest.
pub fn weights(values: &mut Values, format: WeightFormat, n: usize) -> Vec<i8> {
    let extremes = values.below(4) == 0;
    let number = |values: &mut Values| match (format, extremes) {
        (WeightFormat::Q8_0, false) => (values.below(255) as i32 - 127) as i8,
        (WeightFormat::Q8_0, true) => 127,
        (WeightFormat::Q4_0, false) => (values.below(16) as i32 - 8) as i8,
        (WeightFormat::Q4_0, true) => -8,
    };
    (0..n).map(|_| number(values)).collect()
}

/// A layer, its rows of activations and what the reference makes of them.
struct Case {
    format: WeightFormat,
    /// Of the unpacked matrix.
    rows: usize,
    columns: usize,
    gated: bool,
    scales: Vec<f16>,
    numbers: Vec<i8>,
    bias: Option<Vec<f32>>,
    x: Vec<f32>,
}

impl Case {
    fn new(values: &mut Values, format: WeightFormat, rows: usize, columns: usize) -> Self {
        let n = rows * blocks(columns);
        Self {
            format,
            rows,
            columns,
            gated: false,
            scales: (0..n).map(|_| values.scale()).collect(),
            numbers: weights(values, format, n * BLOCK),
            bias: None,
            x: Vec::new(),
        }
    }

    /// `W x + bias` of every row of activations.
    fn products(&self) -> Vec<Vec<f32>> {
        let n = blocks(self.columns);
        let (mut q, mut d) = (vec![0; n * BLOCK], vec![0.0; n]);
        let product = |x: &[f32]| {
            quantize_row(x, &mut q, &mut d).unwrap();
            let row = |row: usize| {
                linear_row::<Portable>(
                    &self.scales[row * n..(row + 1) * n],
                    &self.numbers[row * n * BLOCK..(row + 1) * n * BLOCK],
                    &d,
                    &q,
                    self.bias.as_ref().map(|bias| bias[row]),
                )
            };
            (0..self.rows).map(row).collect()
        };
        self.x.chunks_exact(self.columns).map(product).collect()
    }

    /// What the device makes of it.
    fn run(&self, activation: Activation, residual: Option<&[f32]>) -> Vec<f32> {
        let memory = Memory::new();
        let n = blocks(self.columns);
        let read = |row: usize, s: &mut [f16], q: &mut [i8]| {
            s.copy_from_slice(&self.scales[row * n..(row + 1) * n]);
            q.copy_from_slice(&self.numbers[row * n * BLOCK..(row + 1) * n * BLOCK]);
        };
        let packed = if self.gated {
            pack::pack_gated(self.format, self.rows / 2, self.columns, read)
        } else {
            pack::pack(self.format, self.rows, self.columns, read)
        };
        let (q, s) = (memory.bytes(&packed.quants), memory.bytes(&packed.scales));
        let matrix = Matrix::new(&packed, q.span(), s.span());
        let rows = self.x.len() / self.columns;
        let x = memory.quantized(rows, self.columns);
        let at = memory.faults(rows);
        let on_device = memory.floats(&self.x);
        let (device, columns) = (memory.device(), self.columns);
        let unquantized = on_device.span();
        quantize(
            device,
            unquantized,
            rows,
            columns,
            x.spans(),
            faults(&at, 0),
        )
        .unwrap();
        let bias = self
            .bias
            .as_ref()
            .map(|bias| memory.floats(&pack::pack_bias(bias, self.gated)));
        let out = match residual {
            Some(residual) => memory.floats(residual),
            None => memory.zeroed(rows * matrix.outputs() * 4),
        };
        let output = LinearOutput {
            bias: bias.as_ref().map(|bias| bias.span()),
            activation,
            residual: residual.map(|_| out.span()),
            out: out.span(),
        };
        linear(device, &matrix, x.spans(), rows, output).unwrap();
        floats(out.span())
    }
}

const FORMATS: [WeightFormat; 2] = [WeightFormat::Q8_0, WeightFormat::Q4_0];

/// Rows of activations around the limits of every kernel and of its tiles.
const ROWS: [usize; 16] = [1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 33, 40, 63, 64, 65, 131];

#[test]
fn products_of_every_kernel() {
    let mut values = Values::new(11);
    for format in FORMATS {
        for rows in ROWS {
            // Tiles that are not full; chunks of 32 and 64 blocks, and stages, begun and not ended.
            for (outputs, columns) in [(1, 1), (16, 32), (37, 200), (150, 96), (20, 2_100)] {
                let mut case = Case::new(&mut values, format, outputs, columns);
                case.x = if outputs % 2 == 1 {
                    values.mild_activations(rows * columns)
                } else {
                    values.activations(rows * columns)
                };
                let got = case.run(Activation::Silu, None);
                let expected = case.products().concat();
                let what = format!("{format:?} {outputs} x {columns}, {rows} rows");
                assert_bits(&got, &expected, &what);
            }
        }
    }
}

#[test]
fn bias_and_residual_are_added_in_this_order() {
    let mut values = Values::new(12);
    for format in FORMATS {
        for rows in [1, 6, 20, 70] {
            let (outputs, columns) = (45, 160);
            let mut case = Case::new(&mut values, format, outputs, columns);
            case.x = values.activations(rows * columns);
            case.bias = Some(values.units(outputs));
            let residual = values.activations(rows * outputs);
            let mut expected = residual.clone();
            for (h, y) in expected.iter_mut().zip(case.products().concat()) {
                *h += y;
            }
            let got = case.run(Activation::Silu, Some(&residual));
            assert_bits(&got, &expected, &format!("{format:?}, {rows} rows"));
        }
    }
}

#[test]
fn gated_layers() {
    let mut values = Values::new(13);
    for format in FORMATS {
        for (rows, outputs) in [(1, 8), (2, 21), (8, 40), (13, 5), (64, 24), (80, 70)] {
            for activation in [Activation::Silu, Activation::GeluTanh] {
                let columns = 100;
                let mut case = Case::new(&mut values, format, 2 * outputs, columns);
                case.gated = true;
                case.x = values.units(rows * columns);
                case.bias = (rows % 2 == 0).then(|| values.units(2 * outputs));
                let mut expected = Vec::new();
                for mut products in case.products() {
                    let (gates, ups) = products.split_at_mut(outputs);
                    match activation {
                        Activation::Silu => swiglu::<Portable>(gates, ups),
                        Activation::GeluTanh => gelu_tanh_gated::<Portable>(gates, ups),
                    }
                    expected.extend_from_slice(gates);
                }
                let got = case.run(activation, None);
                let what = format!("{format:?} {activation:?}, {outputs} outputs, {rows} rows");
                assert_bits(&got, &expected, &what);
            }
        }
    }
}

/// The largest dot products of both formats come through the float trick exactly.
#[test]
fn the_largest_dot_products() {
    for (format, number) in [(WeightFormat::Q8_0, 127i8), (WeightFormat::Q4_0, -8)] {
        for sign in [1.0f32, -1.0] {
            for rows in [1, 10, 70] {
                let mut values = Values::new(1);
                let mut case = Case::new(&mut values, format, 16, 64);
                case.scales.fill(f16::ONE);
                case.numbers.fill(number);
                case.x = vec![sign * 127.0; rows * 64];
                let got = case.run(Activation::Silu, None);
                let expected = sign * 127.0 * f32::from(number) * 64.0;
                assert_eq!(got, vec![expected; rows * 16]);
            }
        }
    }
}
