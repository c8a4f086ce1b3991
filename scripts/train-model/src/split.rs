//! Which numbers and combinations are never trained on.
//!
//! The split is a hash of the content, not of the wording or the language: a
//! held-out number or combination is held out in every phrasing, every
//! direction and every language at once.

use crate::dates::Date;
use crate::phrasebook::Phrase;

/// One in this many numbers, sums, dates and phrases is held out.
pub const ONE_IN: u64 = 8;

/// Numbers below this are the vocabulary of number words and always trained on.
/// Sums of two numbers up to 99 stay below it too.
pub const FIRST_HELD_OUT_NUMBER: u32 = 200;

/// FNV-1a over the bytes, then the 64-bit finaliser of MurmurHash3.
fn hash(domain: &str, parts: &[u32]) -> u64 {
    let bytes = domain
        .bytes()
        .chain(parts.iter().flat_map(|part| part.to_le_bytes()));
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        h = (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// Is `n` never trained on, neither to words nor from words nor as a year?
pub fn number_is_held_out(n: u32) -> bool {
    n >= FIRST_HELD_OUT_NUMBER && hash("number", &[n]).is_multiple_of(ONE_IN)
}

/// Is the sum of `a` and `b`, in either order, never trained on?
pub fn sum_is_held_out(a: u32, b: u32) -> bool {
    hash("sum", &[a.min(b), a.max(b)]).is_multiple_of(ONE_IN)
}

/// Is `date` never trained on? Dates of held-out years are in neither part.
pub fn date_is_held_out(date: Date) -> bool {
    hash("date", &[date.year, date.month, date.day]).is_multiple_of(ONE_IN)
}

/// Is this combination of count, adjective and noun never trained on, in any pair of languages?
pub fn phrase_is_held_out(phrase: Phrase) -> bool {
    hash(
        "phrase",
        &[phrase.count, phrase.adjective as u32, phrase.noun as u32],
    )
    .is_multiple_of(ONE_IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_in_eight_is_held_out() {
        let numbers = (0..=9999).filter(|&n| number_is_held_out(n)).count();
        assert!((1100..1350).contains(&numbers), "{numbers} numbers");
        let sums = (0..100)
            .flat_map(|a| (a..100).map(move |b| (a, b)))
            .filter(|&(a, b)| sum_is_held_out(a, b))
            .count();
        assert!((550..720).contains(&sums), "{sums} sums");
    }

    #[test]
    fn a_sum_is_held_out_in_both_orders() {
        for a in 0..100 {
            for b in 0..100 {
                assert_eq!(sum_is_held_out(a, b), sum_is_held_out(b, a));
            }
        }
    }

    /// The split is part of what the published figures mean: it must not move.
    #[test]
    fn the_split_is_pinned() {
        let first: Vec<u32> = (0..=9999)
            .filter(|&n| number_is_held_out(n))
            .take(6)
            .collect();
        assert_eq!(first, PINNED);
    }
    const PINNED: [u32; 6] = [203, 212, 223, 242, 244, 248];
}
