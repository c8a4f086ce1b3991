//! One stream of random numbers for a whole run, so that a seed repeats it.

use genesisflow_primitives::H256;
use rand_chacha::{
    rand_core::{RngCore, SeedableRng},
    ChaCha8Rng,
};

/// A deterministic source of random numbers.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of a seed, separate for each `part` of the simulation, so that one part can be
    /// run or changed without moving the others.
    pub fn new(seed: u64, part: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(part);
        Self(rng)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A block's randomness, as good as a VRF output.
    pub fn output(&mut self) -> H256 {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        H256(bytes)
    }

    /// A standard normal number (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// How often something with this probability happens in `tries` tries.
    pub fn binomial(&mut self, tries: u64, probability: f64) -> u64 {
        (0..tries).filter(|_| self.chance(probability)).count() as u64
    }

    /// How often something happens that happens `mean` times on average (Knuth's method).
    pub fn poisson(&mut self, mean: f64) -> u64 {
        let mut count = 0;
        let mut left = mean;
        // In steps that `exp` does not round to 0.
        while left > 0.0 {
            let step = left.min(500.0);
            let limit = (-step).exp();
            let mut product = self.unit();
            while product > limit {
                count += 1;
                product *= self.unit();
            }
            left -= step;
        }
        count
    }
}

/// A mean of many samples and how far it can be trusted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Mean {
    /// Adds a sample.
    pub fn add(&mut self, sample: f64) {
        self.count += 1.0;
        self.sum += sample;
        self.squares += sample * sample;
    }

    /// The mean of the samples so far; 0 without any.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    /// Standard deviation of one sample.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        (self.squares / self.count.max(1.0) - mean * mean)
            .max(0.0)
            .sqrt()
    }

    /// Standard error of the mean.
    pub fn error(&self) -> f64 {
        self.deviation() / self.count.max(1.0).sqrt()
    }
}

/// Whether a share seen in `count` tries fits the probability: within five standard deviations,
/// and two tries for the rarest.
pub fn fits(seen: f64, probability: f64, count: u64) -> bool {
    let count = count as f64;
    let deviation = (probability * (1.0 - probability) / count).sqrt();
    (seen - probability).abs() <= 5.0 * deviation + 2.0 / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_parts_differ() {
        let draw = |seed, part| {
            let mut random = Random::new(seed, part);
            (random.unit(), random.output())
        };
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
        assert_ne!(draw(1, 1), draw(2, 1));
    }

    #[test]
    fn samples_have_the_moments_of_their_distributions() {
        let mut random = Random::new(7, 0);
        let mut normal = Mean::default();
        let mut poisson = Mean::default();
        for _ in 0..20_000 {
            normal.add(random.normal());
            poisson.add(random.poisson(3.0) as f64);
        }
        assert!(normal.mean().abs() < 0.04 && (normal.deviation() - 1.0).abs() < 0.03);
        assert!((poisson.mean() - 3.0).abs() < 0.07);
        assert!((poisson.deviation() - 3f64.sqrt()).abs() < 0.05);
        assert!((random.poisson(10_000.0) as f64 - 10_000.0).abs() < 500.0);
    }

    #[test]
    fn a_wrong_probability_does_not_fit() {
        assert!(fits(0.501, 0.5, 10_000));
        assert!(!fits(0.53, 0.5, 10_000));
        assert!(fits(0.0, 1e-6, 10_000));
    }
}
