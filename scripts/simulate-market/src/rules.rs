//! The market's rules as the simulation uses them.
//!
//! Sums, chances, draws and verdicts are those of `genesisflow_primitives`: what the chain computes.
//! This file only turns fees given as fractions of a job's worst-case fee into base units and back,
//! and lets a table vary one rule at a time.

use genesisflow_primitives::{audit::AuditTerms, Balance, Parameters, GEN};
use sp_arithmetic::{Perbill, Percent, Permill};

/// The worst-case fee of a simulated job, in base units. Large enough that rounding to whole base
/// units does not show.
const WORST_CASE: Balance = 1_000 * GEN;

/// One set of rules. Amounts are given and returned as multiples of the job's worst-case fee.
#[derive(Clone, Debug)]
pub struct Rules {
    parameters: Parameters,
    /// Whether the chance of an audit follows the worst-case fee, or the fee that the worker states.
    chance_of_worst_case: bool,
    /// Whether an auditor that gets a standing result rejected on appeal is rewarded for it.
    appeal_rewarded: bool,
}

impl Rules {
    /// The rules of a real network: the defaults of `Parameters`, and what the pallet does.
    pub fn of_the_chain() -> Self {
        Self {
            parameters: Parameters::default(),
            chance_of_worst_case: true,
            appeal_rewarded: true,
        }
    }

    /// The rules as they were first written down, before this simulation.
    pub fn first_draft() -> Self {
        Self {
            parameters: Parameters {
                exposure_factor: 50,
                first_seats: 3,
                second_seats: 7,
                appeal_seats: 7,
                probation_jobs: 20,
                least_audit_chance: Permill::from_percent(1),
                audit_chance_factor_milli: 2_222,
                premium_percent: 100,
                premium_cap: Permill::from_percent(30),
                bond_share: Permill::from_percent(10),
                wrong_fine: Permill::from_percent(20),
                silent_fine: Permill::from_percent(2),
                silent_fine_pays: u32::MAX,
                ..Parameters::default()
            },
            chance_of_worst_case: false,
            appeal_rewarded: false,
        }
    }

    /// The same rules with another number of seats on appeal.
    pub fn with_appeal_seats(mut self, seats: u32) -> Self {
        self.parameters.appeal_seats = seats;
        self
    }

    /// The same rules with the chance of an audit following the worst-case fee.
    #[cfg(test)]
    pub fn with_chance_of_worst_case(mut self) -> Self {
        self.chance_of_worst_case = true;
        self
    }

    /// The same rules with a reward for whoever gets a standing result rejected.
    #[cfg(test)]
    pub fn with_reward(mut self) -> Self {
        self.appeal_rewarded = true;
        self
    }

    /// Whether whoever gets a standing result rejected on appeal is rewarded.
    pub fn rewards_appeals(&self) -> bool {
        self.appeal_rewarded
    }

    /// The same rules with another premium, in percent of the expected pay of a first round.
    pub fn with_premium(mut self, percent: u32) -> Self {
        self.parameters.premium_percent = percent;
        self
    }

    /// The same rules with another factor of the audit's chance, in thousandths.
    pub fn with_chance_factor(mut self, milli: u32) -> Self {
        self.parameters.audit_chance_factor_milli = milli;
        self
    }

    fn terms(&self, seat_pay: u8) -> AuditTerms {
        self.parameters
            .audit_terms(Percent::from_percent(seat_pay), 1)
    }

    /// Stake that a rejection takes: the exposure of a claim.
    pub fn exposure(&self) -> f64 {
        f64::from(self.parameters.exposure_factor)
    }

    /// Seats of the first round.
    pub fn first_seats(&self) -> u32 {
        self.parameters.first_seats
    }

    /// Seats of the round after one without a verdict.
    pub fn redraw_seats(&self) -> u32 {
        self.parameters.second_seats
    }

    /// Seats of the appeal.
    pub fn appeal_seats(&self) -> u32 {
        self.parameters.appeal_seats
    }

