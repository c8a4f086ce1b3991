//! Pseudo-random numbers of the kinds that tell a wrong rounding from a right one.

use half::f16;

/// A generator with a fixed sequence.
pub struct Values(u64);

impl Values {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.bits() as usize % n
    }

    /// Within -1..1.
    pub fn unit(&mut self) -> f32 {
        self.bits() as i32 as f32 / 2_147_483_648.0
    }

    /// Ordinary numbers, among them zeros of both signs, subnormals and large ones.
    pub fn activation(&mut self) -> f32 {
        match self.bits() % 32 {
            0 => 0.0,
            1 => -0.0,
            2 => f32::from_bits(self.bits() & 0x807f_ffff),
            3 => self.unit() * 1e9,
            4 => self.unit() * 1e-9,
            _ => self.unit() * 8.0,
        }
    }

    pub fn activations(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.activation()).collect()
    }

    /// The same without large ones, beside which all others are lost.
    pub fn mild_activations(&mut self, n: usize) -> Vec<f32> {
        let mild = |_| match self.bits() % 32 {
            0 => -0.0,
            1 => f32::from_bits(self.bits() & 0x807f_ffff),
            _ => self.unit() * 2.0,
        };
        (0..n).map(mild).collect()
    }

    pub fn units(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit()).collect()
    }

    /// A weight scale: of either sign, sometimes 0, subnormal or the largest.
    pub fn scale(&mut self) -> f16 {
        match self.bits() % 16 {
            0 => f16::ZERO,
            1 => f16::NEG_ZERO,
            2 => f16::from_bits(self.bits() as u16 & 0x83ff),
            3 => f16::MAX,
            _ => f16::from_f32(self.unit() * 0.05),
        }
    }
}
