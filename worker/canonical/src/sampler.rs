//! The sampler: from a row of logits to a token (docs/canonical.md, "Sampler").
//!
//! Greedy, or by Gumbel noise that depends on the seed, the position and the token alone: a
//! replay needs no state of a random generator.

use crate::{chacha20, exp::exp_c, fused::FusedMultiplyAdd};

/// Largest number of candidates that can be kept.
pub const MAX_TOP_K: u16 = 64;

/// Sampling options within their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplerSettings {
    temperature_milli: u32,
    top_k: u16,
    top_p_milli: u16,
}

/// A sampling option outside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// `temperature_milli` must lie below 2^24, where it is exact as an f32.
    Temperature(u32),
    /// `top_k` must lie in 1..=64.
    TopK(u16),
    /// `top_p_milli` must lie in 1..=1000.
    TopP(u16),
}

impl core::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Temperature(t) => {
                write!(f, "temperature_milli is {t}, it must be below 16,777,216")
            }
            Self::TopK(k) => write!(f, "top_k is {k}, it must be from 1 to {MAX_TOP_K}"),
            Self::TopP(p) => write!(f, "top_p_milli is {p}, it must be from 1 to 1000"),
        }
    }
}

impl SamplerSettings {
    /// Temperature in thousandths (0 = greedy), number of candidates, nucleus in thousandths.
    ///
    /// # Errors
    /// [`SettingsError`] if one of them is outside its limits.
    pub fn new(
        temperature_milli: u32,
        top_k: u16,
        top_p_milli: u16,
    ) -> Result<Self, SettingsError> {
        if temperature_milli >= 1 << 24 {
            return Err(SettingsError::Temperature(temperature_milli));
        }
        if !(1..=MAX_TOP_K).contains(&top_k) {
            return Err(SettingsError::TopK(top_k));
        }
        if !(1..=1000).contains(&top_p_milli) {
            return Err(SettingsError::TopP(top_p_milli));
        }
        Ok(Self {
            temperature_milli,
            top_k,
            top_p_milli,
        })
    }

    /// Whether the first candidate is taken, without noise.
    pub fn is_greedy(self) -> bool {
        self.temperature_milli == 0 || self.top_k == 1
    }

    /// Candidates that are looked at, at most [`MAX_TOP_K`].
    pub fn candidates(self) -> usize {
        if self.is_greedy() {
            1
        } else {
            usize::from(self.top_k)
        }
    }
}

/// A token that may be chosen, and its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The head's output for the token; finite.
    pub logit: f32,
    /// The token.
    pub id: u32,
}

/// The token for a row of logits, one per row of the head, padding rows included.
///
/// `seed`: the job's sampling key. `position`: the sampled token's own index in prompt and output.
/// Logits are finite; there is at least one.
pub fn sample<F: FusedMultiplyAdd>(
    logits: &[f32],
    settings: SamplerSettings,
    seed: &[u8; 32],
    position: u64,
) -> u32 {
    debug_assert!(!logits.is_empty());
    let mut best = [Candidate { logit: 0.0, id: 0 }; MAX_TOP_K as usize];
    let keep = settings.candidates().min(logits.len());
    choose::<F>(largest(logits, &mut best[..keep]), settings, seed, position)
}

/// The token among the candidates of a row, for machines that find these elsewhere.
///
/// `best`: the first `min(settings.candidates(), rows of the head)` of the row's tokens, ordered by
/// (logit descending, id ascending); at least one. The rest as for [`sample`].
pub fn choose<F: FusedMultiplyAdd>(
    best: &[Candidate],
    settings: SamplerSettings,
    seed: &[u8; 32],
    position: u64,
) -> u32 {
    debug_assert!(!best.is_empty() && best.len() <= settings.candidates());
    if settings.is_greedy() {
        return best[0].id;
    }
    let temperature = settings.temperature_milli as f32 / 1000.0;
    let top_p = f32::from(settings.top_p_milli) / 1000.0;
    let scaled = |c: &Candidate| c.logit / temperature;
    let top = scaled(&best[0]);
    let weight = |c: &Candidate| exp_c::<F>(scaled(c) - top);

    let mut total = 0.0f32;
    for candidate in best.iter() {
        total += weight(candidate);
    }
    let threshold = top_p * total;
    let mut before = 0.0f32;
    let mut chosen: Option<(f32, u32)> = None;
    for candidate in best.iter() {
        if before >= threshold {
            break;
        }
        before += weight(candidate);
        let score = scaled(candidate) + gumbel(seed, position, candidate.id);
        let better = match chosen {
            Some((best, id)) => score > best || (score == best && candidate.id < id),
            None => true,
        };
        if better {
            chosen = Some((score, candidate.id));
        }
    }
    chosen.map_or(best[0].id, |(_, id)| id)
}

/// Logits that are compared at once with the least candidate: nearly all chunks hold none.
const CHUNK: usize = 32;

/// Fills `best` with the largest logits, ordered by (logit descending, id ascending).
#[inline(always)]
fn largest<'a>(logits: &[f32], best: &'a mut [Candidate]) -> &'a [Candidate] {
    // Each of the first candidates finds a free place.
    let (first, rest) = logits.split_at(best.len());
    for (filled, logit) in first.iter().enumerate() {
        insert(&mut best[..=filled], *logit, filled as u32);
    }
    for (chunk, first_id) in rest
        .chunks(CHUNK)
        .zip((first.len() as u32..).step_by(CHUNK))
    {
        let least = best[best.len() - 1].logit;
        let mut above = false;
        for logit in chunk {
            above |= *logit > least;
        }
        if !above {
            continue;
        }
        for (logit, id) in chunk.iter().zip(first_id..) {
            // Ids ascend, so an equal logit never comes before one that is already there.
            if *logit > best[best.len() - 1].logit {
                insert(best, *logit, id);
            }
        }
    }
    best
}

