//! The market's parameters: one set, changed as a whole by the chain's governance. What a job needs
//! of them is copied into its terms when it is submitted, so a change touches later jobs only.

use crate::{
    audit::{AuditTerms, MaxRounds, MaxSeats},
    manifest::{COMMIT_WINDOW_BASE, COMMIT_WINDOW_REPLAYS, MAX_COMMIT_WINDOW},
    Balance, BlockNumber, GEN,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::{Percent, Permill};
use sp_core::Get;

/// Longest window that can be set: a year.
pub const MAX_WINDOW: BlockNumber = 365 * 24 * 1_800;

/// Most blocks that make a seed.
pub const MAX_SEED_BLOCKS: BlockNumber = 64;

/// The market's parameters. Windows are in blocks, amounts in base units.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Parameters {
    /// Blocks in which only the worker that a job names may claim it.
    pub exclusive_window: BlockNumber,
    /// Blocks for which a job stays open if it does not say.
    pub open_window: BlockNumber,
    /// Longest that a job may stay open.
    pub max_open_window: BlockNumber,
    /// Blocks from a claim to its delivery if the job does not say.
    pub deliver_window: BlockNumber,
    /// Longest that a job may leave for its delivery.
    pub max_deliver_window: BlockNumber,
    /// Blocks for which a requester can look at a result before it is paid.
    pub review_window: BlockNumber,
    /// Blocks for which a final job's record and output are kept.
    pub retention: BlockNumber,
    /// Blocks from unbonding stake to withdrawing it.
    pub unbonding_period: BlockNumber,
    /// The protocol's share of every fee.
    pub protocol_share: Permill,
    /// The part of the worst-case fee that a late worker pays the requester.
    pub late_share: Permill,
    /// Stake that a claim reserves, in worst-case fees.
    pub exposure_factor: u32,
    /// Least stake of a worker.
    pub min_stake: Balance,
    /// Deposit for a model, besides its bytes.
    pub model_deposit: Balance,
    /// Deposit for each byte of a manifest.
    pub model_deposit_per_byte: Balance,
    /// Deposit for an offer.
    pub offer_deposit: Balance,
    /// Deposit for a job's record.
    pub job_deposit: Balance,
    /// Deposit for each byte of a job's input, largest output and largest evidence.
    pub job_deposit_per_byte: Balance,
    /// Prepaid for including a delivery.
    pub delivery_fee: Balance,
    /// Prepaid for each byte of the largest output and evidence.
    pub delivery_fee_per_byte: Balance,
    /// Blocks for which an audit pool stands; stake and offers count for a pool if they were there
    /// for the whole period before.
    pub pool_period: BlockNumber,
    /// The blocks that make a seed begin after a multiple of this number.
    pub seed_interval: BlockNumber,
    /// Blocks whose outputs make the seed of a draw.
    pub seed_blocks: BlockNumber,
    /// Blocks in which an auditor commits, besides four times the replay of the job.
    pub commit_window: BlockNumber,
    /// Blocks in which auditors reveal.
    pub reveal_window: BlockNumber,
    /// Blocks for which a verdict can be appealed against.
    pub appeal_window: BlockNumber,
    /// Blocks from a final verdict to its slashes.
    pub slash_delay: BlockNumber,
    /// Blocks after a rejection in which another claim puts the whole stake at risk.
    pub repeat_window: BlockNumber,
    /// Seats of the first round of an audit.
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
    pub least_audit_chance: Permill,
    /// The chance of an audit, in thousandths of worst-case fee / (exposure + worst-case fee).
    pub audit_chance_factor_milli: u32,
    /// What a job pays for audits, in percent of the expected pay of a first round.
    pub premium_percent: u32,
    /// The most that a job pays for audits, as a share of its fee.
    pub premium_cap: Permill,
    /// The part of a job's largest fee that a bond holds besides the pay of the seats.
    pub bond_share: Permill,
    /// The least of that part.
    pub bond_floor: Balance,
    /// Fine of a wrong seat, as a share of the audited job's exposure.
    pub wrong_fine: Permill,
    /// Fine of a silent seat, as a share of the audited job's exposure.
    pub silent_fine: Permill,
    /// The most that the fine of a silent seat can be, in pays of a seat.
    pub silent_fine_pays: u32,
}

