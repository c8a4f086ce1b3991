//! Reproducible choices.

/// A source of choices that gives the same ones for the same seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        match u64::try_from(end) {
            Ok(end) if end > 0 => (self.next() % end) as usize,
            _ => 0,
        }
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them, if there is any.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A number in which small and extreme values are as likely as any of `bits` bits.
    pub fn number(&mut self, bits: u32) -> u128 {
        let all = u128::MAX >> (128 - bits);
        let wide = (u128::from(self.next()) << 64) | u128::from(self.next());
        match self.below(8) {
            0 => 0,
            1 => all,
            2 => wide & all,
            3 | 4 => wide & 0xf & all,
            5 => (1 << self.below(bits as usize)) & all,
            _ => wide & 0xff & all,
        }
    }
}

/// A number that follows from a few others.
pub fn mixed(parts: &[u64]) -> u64 {
    parts.iter().fold(0x0067_656e_6573_6973, |seed, part| {
        Dice::new(seed ^ part.wrapping_mul(0xff51_afd7_ed55_8ccd)).next()
    })
}
