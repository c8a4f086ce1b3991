//! The rules of a job's audit, and the sums that follow from them.

use crate::{pricing::share_of, Balance, BlockNumber};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::{PerThing, Perbill, Percent, Permill, Rounding};

/// The rules of a job's audit, fixed when the job is submitted.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct AuditTerms {
    /// The blocks that make a seed begin after a multiple of this number.
    pub seed_interval: BlockNumber,
    /// Blocks whose outputs make the seed of a draw.
    pub seed_blocks: BlockNumber,
    /// Blocks in which a drawn auditor replays the job and commits.
    pub commit_window: BlockNumber,
    /// Blocks in which all who committed reveal.
    pub reveal_window: BlockNumber,
    /// Blocks for which a verdict can be appealed against.
    pub appeal_window: BlockNumber,
    /// Blocks from the final verdict to the slashes.
    pub slash_delay: BlockNumber,
    /// Blocks after a rejection in which another claim puts the whole stake at risk.
    pub repeat_window: BlockNumber,
    /// Seats of the first round.
    pub first_seats: u32,
    /// Seats of the second round, if the first has no verdict.
    pub second_seats: u32,
    /// Seats of an appeal.
    pub appeal_seats: u32,
    /// Open audits of an account in which it must act; in more of them it may stay silent.
    pub fined_audits: u32,
    /// Results on a model that must pass an audit before a worker is audited by chance only.
    pub probation_jobs: u32,
    /// Least chance of an audit.
    pub least_chance: Permill,
    /// The chance of an audit, in thousandths of worst-case fee / (exposure + worst-case fee).
    pub chance_factor_milli: u32,
    /// What a job pays for audits, in percent of the expected pay of a first round.
    pub premium_percent: u32,
    /// The most that the premium may be, as a share of the fee.
    pub premium_cap: Permill,
    /// Pay of a seat, as a share of the fee.
    pub seat_pay: Percent,
    /// The part of the largest fee that a bond holds besides the pay of the seats.
    pub bond_share: Permill,
    /// The least of that part, in base units.
    pub bond_floor: Balance,
    /// Fine of a wrong seat, as a share of the audited job's exposure.
    pub wrong_fine: Permill,
    /// Fine of a silent seat, as a share of the audited job's exposure.
    pub silent_fine: Permill,
    /// The most that the fine of a silent seat can be, in pays of a seat.
    pub silent_fine_pays: u32,
}

impl AuditTerms {
    /// The chance that a result is audited:
    /// `max(least_chance, chance_factor x fee / (exposure + fee))`, or 1 on probation; lowered so
    /// that the premium stays within its cap. `worst_case_fee` is the most that the job could have
    /// cost: what it did cost follows from the worker's own word, and must not lower its chance.
    ///
    /// `docs/economics.md` shows that cheating loses at the default factor, on any number of
    /// parallel jobs.
    pub fn chance(
        &self,
        worst_case_fee: Balance,
        exposure: Balance,
        on_probation: bool,
    ) -> Perbill {
        let wanted = if on_probation {
            Perbill::one()
        } else {
            let whole = exposure.saturating_add(worst_case_fee).max(1);
            let share = Perbill::from_rational(worst_case_fee, whole);
            let parts =
                u64::from(share.deconstruct()) * u64::from(self.chance_factor_milli) / 1_000;
            let least = Perbill::from_parts(self.least_chance.deconstruct() * 1_000);
            Perbill::from_parts(parts.min(1_000_000_000) as u32).max(least)
        };
        // chance x seats x pay <= cap x fee, whatever the fee is.
        let seats_pay = u64::from(self.seat_pay.deconstruct()) * u64::from(self.first_seats);
        let affordable = Perbill::from_rational_with_rounding(
            u64::from(self.premium_cap.deconstruct()),
            (seats_pay * 10_000).max(1),
            Rounding::Down,
        )
        .unwrap_or(Perbill::one());
        wanted.min(affordable)
    }

    /// Last of the blocks that make the seed of an event in block `at`: `seed_blocks` of them, from
    /// the next multiple of `seed_interval` on.
    ///
    /// Were they simply the next ones, a worker that is in league with a few block authors could
    /// wait for a block after which these make enough of the seed to bend it: authors know their
    /// slots ahead. `docs/economics.md` has the figures.
    pub fn seeded_at(&self, at: BlockNumber) -> BlockNumber {
        let interval = self.seed_interval.max(1);
        at.div_ceil(interval)
            .saturating_mul(interval)
            .saturating_add(self.seed_blocks)
    }

    /// Pay of one seat of a job with this fee.
    pub fn pay(&self, fee: Balance) -> Balance {
        self.seat_pay.mul_floor(fee)
    }