impl Default for Parameters {
    /// The parameters of a real network.
    fn default() -> Self {
        Self {
            exclusive_window: 10,
            open_window: 1_800,
            max_open_window: 43_200,
            deliver_window: 150,
            max_deliver_window: 1_800,
            review_window: 150,
            retention: 1_800,
            unbonding_period: 14 * 43_200,
            protocol_share: Permill::from_percent(1),
            late_share: Permill::from_percent(50),
            exposure_factor: 50,
            min_stake: 100 * GEN,
            model_deposit: 10 * GEN,
            model_deposit_per_byte: GEN / 1_000,
            offer_deposit: GEN / 10,
            job_deposit: GEN / 100,
            job_deposit_per_byte: GEN / 1_000_000,
            delivery_fee: GEN / 10_000,
            delivery_fee_per_byte: GEN / 100_000_000,
            pool_period: 1_800,
            seed_interval: 64,
            seed_blocks: 8,
            commit_window: COMMIT_WINDOW_BASE,
            reveal_window: 300,
            appeal_window: 150,
            slash_delay: 43_200,
            repeat_window: 30 * 43_200,
            first_seats: 3,
            second_seats: 7,
            appeal_seats: 31,
            fined_audits: 4,
            probation_jobs: 20,
            least_audit_chance: Permill::from_percent(1),
            audit_chance_factor_milli: 3_333,
            premium_percent: 125,
            premium_cap: Permill::from_percent(30),
            bond_share: Permill::from_percent(10),
            bond_floor: GEN / 10,
            wrong_fine: Permill::from_percent(20),
            silent_fine: Permill::from_percent(2),
            silent_fine_pays: 10,
        }
    }
}

/// Why a set of parameters is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParametersError {
    /// A window is 0 or longer than a year.
    Window,
    /// A default window is longer than its maximum.
    DefaultAboveMaximum,
    /// Stake could be withdrawn before the jobs it backs are over.
    UnbondingTooShort,
    /// The protocol would take a whole fee.
    ProtocolShare,
    /// A late worker would pay more than the job could have cost.
    LateShare,
    /// The exposure would not cover what a late worker pays.
    ExposureFactor,
    /// Workers need no stake.
    MinStake,
    /// A seed would be made of no block, or of too many.
    SeedBlocks,
    /// A round has no seats or too many, an even number of them, or fewer than the one before.
    Seats,
    /// The least or the average chance of an audit is 0.
    AuditChance,
    /// A job would pay for audits what its worker and the protocol need, or less than they cost.
    PremiumCap,
    /// A bond costs nothing.
    Bond,
    /// Silence would cost nothing or as much as a wrong ballot, or a wrong ballot as much as a
    /// wrong result.
    Fines,
}

impl core::fmt::Display for ParametersError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Window => "every window must be 1 to 15,768,000 blocks",
            Self::DefaultAboveMaximum => "a default window must not exceed its maximum",
            Self::UnbondingTooShort => {
                "unbonding_period must exceed the longest way from a submission to a slash: see Parameters::longest_job"
            }
            Self::ProtocolShare => "protocol_share must be below 100 % (1,000,000 parts)",
            Self::LateShare => "late_share must be at most 100 % (1,000,000 parts)",
            Self::ExposureFactor => "exposure_factor must be at least 1",
            Self::MinStake => "min_stake must be above 0",
            Self::SeedBlocks => "seed_blocks must be 1 to 64",
            Self::Seats => {
                "first_seats <= second_seats <= appeal_seats must hold, all odd, at least 3 and at most 31"
            }
            Self::AuditChance => {
                "least_audit_chance must be above 0 and at most 100 %, audit_chance_factor_milli above 1,000"
            }
            Self::PremiumCap => {
                "premium_cap must be above 0, and together with protocol_share at most 90 %; premium_percent 100 to 1,000"
            }
            Self::Bond => "bond_share must be above 0 and at most 100 %, bond_floor above 0",
            Self::Fines => "0 < silent_fine < wrong_fine < 100 % and silent_fine_pays > 0 must hold",
        })
    }
}

impl core::error::Error for ParametersError {}

impl Parameters {
    /// The audit rules of a job with this seat pay whose replay takes `replay_blocks`.
    pub fn audit_terms(&self, seat_pay: Percent, replay_blocks: BlockNumber) -> AuditTerms {
        AuditTerms {
            seed_interval: self.seed_interval,
            seed_blocks: self.seed_blocks,
            commit_window: self
                .commit_window
                .saturating_add(replay_blocks.saturating_mul(COMMIT_WINDOW_REPLAYS))
                .min(MAX_COMMIT_WINDOW.max(self.commit_window)),
            reveal_window: self.reveal_window,
            appeal_window: self.appeal_window,
            slash_delay: self.slash_delay,
            repeat_window: self.repeat_window,
            first_seats: self.first_seats,
            second_seats: self.second_seats,
            appeal_seats: self.appeal_seats,
            fined_audits: self.fined_audits,
            probation_jobs: self.probation_jobs,
            least_chance: self.least_audit_chance,
            chance_factor_milli: self.audit_chance_factor_milli,
            premium_percent: self.premium_percent,
            premium_cap: self.premium_cap,
            seat_pay,
            bond_share: self.bond_share,
            bond_floor: self.bond_floor,
            wrong_fine: self.wrong_fine,
            silent_fine: self.silent_fine,
            silent_fine_pays: self.silent_fine_pays,
        }
    }

