//! What a job may cost and how large its result may get. Chain and worker compute these alike, so
//! that a worker knows before a claim whether the chain will take it.

use crate::{Balance, MaxEvidenceLen, MaxOutputLen, ModelLimits, Prices, Usage};
use sp_arithmetic::Permill;
use sp_core::Get;

/// Output bytes granted per output unit.
const OUTPUT_BYTES_PER_UNIT: u32 = 16;
/// Evidence bytes granted per output unit: enough for any token id below 2^30.
const EVIDENCE_BYTES_PER_UNIT: u32 = 4;

/// Most input units that a text job can be charged: one per input byte and the formatting on top,
/// but never more than the context leaves beside the output. None if the output limit leaves no
/// room in the context.
pub fn max_input_units(input_len: u32, limits: &ModelLimits, max_output: u32) -> Option<u32> {
    let room = limits
        .context
        .checked_sub(max_output)
        .filter(|room| *room > 0)?;
    Some(input_len.saturating_add(limits.prompt_overhead).min(room))
}

/// Most bytes of an output of at most `max_output` units.
pub fn max_output_bytes(max_output: u32) -> u32 {
    max_output
        .saturating_mul(OUTPUT_BYTES_PER_UNIT)
        .min(MaxOutputLen::get())
}

/// Most bytes of the evidence of an output of at most `max_output` units.
pub fn max_evidence_bytes(max_output: u32) -> u32 {
    max_output
        .saturating_mul(EVIDENCE_BYTES_PER_UNIT)
        .min(MaxEvidenceLen::get())
}

/// The price of `usage`, but at least `min_fee`. None if it exceeds every possible balance.
pub fn fee(prices: Prices, usage: Usage, min_fee: Balance) -> Option<Balance> {
    let input = prices.input.checked_mul(usage.input.into())?;
    let output = prices.output.checked_mul(usage.output.into())?;
    Some(input.checked_add(output)?.max(min_fee))
}

/// What a result costs: the price of its usage, at least `min_fee`, never more than the escrow.
pub fn metered_fee(prices: Prices, usage: Usage, min_fee: Balance, escrow: Balance) -> Balance {
    fee(prices, usage, min_fee).map_or(escrow, |fee| fee.min(escrow))
}

/// Stake that a claim reserves: `factor` worst-case fees. None if no balance can be that large.
pub fn exposure(worst_case_fee: Balance, factor: u32) -> Option<Balance> {
    worst_case_fee.checked_mul(factor.into())
}

/// Splits a fee into the protocol's share (rounded down) and the worker's (the rest).
///
/// ```
/// use genesisflow_primitives::pricing::split_fee;
/// use sp_arithmetic::Permill;
/// assert_eq!(split_fee(199, Permill::from_percent(1)), (1, 198));
/// ```
pub fn split_fee(fee: Balance, protocol_share: Permill) -> (Balance, Balance) {
    let protocol = share_of(fee, protocol_share).min(fee);
    (protocol, fee - protocol)
}

/// `share` of `amount`, rounded down.
pub fn share_of(amount: Balance, share: Permill) -> Balance {
    share.mul_floor(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ModelLimits = ModelLimits {
        context: 100,
        max_output: 60,
        prompt_overhead: 5,
    };

    #[test]
    fn input_units_are_bytes_plus_formatting_up_to_the_room_left() {
        assert_eq!(max_input_units(10, &LIMITS, 60), Some(15));
        assert_eq!(max_input_units(35, &LIMITS, 60), Some(40));
        assert_eq!(max_input_units(36, &LIMITS, 60), Some(40));
        assert_eq!(max_input_units(u32::MAX, &LIMITS, 60), Some(40));
        assert_eq!(max_input_units(1, &LIMITS, 99), Some(1));
    }

    #[test]
    fn an_output_that_fills_the_context_leaves_no_room() {
        assert_eq!(max_input_units(1, &LIMITS, 100), None);
        assert_eq!(max_input_units(1, &LIMITS, 101), None);
    }

    #[test]
    fn byte_limits_grow_with_the_output_and_stop_at_16_kib() {
        assert_eq!(max_output_bytes(1), 16);
        assert_eq!(max_output_bytes(1_024), 16_384);
        assert_eq!(max_output_bytes(u32::MAX), 16_384);
        assert_eq!(max_evidence_bytes(1), 4);
        assert_eq!(max_evidence_bytes(4_096), 16_384);
        assert_eq!(max_evidence_bytes(u32::MAX), 16_384);
    }

    #[test]
    fn a_fee_is_never_below_the_minimum_nor_above_the_escrow() {
        let prices = Prices {
            input: 2,
            output: 3,
        };
        let usage = Usage {
            input: 10,
            output: 20,
        };
        assert_eq!(fee(prices, usage, 0), Some(80));
        assert_eq!(fee(prices, usage, 81), Some(81));
        assert_eq!(metered_fee(prices, usage, 0, 79), 79);
        assert_eq!(metered_fee(prices, usage, 0, 100), 80);
        assert_eq!(metered_fee(prices, Usage::default(), 7, 100), 7);
    }

    #[test]
    fn a_price_beyond_every_balance_is_no_fee_but_never_a_panic() {
        let prices = Prices {
            input: Balance::MAX,
            output: Balance::MAX,
        };
        let usage = Usage {
            input: 2,
            output: 1,
        };
        assert_eq!(fee(prices, usage, 0), None);
        assert_eq!(
            fee(
                prices,
                Usage {
                    input: 1,
                    output: 1
                },
                0
            ),
            None
        );
        assert_eq!(metered_fee(prices, usage, 0, 5), 5);
        assert_eq!(exposure(Balance::MAX, 2), None);
    }

    #[test]
    fn a_split_loses_nothing() {
        for fee in [0, 1, 99, 100, 101, Balance::MAX] {
            let (protocol, worker) = split_fee(fee, Permill::from_parts(12_345));
            assert_eq!(protocol.checked_add(worker), Some(fee));
        }
        assert_eq!(split_fee(99, Permill::from_percent(1)), (0, 99));
        assert_eq!(split_fee(7, Permill::one()), (7, 0));
    }
}
