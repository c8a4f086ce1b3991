//! Exact probabilities of what a drawn committee can decide.
//!
//! Seats are multinomial over the accounts of a pool. The sum over all seatings is built account by
//! account: each contributes `share^k / k!` for its k seats, and the whole is multiplied by n!. That
//! is exact for any stakes, and keeps what a verdict asks for: more than half of the seats, and two
//! accounts behind them (or one that holds most of the stake). An honest account is silent, with all
//! its seats, with a given probability.

use crate::pool::{Account, Pool};

/// What a round can decide, as probabilities that sum to one. "Heard": an honest auditor has
/// revealed, so that somebody knows better and may appeal.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundOdds {
    /// Honest auditors decide, whatever the hostile ones do.
    pub honest: f64,
    /// Hostile auditors can decide, and an honest one was heard.
    pub hostile_heard: f64,
    /// Hostile auditors can decide, and no honest one was heard.
    pub hostile_alone: f64,
    /// Neither side can decide, and an honest auditor was heard.
    pub neither_heard: f64,
    /// Neither side can decide, and only hostile auditors may speak.
    pub neither_alone: f64,
    /// Nobody acts.
    pub nobody: f64,
    /// Honest seats that revealed, on average over all rounds, counted where hostile ones can
    /// decide.
    pub outvoted_seats: f64,
    /// Honest accounts with a seat, on average.
    pub honest_accounts: f64,
    /// Honest seats, on average.
    pub honest_seats: f64,
}

impl RoundOdds {
    /// Hostile auditors can decide.
    pub fn hostile(&self) -> f64 {
        self.hostile_heard + self.hostile_alone
    }

    /// Hostile auditors can decide, if a round in which nobody acts is drawn once more.
    pub fn hostile_drawn_again(&self) -> f64 {
        self.hostile() * (1.0 + self.nobody)
    }

    /// Honest auditors decide, if a round in which nobody acts is drawn once more.
    pub fn honest_drawn_again(&self) -> f64 {
        self.honest * (1.0 + self.nobody)
    }
}

/// Sums over one side's seatings: seats that act, accounts behind them (two stand for more), and
/// seats that are silent.
struct Side {
    seats: usize,
    cells: Vec<f64>,
}

impl Side {
    fn new(seats: usize) -> Self {
        let mut cells = vec![0.0; (seats + 1) * (seats + 1) * 3];
        cells[0] = 1.0;
        Self { seats, cells }
    }

    fn index(&self, acting: usize, accounts: usize, silent: usize) -> usize {
        (acting * (self.seats + 1) + silent) * 3 + accounts
    }

    fn get(&self, acting: usize, accounts: usize, silent: usize) -> f64 {
        self.cells[self.index(acting, accounts, silent)]
    }

    /// Adds an account that holds `share` of the stake, counts as `weight` accounts and is silent
    /// with probability `silence`.
    fn add(&mut self, share: f64, weight: usize, silence: f64) {
        let seats = self.seats;
        let mut next = self.cells.clone();
        for acting in 0..=seats {
            for silent in 0..=seats - acting {
                for accounts in 0..3 {
                    let here = self.get(acting, accounts, silent);
                    if here == 0.0 {
                        continue;
                    }
                    let mut term = here;
                    for k in 1..=seats - acting - silent {
                        term *= share / k as f64;
                        let more = (accounts + weight).min(2);
                        next[self.index(acting + k, more, silent)] += term * (1.0 - silence);
                        next[self.index(acting, accounts, silent + k)] += term * silence;
                    }
                }
            }
        }
        self.cells = next;
    }
}

