//! An audit as a game: what attackers reach when they play as well as they can.
//!
//! Seats are public once drawn, so attackers know what a round can decide before they commit. They
//! may vote for what they want, or hinder a verdict by revealing digests that fit nothing (with the
//! honest `valid`, so that nobody can fine them later). Whoever loses a verdict, and has the right
//! to, appeals; an appeal without a verdict leaves what was decided before it.

use crate::{
    committee::{round_odds, RoundOdds},
    pool::Pool,
    rules::Rules,
};

/// The odds of a job's rounds.
#[derive(Clone, Copy, Debug)]
pub struct Game {
    /// The first round.
    pub first: RoundOdds,
    /// The round after one without a verdict.
    pub redraw: RoundOdds,
    /// The appeal.
    pub appeal: RoundOdds,
    /// Whether an auditor gains by appealing against a wrong result that stands for want of a
    /// verdict.
    rewarded: bool,
}

/// How attackers fare by what the rounds come to.
pub struct Values {
    /// Attackers win an appeal against a verdict for the other side.
    pub overturn: f64,
    /// Attackers keep a verdict that the other side appeals against.
    pub keep: f64,
    /// No verdict was reached, and an honest auditor knows better.
    pub stands_heard: f64,
    /// No verdict was reached, and no honest auditor was heard.
    pub stands_alone: f64,
    /// A verdict for the attackers that no honest auditor has seen.
    pub unseen: f64,
}

impl Game {
    /// The game of `rules` over `pool`, honest accounts being silent with probability `silence`.
    pub fn new(rules: &Rules, pool: &Pool, silence: f64) -> Self {
        Self {
            first: round_odds(pool, rules.first_seats(), silence),
            redraw: round_odds(pool, rules.redraw_seats(), silence),
            appeal: round_odds(pool, rules.appeal_seats(), silence),
            rewarded: rules.rewards_appeals(),
        }
    }

    /// The chance that a wrong result escapes although it is audited. The rejected worker always
    /// appeals; an outvoted honest auditor appeals; the requester does only if it `watches`.
    pub fn escapes(&self, watches: bool) -> f64 {
        self.worth(&self.protecting(watches))
    }

    /// The chance that a right result is finally rejected once it is audited. The worker appeals;
    /// attackers do if `party`: if one of them is a requester, a disputer or an outvoted auditor.
    pub fn wrongly_rejected(&self, party: bool) -> f64 {
        self.worth(&self.smearing(party))
    }

    /// What the ends of a game are worth to attackers who protect a wrong result.
    pub fn protecting(&self, watches: bool) -> Values {
        let keep = 1.0 - self.appeal.honest_drawn_again();
        let if_seen = |seen: bool| if seen { keep } else { 1.0 };
        Values {
            overturn: self.appeal.hostile_drawn_again(),
            keep,
            stands_heard: if_seen(self.rewarded || watches),
            stands_alone: if_seen(watches),
            unseen: if_seen(watches),
        }
    }

    /// What the ends of a game are worth to attackers who want a right result rejected.
    pub fn smearing(&self, party: bool) -> Values {
        let overturn = if party {
            self.appeal.hostile_drawn_again()
        } else {
            0.0
        };
        let keep = 1.0 - self.appeal.honest_drawn_again();
        Values {
            overturn,
            keep,
            stands_heard: overturn,
            stands_alone: overturn,
            // The worker always knows better.
            unseen: keep,
        }
    }

    /// What the second round is worth to the attackers.
    pub fn redraw_worth(&self, values: &Values) -> f64 {
        let odds = &self.redraw;
        let settled = odds.honest * values.overturn
            + odds.hostile_heard * values.keep.max(values.stands_heard)
            + odds.hostile_alone * values.unseen.max(values.stands_alone)
            + odds.neither_heard * values.stands_heard
            + odds.neither_alone * values.stands_alone;
        drawn_once_more(settled, odds.nobody, values.stands_alone)
    }

    fn worth(&self, values: &Values) -> f64 {
        let odds = &self.first;
        let redraw = self.redraw_worth(values);
        let settled = odds.honest * values.overturn
            + odds.hostile_heard * values.keep.max(redraw)
            + odds.hostile_alone * values.unseen.max(redraw)
            + (odds.neither_heard + odds.neither_alone) * redraw;
        drawn_once_more(settled, odds.nobody, redraw)
    }
}

/// A round in which nobody acts is drawn once more; then `otherwise` follows.
fn drawn_once_more(settled: f64, nobody: f64, otherwise: f64) -> f64 {
    settled + nobody * (settled + nobody * otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(appeal_seats: u32) -> Rules {
        Rules::first_draft().with_appeal_seats(appeal_seats)
    }

    #[test]
    fn without_attackers_nothing_goes_wrong() {
        let game = Game::new(&rules(7), &Pool::mixed(60, 0.0), 0.0);
        assert!(game.wrongly_rejected(true) < 1e-12);
        assert!(game.escapes(true) < 1e-3);
    }

    #[test]
    fn attackers_who_can_appeal_win_as_often_as_they_hold_the_last_committee() {
        let game = Game::new(&rules(7), &Pool::mixed(200, 0.33), 0.0);
        let last = game.appeal.hostile();
        assert!((game.wrongly_rejected(true) - last).abs() < 0.02);
        assert!(game.wrongly_rejected(false) < last * 0.35);
    }

    #[test]
    fn more_seats_on_appeal_serve_the_honest_side() {
        let pool = Pool::mixed(60, 0.33);
        let (small, large) = (
            Game::new(&rules(7), &pool, 0.01),
            Game::new(&rules(31), &pool, 0.01),
        );
        assert!(large.escapes(false) < small.escapes(false));
        assert!(large.wrongly_rejected(true) < small.wrongly_rejected(true) / 3.0);
    }

    #[test]
    fn a_reward_for_appeals_closes_the_way_out_without_a_verdict() {
        let pool = Pool::mixed(60, 0.33);
        let plain = Game::new(&rules(31), &pool, 0.01);
        let rewarded = Game::new(&rules(31).with_reward(), &pool, 0.01);
        assert!(rewarded.escapes(false) < plain.escapes(false) - 0.01);
    }
}