    /// Longest way of a job, from the period of its submission, whose beginning fixes what stake can
    /// be drawn, to its slashes: open and late and open again, delivery, draw, review, dispute, every
    /// round of an audit with its redraws, appeal time, and the delay of the slash. Stake must not get
    /// out before.
    pub fn longest_job(&self) -> BlockNumber {
        let seed = self.seed_interval.saturating_add(self.seed_blocks);
        let round = seed
            .saturating_add(MAX_COMMIT_WINDOW.max(self.commit_window))
            .saturating_add(self.reveal_window);
        let claim = self.max_open_window.saturating_add(self.max_deliver_window);
        claim
            .saturating_mul(2)
            .saturating_add(self.pool_period)
            .saturating_add(seed)
            .saturating_add(self.review_window)
            .saturating_add(round.saturating_mul(MaxRounds::get()))
            .saturating_add(self.appeal_window)
            .saturating_add(self.slash_delay)
    }

    /// Checks the relations without which the market's promises would not hold.
    pub fn check(&self) -> Result<(), ParametersError> {
        let windows = [
            self.exclusive_window,
            self.open_window,
            self.max_open_window,
            self.deliver_window,
            self.max_deliver_window,
            self.review_window,
            self.retention,
            self.unbonding_period,
            self.pool_period,
            self.seed_interval,
            self.commit_window,
            self.reveal_window,
            self.appeal_window,
            self.slash_delay,
            self.repeat_window,
        ];
        if windows
            .iter()
            .any(|window| !(1..=MAX_WINDOW).contains(window))
        {
            return Err(ParametersError::Window);
        }
        if self.open_window > self.max_open_window || self.deliver_window > self.max_deliver_window
        {
            return Err(ParametersError::DefaultAboveMaximum);
        }
        if self.unbonding_period <= self.longest_job() {
            return Err(ParametersError::UnbondingTooShort);
        }
        // SCALE refuses shares above one, but a chain specification's JSON does not.
        if self.protocol_share >= Permill::one() {
            return Err(ParametersError::ProtocolShare);
        }
        if self.late_share > Permill::one() {
            return Err(ParametersError::LateShare);
        }
        if self.exposure_factor == 0 {
            return Err(ParametersError::ExposureFactor);
        }
        if self.min_stake == 0 {
            return Err(ParametersError::MinStake);
        }
        self.check_audits()
    }

