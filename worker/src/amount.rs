//! Amounts of GEN as people write them.
//!
//! The chain counts base units (`u128`); one GEN has twelve decimals.

use std::{fmt, str::FromStr};

/// Decimals of the chain's token.
pub const DECIMALS: usize = 12;
/// Base units in one GEN.
pub const GEN: u128 = 10u128.pow(DECIMALS as u32);

/// An amount of GEN, kept in base units.
///
/// Written as a decimal number of GEN (`250`, `0.000001`), parsed and printed
/// without rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u128);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / GEN, self.0 % GEN);
        if fraction == 0 {
            return write!(f, "{whole} GEN");
        }
        let digits = format!("{fraction:0DECIMALS$}");
        write!(f, "{whole}.{} GEN", digits.trim_end_matches('0'))
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim();
        let number = number.strip_suffix("GEN").unwrap_or(number).trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
            return Err(format!(
                "`{text}` is no amount: write a number of GEN such as 250 or 0.000001"
            ));
        }
        if fraction.len() > DECIMALS {
            return Err(format!(
                "`{text}` has {} decimals; GEN has {DECIMALS}",
                fraction.len()
            ));
        }
        let too_large = || format!("`{text}` is more GEN than can exist");
        let whole: u128 = match whole {
            "" => 0,
            digits => digits.parse().map_err(|_| too_large())?,
        };
        let fraction: u128 = match fraction {
            "" => 0,
            digits => format!("{digits:0<DECIMALS$}")
                .parse()
                .map_err(|_| too_large())?,
        };
        whole
            .checked_mul(GEN)
            .and_then(|units| units.checked_add(fraction))
            .map(Self)
            .ok_or_else(too_large)
    }
}

impl<'de> serde::Deserialize<'de> for Amount {
    /// Reads `"0.5"`, or a whole number of GEN.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(u64),
            Text(String),
        }
        match serde::Deserialize::deserialize(deserializer)? {
            Written::Whole(gen) => Ok(Self(u128::from(gen) * GEN)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for units in [0, 1, 999, GEN - 1, GEN, GEN + 1, 250 * GEN, u128::MAX] {
            let amount = Amount(units);
            assert_eq!(amount.to_string().parse(), Ok(amount), "{amount}");
        }
    }

    #[test]
    fn reads_the_usual_ways_to_write_an_amount() {
        assert_eq!("250".parse(), Ok(Amount(250 * GEN)));
        assert_eq!("0.000001".parse(), Ok(Amount(1_000_000)));
        assert_eq!(".5".parse(), Ok(Amount(GEN / 2)));
        assert_eq!("2.".parse(), Ok(Amount(2 * GEN)));
        assert_eq!("3 GEN".parse(), Ok(Amount(3 * GEN)));
    }

    #[test]
    fn refuses_what_is_no_amount_and_says_so() {
        for bad in ["", ".", "-1", "1e3", "1,5", "0.0000000000001", "ten"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad:?} was accepted");
        }
        let too_large = format!("{}", u128::MAX);
        assert!(too_large
            .parse::<Amount>()
            .is_err_and(|error| error.contains("more GEN than can exist")));
    }
}