    /// What a job pays into the pot out of which seats are paid: the expected pay of a first round,
    /// and somewhat more for the rounds that may follow, as far as the cap allows.
    pub fn premium(&self, fee: Balance, chance: Perbill) -> Balance {
        let seats = self.pay(fee).saturating_mul(self.first_seats.into());
        chance
            .mul_floor(seats.saturating_mul(self.premium_percent.into()) / 100)
            .min(share_of(fee, self.premium_cap))
    }

    /// Bond of a dispute: the pay of a first round and a share of the worst-case fee, the most that the
    /// job could have cost under its claim.
    pub fn dispute_bond(&self, fee: Balance, worst_case_fee: Balance) -> Balance {
        self.bond(self.first_seats, fee, worst_case_fee)
    }

    /// Bond of an appeal: the pay of its round and a share of the worst-case fee.
    pub fn appeal_bond(&self, fee: Balance, worst_case_fee: Balance) -> Balance {
        self.bond(self.appeal_seats, fee, worst_case_fee)
    }

    fn bond(&self, seats: u32, fee: Balance, worst_case_fee: Balance) -> Balance {
        self.pay(fee)
            .saturating_mul(seats.into())
            .saturating_add(share_of(worst_case_fee, self.bond_share).max(self.bond_floor))
    }

    /// Fine of a seat that stood against the final verdict, or did not reveal what it committed.
    pub fn wrong_fine(&self, exposure: Balance) -> Balance {
        share_of(exposure, self.wrong_fine)
    }

    /// Fine of a seat that did nothing on a job with this fee.
    pub fn silent_fine(&self, fee: Balance, exposure: Balance) -> Balance {
        let most = self.pay(fee).saturating_mul(self.silent_fine_pays.into());
        share_of(exposure, self.silent_fine).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parameters;

    fn terms(seat_pay: u8) -> AuditTerms {
        Parameters::default().audit_terms(Percent::from_percent(seat_pay), 1)
    }

    #[test]
    fn at_the_default_exposure_about_one_job_in_15_is_audited() {
        let chance = terms(10).chance(1_000, 50_000, false);
        assert_eq!(chance.deconstruct() / 100_000, 653); // 6.53 %
    }

    #[test]
    fn a_large_exposure_leaves_the_least_chance_and_none_leaves_certainty() {
        assert_eq!(
            terms(10).chance(1, 1_000_000, false),
            Perbill::from_percent(1)
        );
        assert_eq!(terms(10).chance(1_000, 0, false), Perbill::one());
        assert_eq!(terms(10).chance(0, 0, false), Perbill::from_percent(1));
        let _no_panic = terms(10).chance(Balance::MAX, Balance::MAX, false);
    }

    #[test]
    fn probation_audits_everything_that_the_premium_can_pay() {
        assert_eq!(terms(10).chance(1_000, 50_000, true), Perbill::one());
        // Three seats at the whole fee: 30 % of the fee pays one audit in ten.
        assert_eq!(
            terms(100).chance(1_000, 50_000, true),
            Perbill::from_percent(10)
        );
    }

    #[test]
    fn the_premium_is_the_expected_pay_and_stays_within_its_cap() {
        for seat_pay in 10..=100 {
            for probation in [false, true] {
                let terms = terms(seat_pay);
                let chance = terms.chance(1_000_000, 50_000_000, probation);
                let premium = terms.premium(1_000_000, chance);
                assert!(premium <= 300_000, "{seat_pay} % a seat: {premium}");
                let with_margin = chance.mul_floor(3 * terms.pay(1_000_000) * 125 / 100);
                assert_eq!(premium, with_margin.min(300_000));
            }
        }
    }

    #[test]
    fn bonds_pay_the_seats_and_hurt() {
        let terms = terms(10);
        let floor = terms.bond_floor;
        assert_eq!(terms.dispute_bond(1_000, 10), 300 + floor);
        assert_eq!(terms.appeal_bond(1_000, 10), 3_100 + floor);
        assert_eq!(terms.dispute_bond(0, 100 * floor), 10 * floor);
    }

    #[test]
    fn silence_costs_no_more_than_a_few_pays() {
        let terms = terms(10);
        assert_eq!(terms.silent_fine(1_000, 10_000), 200);
        assert_eq!(terms.silent_fine(1_000, 1_000_000), 1_000);
        assert_eq!(terms.wrong_fine(10_000), 2_000);
    }

    #[test]
    fn seeds_begin_at_multiples_of_their_interval() {
        let terms = terms(10);
        assert_eq!((terms.seed_interval, terms.seed_blocks), (64, 8));
        let ends = [0, 1, 64, 65, 128].map(|at| terms.seeded_at(at));
        assert_eq!(ends, [8, 72, 72, 136, 136]);
        let at_once = AuditTerms {
            seed_interval: 1,
            ..terms
        };
        assert_eq!(at_once.seeded_at(65), 73);
        assert_eq!(at_once.seeded_at(BlockNumber::MAX), BlockNumber::MAX);
    }
}