    fn check_audits(&self) -> Result<(), ParametersError> {
        if !(1..=MAX_SEED_BLOCKS).contains(&self.seed_blocks) {
            return Err(ParametersError::SeedBlocks);
        }
        let is_quorum = |seats: u32| (3..=MaxSeats::get()).contains(&seats) && seats % 2 == 1;
        if !is_quorum(self.first_seats)
            || !is_quorum(self.second_seats)
            || !is_quorum(self.appeal_seats)
            || self.first_seats > self.second_seats
            || self.second_seats > self.appeal_seats
        {
            return Err(ParametersError::Seats);
        }
        let is_share = |share: Permill| !share.is_zero() && share <= Permill::one();
        if !is_share(self.least_audit_chance) || self.audit_chance_factor_milli <= 1_000 {
            return Err(ParametersError::AuditChance);
        }
        let taken = u64::from(self.premium_cap.deconstruct())
            + u64::from(self.protocol_share.deconstruct());
        // The expected pay must come in, or auditors work for nothing.
        let percents = 100..=1_000;
        if self.premium_cap.is_zero()
            || taken > 900_000
            || !percents.contains(&self.premium_percent)
        {
            return Err(ParametersError::PremiumCap);
        }
        if !is_share(self.bond_share) || self.bond_floor == 0 {
            return Err(ParametersError::Bond);
        }
        // A wrong seat must hurt more than a silent one, and less than the worker it judges.
        if self.silent_fine.is_zero()
            || self.silent_fine >= self.wrong_fine
            || self.wrong_fine >= Permill::one()
            || self.silent_fine_pays == 0
        {
            return Err(ParametersError::Fines);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Parameters)) -> ParametersError {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        parameters.check().unwrap_err()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Parameters::default().check(), Ok(()));
    }

    #[test]
    fn windows_are_neither_nothing_nor_for_ever() {
        assert_eq!(refused(|p| p.exclusive_window = 0), ParametersError::Window);
        assert_eq!(refused(|p| p.open_window = 0), ParametersError::Window);
        assert_eq!(refused(|p| p.deliver_window = 0), ParametersError::Window);
        assert_eq!(refused(|p| p.review_window = 0), ParametersError::Window);
        assert_eq!(
            refused(|p| p.retention = MAX_WINDOW + 1),
            ParametersError::Window
        );
        assert_eq!(
            refused(|p| p.open_window = 43_201),
            ParametersError::DefaultAboveMaximum
        );
        assert_eq!(
            refused(|p| p.deliver_window = 1_801),
            ParametersError::DefaultAboveMaximum
        );
    }

    #[test]
    fn stake_outlasts_the_jobs_it_backs() {
        assert_eq!(
            refused(|p| p.unbonding_period = p.longest_job()),
            ParametersError::UnbondingTooShort
        );
        let longer = Parameters {
            unbonding_period: Parameters::default().longest_job() + 1,
            ..Parameters::default()
        };
        assert_eq!(longer.check(), Ok(()));
    }

    #[test]
    fn shares_and_stakes_make_sense() {
        assert_eq!(
            refused(|p| p.protocol_share = Permill::one()),
            ParametersError::ProtocolShare
        );
        assert_eq!(
            refused(|p| p.exposure_factor = 0),
            ParametersError::ExposureFactor
        );
        assert_eq!(refused(|p| p.min_stake = 0), ParametersError::MinStake);
    }

    #[test]
    fn the_longest_job_counts_every_window() {
        // The pool's period, open and delivery twice, draw, review, six rounds, appeal time, delay.
        assert_eq!(
            Parameters::default().longest_job(),
            1_800 + 2 * (43_200 + 1_800) + 72 + 150 + 6 * (72 + 1_800 + 300) + 150 + 43_200
        );
    }

    #[test]
    fn audits_can_reach_a_verdict_and_hurt() {
        assert_eq!(refused(|p| p.seed_blocks = 0), ParametersError::SeedBlocks);
        assert_eq!(refused(|p| p.seed_blocks = 65), ParametersError::SeedBlocks);
        for seats in [0, 1, 2, 4, 33] {
            assert_eq!(refused(|p| p.first_seats = seats), ParametersError::Seats);
            assert_eq!(refused(|p| p.second_seats = seats), ParametersError::Seats);
            assert_eq!(refused(|p| p.appeal_seats = seats), ParametersError::Seats);
        }
        assert_eq!(refused(|p| p.first_seats = 9), ParametersError::Seats);
        assert_eq!(refused(|p| p.appeal_seats = 5), ParametersError::Seats);
        assert_eq!(
            refused(|p| p.premium_percent = 99),
            ParametersError::PremiumCap
        );
        assert_eq!(refused(|p| p.silent_fine_pays = 0), ParametersError::Fines);
        assert_eq!(
            refused(|p| p.least_audit_chance = Permill::zero()),
            ParametersError::AuditChance
        );
        assert_eq!(
            refused(|p| p.audit_chance_factor_milli = 1_000),
            ParametersError::AuditChance
        );
        assert_eq!(
            refused(|p| p.premium_cap = Permill::zero()),
            ParametersError::PremiumCap
        );
        assert_eq!(
            refused(|p| p.premium_cap = Permill::from_percent(90)),
            ParametersError::PremiumCap
        );
        assert_eq!(refused(|p| p.bond_floor = 0), ParametersError::Bond);
        assert_eq!(
            refused(|p| p.bond_share = Permill::zero()),
            ParametersError::Bond
        );
        assert_eq!(
            refused(|p| p.silent_fine = p.wrong_fine),
            ParametersError::Fines
        );
        assert_eq!(
            refused(|p| p.silent_fine = Permill::zero()),
            ParametersError::Fines
        );
        assert_eq!(
            refused(|p| p.wrong_fine = Permill::one()),
            ParametersError::Fines
        );
    }

    #[test]
    fn a_long_replay_gets_a_long_commit_window_up_to_the_limit() {
        let window = |replay| {
            Parameters::default()
                .audit_terms(Percent::from_percent(10), replay)
                .commit_window
        };
        assert_eq!(window(0), 150);
        assert_eq!(window(10), 190);
        assert_eq!(window(u32::MAX), MAX_COMMIT_WINDOW);
    }
}
