//! Audit pools: who can be drawn, with which stake, on whose side.

use genesisflow_primitives::Balance;

/// An account that can be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Its stake, in GEN.
    pub stake: Balance,
    /// Whether it acts with the attackers.
    pub hostile: bool,
}

/// The accounts that can be drawn for a job.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The accounts.
    pub accounts: Vec<Account>,
}

impl Pool {
    /// `honest` accounts of unequal stake (the largest holds some twenty times the smallest) and
    /// 40 hostile ones that hold `share` of the whole stake in equal parts: attackers split their
    /// stake, because it costs nothing and no verdict rests on one account.
    pub fn mixed(honest: usize, share: f64) -> Self {
        const HOSTILE: usize = 40;
        let mut accounts: Vec<_> = (0..honest)
            .map(|rank| Account {
                stake: (1_000_000.0 / (rank as f64 + 3.0)) as Balance,
                hostile: false,
            })
            .collect();
        let honest_stake: Balance = accounts.iter().map(|account| account.stake).sum();
        let hostile_stake = honest_stake as f64 * share / (1.0 - share);
        if share > 0.0 {
            accounts.extend(
                [Account {
                    stake: (hostile_stake / HOSTILE as f64) as Balance,
                    hostile: true,
                }; HOSTILE],
            );
        }
        Self { accounts }
    }

    /// `count` honest accounts of equal stake.
    pub fn equal(count: usize) -> Self {
        Self {
            accounts: vec![
                Account {
                    stake: 1_000,
                    hostile: false
                };
                count
            ],
        }
    }

    /// The stakes, in the accounts' order.
    pub fn stakes(&self) -> Vec<Balance> {
        self.accounts.iter().map(|account| account.stake).collect()
    }

    /// The sum of all stakes.
    pub fn total(&self) -> Balance {
        self.accounts.iter().map(|account| account.stake).sum()
    }

    /// Whether an account holds more than half of the stake.
    pub fn holds_majority(&self, account: usize) -> bool {
        self.accounts[account].stake * 2 > self.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hostile_share_is_the_one_asked_for() {
        for share in [0.0, 0.1, 0.33, 0.45] {
            let pool = Pool::mixed(60, share);
            let hostile: Balance = pool
                .accounts
                .iter()
                .filter(|account| account.hostile)
                .map(|account| account.stake)
                .sum();
            assert!((hostile as f64 / pool.total() as f64 - share).abs() < 1e-4);
            assert!((0..pool.accounts.len()).all(|account| !pool.holds_majority(account)));
        }
        assert!(Pool::equal(1).holds_majority(0));
        assert!(!Pool::equal(2).holds_majority(0));
    }
}