    /// Results that a new worker has audited before chance decides.
    pub fn probation_jobs(&self) -> u32 {
        self.parameters.probation_jobs
    }

    /// The chance of an audit of a job with the metered fee `fee`, seats paid `seat_pay` percent.
    pub fn chance(&self, fee: f64, seat_pay: u8, on_probation: bool) -> Perbill {
        let exposure = WORST_CASE * Balance::from(self.parameters.exposure_factor);
        let counted = if self.chance_of_worst_case { 1.0 } else { fee };
        self.terms(seat_pay)
            .chance(base_units(counted), exposure, on_probation)
    }

    /// [`Rules::chance`] as a number.
    pub fn probability(&self, fee: f64, seat_pay: u8, on_probation: bool) -> f64 {
        f64::from(self.chance(fee, seat_pay, on_probation).deconstruct()) / 1e9
    }

    /// What a job pays into the pot.
    pub fn premium(&self, fee: f64, seat_pay: u8, on_probation: bool) -> f64 {
        let chance = self.chance(fee, seat_pay, on_probation);
        fees(self.terms(seat_pay).premium(base_units(fee), chance))
    }

    /// Pay of one seat.
    pub fn pay(&self, fee: f64, seat_pay: u8) -> f64 {
        fees(self.terms(seat_pay).pay(base_units(fee)))
    }

    /// Bond of a dispute, for an escrow of one worst-case fee.
    pub fn dispute_bond(&self, fee: f64, seat_pay: u8) -> f64 {
        fees(
            self.terms(seat_pay)
                .dispute_bond(base_units(fee), WORST_CASE),
        )
    }

    /// Bond of an appeal, for an escrow of one worst-case fee.
    pub fn appeal_bond(&self, fee: f64, seat_pay: u8) -> f64 {
        fees(
            self.terms(seat_pay)
                .appeal_bond(base_units(fee), WORST_CASE),
        )
    }

    /// Fine of a wrong seat.
    pub fn wrong_fine(&self) -> f64 {
        fees(self.terms(10).wrong_fine(self.exposure_units()))
    }

    /// Fine of a seat whose ballot was committed and not revealed.
    pub fn hidden_fine(&self) -> f64 {
        self.wrong_fine()
    }

    /// Fine of a silent seat.
    pub fn silent_fine(&self, fee: f64, seat_pay: u8) -> f64 {
        let exposure = self.exposure_units();
        fees(self.terms(seat_pay).silent_fine(base_units(fee), exposure))
    }

    fn exposure_units(&self) -> Balance {
        WORST_CASE * Balance::from(self.parameters.exposure_factor)
    }
}

fn base_units(fees: f64) -> Balance {
    (fees * WORST_CASE as f64) as Balance
}

fn fees(base_units: Balance) -> f64 {
    base_units as f64 / WORST_CASE as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-5
    }

    #[test]
    fn the_first_draft_is_the_one_that_was_written_down() {
        let rules = Rules::first_draft();
        // 2R / (0.9 (E + R)) with E = 50 R.
        assert!((rules.probability(1.0, 10, false) - 2.0 / (0.9 * 51.0)).abs() < 2e-5);
        assert!(close(rules.probability(0.1, 10, false), 0.01));
        assert!(close(rules.probability(1.0, 10, true), 1.0));
        assert!(close(rules.probability(1.0, 100, true), 0.1));
        assert!(close(rules.wrong_fine(), 10.0));
        assert!(close(rules.silent_fine(0.1, 10), 1.0));
        assert!(close(rules.pay(0.5, 10), 0.05));
        assert!(close(rules.dispute_bond(1.0, 10), 0.4));
        assert!(close(rules.appeal_bond(1.0, 10), 0.8));
    }

    #[test]
    fn a_chance_of_the_worst_case_does_not_follow_what_the_worker_states() {
        let rules = Rules::first_draft().with_chance_of_worst_case();
        assert!(close(
            rules.probability(0.1, 10, false),
            rules.probability(1.0, 10, false)
        ));
    }
}