/// Puts a candidate in its place, over the last one of `best`.
fn insert(best: &mut [Candidate], logit: f32, id: u32) {
    let mut at = best.len() - 1;
    while at > 0 && logit > best[at - 1].logit {
        best[at] = best[at - 1];
        at -= 1;
    }
    best[at] = Candidate { logit, id };
}

/// Gumbel noise of a token at a position: `-log(-log(u))` with u from ChaCha20, rounded to f32.
pub fn gumbel(seed: &[u8; 32], position: u64, token: u32) -> f32 {
    let mut nonce = [0u8; 12];
    nonce[..8].copy_from_slice(&position.to_le_bytes());
    let word = chacha20::first_word(seed, token, &nonce);
    let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
    -libm::log(-libm::log(u)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fused::Portable;

    fn settings(temperature: u32, k: u16, p: u16) -> SamplerSettings {
        SamplerSettings::new(temperature, k, p).unwrap()
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_the_largest() {
        let logits = [1.0, 3.0, -0.0, 3.0];
        for s in [settings(0, 40, 900), settings(700, 1, 900)] {
            assert_eq!(sample::<Portable>(&logits, s, &[1; 32], 5), 1);
        }
        assert_eq!(
            sample::<Portable>(&[-0.0, 0.0], settings(0, 1, 1), &[0; 32], 0),
            0
        );
    }

    #[test]
    fn candidates_are_ordered_by_logit_then_id() {
        let logits = [0.0, 5.0, -0.0, 5.0, 7.0, -1.0, 0.0];
        let mut best = [Candidate { logit: 0.0, id: 0 }; 6];
        let ids = |best: &[Candidate]| -> [u32; 6] { core::array::from_fn(|i| best[i].id) };
        assert_eq!(ids(largest(&logits, &mut best)), [4, 1, 3, 0, 2, 6]);
    }

    /// Against sorting everything, over rows longer than a chunk and with many equal logits.
    #[test]
    fn the_largest_of_many_are_those_of_a_sort() {
        let mut state = 3u32;
        let mut logits = [0.0f32; 500];
        for round in 0..200 {
            for logit in &mut logits {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *logit = (state >> 24) as f32 / 8.0 - 16.0;
            }
            let row = &logits[..1 + (round * 37) % 500];
            let mut ids: [usize; 500] = core::array::from_fn(|i| i);
            let ids = &mut ids[..row.len()];
            ids.sort_unstable_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
            let mut best = [Candidate { logit: 0.0, id: 0 }; 64];
            let keep = (1 + round % 64).min(row.len());
            let found = largest(row, &mut best[..keep]);
            assert!(found
                .iter()
                .zip(ids.iter())
                .all(|(c, id)| c.id as usize == *id));
            assert_eq!(found.len(), keep);
        }
    }

    #[test]
    fn the_nucleus_bounds_the_choice() {
        // Three tokens of weight 1/2, 1/4, 1/4: with top_p = 0.5 only the first is kept.
        let logits = [core::f32::consts::LN_2, 0.0, 0.0];
        for seed in 0..64 {
            let chosen = sample::<Portable>(&logits, settings(1000, 3, 500), &[seed; 32], 0);
            assert_eq!(chosen, 0);
        }
        let mut seen = [0; 3];
        for seed in 0..=255 {
            let chosen = sample::<Portable>(&logits, settings(1000, 3, 750), &[seed; 32], 9);
            seen[chosen as usize] += 1;
        }
        assert!(seen[0] > 100 && seen[1] > 40 && seen[2] == 0, "{seen:?}");
    }

    #[test]
    fn noise_follows_the_softmax() {
        let logits = [0.0, 1.0, 2.0, 3.0];
        let mut seen = [0u32; 4];
        for position in 0..20_000 {
            let s = settings(1000, 64, 1000);
            seen[sample::<Portable>(&logits, s, &[7; 32], position) as usize] += 1;
        }
        for (id, share) in [0.0321, 0.0871, 0.2369, 0.6439].into_iter().enumerate() {
            let got = f64::from(seen[id]) / 20_000.0;
            assert!(
                (got - share).abs() < 0.012,
                "token {id}: {got}, not {share}"
            );
        }
    }

    #[test]
    fn settings_outside_their_limits_are_refused() {
        let hot = 1 << 24;
        let refused = Err(SettingsError::Temperature(hot));
        assert_eq!(SamplerSettings::new(hot, 1, 1), refused);
        assert!(SamplerSettings::new(hot - 1, 1, 1).is_ok());
        assert_eq!(SamplerSettings::new(1, 0, 1), Err(SettingsError::TopK(0)));
        assert_eq!(SamplerSettings::new(1, 65, 1), Err(SettingsError::TopK(65)));
        assert_eq!(SamplerSettings::new(1, 1, 0), Err(SettingsError::TopP(0)));
        assert_eq!(
            SamplerSettings::new(1, 1, 1001),
            Err(SettingsError::TopP(1001))
        );
    }

    /// Golden hash of the noise: a change of libm or of the generator shows here.
    #[test]
    fn noise_has_not_moved() {
        let mut hash = blake2b_simd::Params::new().hash_length(32).to_state();
        for position in [0, 1, 77, 4_294_967_296] {
            for token in (0..4_000).chain([u32::MAX]) {
                hash.update(&gumbel(&[0xab; 32], position, token).to_le_bytes());
            }
        }
        assert_eq!(hash.finalize().to_hex().as_str(), GOLDEN_NOISE);
    }

    const GOLDEN_NOISE: &str = "858ff04eceabf99576185211a4ec34641e9deafd65d2592deb5c95113a873b59";
}