/// Exact odds of a round of `seats` drawn from `pool`, honest accounts being silent with
/// probability `silence`.
pub fn round_odds(pool: &Pool, seats: u32, silence: f64) -> RoundOdds {
    let n = seats as usize;
    let total = pool.total() as f64;
    let mut hostile = Side::new(n);
    let mut honest = Side::new(n);
    let mut odds = RoundOdds::default();
    for (
        index,
        Account {
            stake,
            hostile: bad,
        },
    ) in pool.accounts.iter().enumerate()
    {
        let share = *stake as f64 / total;
        let stands_alone = pool.holds_majority(index) && pool.accounts.len() >= 3;
        let weight = if stands_alone { 2 } else { 1 };
        if *bad {
            hostile.add(share, weight, 0.0);
        } else {
            honest.add(share, weight, silence);
            odds.honest_seats += share * n as f64;
            odds.honest_accounts += 1.0 - (1.0 - share).powi(n as i32);
        }
    }
    let arrangements: f64 = (1..=n).map(|k| k as f64).product();
    for bad in 0..=n {
        for good in 0..=n - bad {
            let silent = n - bad - good;
            for bad_accounts in 0..3 {
                for good_accounts in 0..3 {
                    let probability = arrangements
                        * hostile.get(bad, bad_accounts, 0)
                        * honest.get(good, good_accounts, silent);
                    let decides = |seats, accounts| seats * 2 > n && accounts >= 2;
                    let cell = if decides(good, good_accounts) {
                        &mut odds.honest
                    } else if decides(bad, bad_accounts) {
                        odds.outvoted_seats += probability * good as f64;
                        if good > 0 {
                            &mut odds.hostile_heard
                        } else {
                            &mut odds.hostile_alone
                        }
                    } else if good > 0 {
                        &mut odds.neither_heard
                    } else if bad > 0 {
                        &mut odds.neither_alone
                    } else {
                        &mut odds.nobody
                    };
                    *cell += probability;
                }
            }
        }
    }
    odds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binomial(n: u32, k: u32) -> f64 {
        (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1))
    }

    fn majority(n: u32, share: f64) -> f64 {
        (n / 2 + 1..=n)
            .map(|k| binomial(n, k) * share.powi(k as i32) * (1.0 - share).powi((n - k) as i32))
            .sum()
    }

    fn sum(odds: RoundOdds) -> f64 {
        odds.honest + odds.hostile() + odds.neither_heard + odds.neither_alone + odds.nobody
    }

    #[test]
    fn odds_sum_to_one() {
        for share in [0.0, 0.2, 0.45] {
            for silence in [0.0, 0.1, 1.0] {
                let odds = round_odds(&Pool::mixed(12, share), 7, silence);
                assert!((sum(odds) - 1.0).abs() < 1e-9, "{odds:?}");
            }
        }
    }

    #[test]
    fn many_small_accounts_give_the_binomial_majority() {
        // 10,000 accounts in effect: no two seats fall on one account.
        let mut accounts = Vec::new();
        for hostile in [false, true] {
            let count = if hostile { 330 } else { 670 };
            accounts.extend(vec![Account { stake: 1, hostile }; count]);
        }
        let odds = round_odds(&Pool { accounts }, 7, 0.0);
        assert!(
            (odds.hostile() - majority(7, 0.33)).abs() < 1e-4,
            "{odds:?}"
        );
    }

    #[test]
    fn one_account_of_two_decides_nothing_alone() {
        // Of 8 equally likely seatings of three seats, two put all on one account.
        let odds = round_odds(&Pool::equal(2), 3, 0.0);
        assert!((odds.neither_heard - 0.25).abs() < 1e-12);
        assert!((odds.honest - 0.75).abs() < 1e-12);
    }

    #[test]
    fn an_account_with_most_of_the_stake_decides_alone_among_three() {
        let account = |stake| Account {
            stake,
            hostile: false,
        };
        let three = Pool {
            accounts: vec![account(8), account(1), account(1)],
        };
        let odds = round_odds(&three, 3, 0.0);
        // Only three seats on one of the small accounts decide nothing.
        assert!((odds.neither_heard - 0.002).abs() < 1e-12, "{odds:?}");
    }

    #[test]
    fn silence_of_all_is_nobody() {
        let odds = round_odds(&Pool::equal(4), 3, 1.0);
        assert!((odds.nobody - 1.0).abs() < 1e-12);
        let some = round_odds(&Pool::equal(1_000), 3, 0.1);
        assert!((some.nobody - 0.001).abs() < 1e-4);
        assert!((some.honest - 0.972).abs() < 2e-3, "{some:?}");
    }

    #[test]
    fn honest_accounts_hold_the_seats_that_fall_to_them() {
        let odds = round_odds(&Pool::equal(2), 3, 0.0);
        assert!((odds.honest_seats - 3.0).abs() < 1e-12);
        assert!((odds.honest_accounts - 1.75).abs() < 1e-12);
    }
}
