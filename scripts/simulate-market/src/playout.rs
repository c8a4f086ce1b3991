//! Audits played out with the chain's own draw and verdict, to hold the formulas against.

use crate::{
    game::{Game, Values},
    pool::Pool,
    random::Random,
    rules::Rules,
};
use genesisflow_primitives::{
    audit::{ballot::verdict, ballot::Vote, combined_seed, draw_seats, Ballot},
    Balance, JobId, H256,
};

const RIGHT: Ballot = Ballot {
    digest: H256([1; 32]),
    valid: true,
};
const WRONG: Ballot = Ballot {
    digest: H256([2; 32]),
    valid: false,
};

/// What a round came to, as far as the attackers can influence it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Honest,
    /// Attackers can decide; whether an honest auditor was heard.
    Hostile(bool),
    /// Nobody can decide; whether an honest auditor was heard.
    Neither(bool),
    Nobody,
}

/// Plays audits over one pool.
pub struct Playout<'a> {
    pool: &'a Pool,
    stakes: Vec<Balance>,
    rules: &'a Rules,
    game: &'a Game,
    silence: f64,
    job: JobId,
}

impl<'a> Playout<'a> {
    /// Audits of `rules` over `pool`; attackers know the `game`'s odds and play by them.
    pub fn new(pool: &'a Pool, rules: &'a Rules, game: &'a Game, silence: f64) -> Self {
        Self {
            pool,
            stakes: pool.stakes(),
            rules,
            game,
            silence,
            job: 0,
        }
    }

    /// Whether attackers reach what they want, for whom the ends of the game are worth `values`.
    pub fn attackers_win(&mut self, values: &Values, random: &mut Random) -> bool {
        self.job += 1;
        let redraw = self.game.redraw_worth(values);
        let first = self.round_with_outage(0, self.rules.first_seats(), random);
        let worth = match first {
            Outcome::Honest => return self.appeal_overturns(values, random),
            Outcome::Hostile(heard) => {
                if heard {
                    values.keep
                } else {
                    values.unseen
                }
            }
            Outcome::Neither(_) | Outcome::Nobody => 0.0,
        };
        if let (Outcome::Hostile(heard), true) = (first, worth >= redraw) {
            return self.kept(heard, values, random);
        }
        match self.round_with_outage(1, self.rules.redraw_seats(), random) {
            Outcome::Honest => self.appeal_overturns(values, random),
            Outcome::Hostile(heard) => {
                let (keep, stands) = if heard {
                    (values.keep, values.stands_heard)
                } else {
                    (values.unseen, values.stands_alone)
                };
                if keep >= stands {
                    self.kept(heard, values, random)
                } else {
                    self.stood(heard, values, random)
                }
            }
            Outcome::Neither(heard) => self.stood(heard, values, random),
            Outcome::Nobody => self.stood(false, values, random),
        }
    }

    /// A verdict for the attackers: do they keep it?
    fn kept(&mut self, heard: bool, values: &Values, random: &mut Random) -> bool {
        let appealed = heard || values.unseen < 1.0;
        !appealed || self.appeal(random) != Outcome::Honest
    }

    /// No verdict: do the attackers get what they want?
    fn stood(&mut self, heard: bool, values: &Values, random: &mut Random) -> bool {
        let worth = if heard {
            values.stands_heard
        } else {
            values.stands_alone
        };
        if worth >= 1.0 {
            // They want the result to stand, and nobody appeals.
            return true;
        }
        if worth == values.keep {
            return self.appeal(random) != Outcome::Honest;
        }
        self.appeal_overturns(values, random)
    }

    /// A verdict against the attackers: do they turn it over?
    fn appeal_overturns(&mut self, values: &Values, random: &mut Random) -> bool {
        values.overturn > 0.0 && matches!(self.appeal(random), Outcome::Hostile(_))
    }

    fn appeal(&mut self, random: &mut Random) -> Outcome {
        self.round_with_outage(2, self.rules.appeal_seats(), random)
    }

    fn round_with_outage(&self, round: u8, seats: u32, random: &mut Random) -> Outcome {
        match self.round(round, seats, random) {
            Outcome::Nobody => self.round(round + 3, seats, random),
            outcome => outcome,
        }
    }

    fn round(&self, round: u8, seats: u32, random: &mut Random) -> Outcome {
        let seed = combined_seed(&[random.output()]);
        let mut held = vec![0u32; self.pool.accounts.len()];
        for account in draw_seats(&seed, self.job, round, seats, &self.stakes) {
            held[account] += 1;
        }
        let mut heard = false;
        let mut acted = false;
        let votes: Vec<Vote> = held
            .iter()
            .enumerate()
            .filter(|(_, seats)| **seats > 0)
            .map(|(index, seats)| {
                let hostile = self.pool.accounts[index].hostile;
                let ballot = if hostile {
                    Some(WRONG)
                } else if random.chance(self.silence) {
                    None
                } else {
                    heard = true;
                    Some(RIGHT)
                };
                acted |= ballot.is_some();
                Vote {
                    seats: *seats,
                    ballot,
                    holds_majority: self.pool.holds_majority(index),
                }
            })
            .collect();
        let eligible = self.pool.accounts.len() as u32;
        match verdict(&votes, seats, eligible, round % 3 == 2) {
            Some(ballot) if ballot == RIGHT => Outcome::Honest,
            Some(_) => Outcome::Hostile(heard),
            None if !acted => Outcome::Nobody,
            None => Outcome::Neither(heard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fits;

    /// Plays `jobs` audits and compares them with the formula.
    fn agree(rules: &Rules, pool: &Pool, silence: f64, jobs: u64) {
        let game = Game::new(rules, pool, silence);
        let mut playout = Playout::new(pool, rules, &game, silence);
        let mut random = Random::new(3, 0);
        for (values, expected) in [
            (game.protecting(false), game.escapes(false)),
            (game.protecting(true), game.escapes(true)),
            (game.smearing(false), game.wrongly_rejected(false)),
            (game.smearing(true), game.wrongly_rejected(true)),
        ] {
            let wins = (0..jobs)
                .filter(|_| playout.attackers_win(&values, &mut random))
                .count();
            let share = wins as f64 / jobs as f64;
            assert!(fits(share, expected, jobs), "{share} instead of {expected}");
        }
    }

    #[test]
    fn played_audits_agree_with_the_formulas() {
        let rules = Rules::first_draft();
        agree(&rules, &Pool::mixed(60, 0.33), 0.01, 4_000);
        // Many silent auditors and few accounts: redraws and outages happen.
        agree(&rules, &Pool::mixed(3, 0.2), 0.4, 4_000);
        let rewarded = Rules::first_draft().with_appeal_seats(15).with_reward();
        agree(&rewarded, &Pool::mixed(20, 0.45), 0.1, 4_000);
    }
}
