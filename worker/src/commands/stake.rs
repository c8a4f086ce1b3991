//! `bond`, `unbond`, `withdraw`, `chill`: stake in and out, and a break.

use super::{address, connect};
use crate::{
    amount::Amount,
    chain::{metadata::runtime, Chain, ChainView},
    cli::AmountArgs,
    config::Settings,
    error::{Error, Kind, Result},
    market::{Market, View},
};
use genesisflow_primitives::{views::WorkerView, BlockNumber, SECONDS_PER_BLOCK};

/// Runs `bond`.
pub async fn bond(settings: &Settings, args: &AmountArgs) -> Result<()> {
    let (chain, view, worker) = registered(settings).await?;
    let amount = positive(args)?;
    let free = view.free_balance().await.map_err(|e| chain.give_up(e))?;
    if free <= amount.0 {
        return Err(Error::new(
            Kind::Account,
            format!(
                "{} has {} free, which does not cover {amount} and the transaction fee",
                address(chain.account()),
                Amount(free)
            ),
        )
        .fix("send GEN to this account, or bond less"));
    }
    let call = runtime::transactions().inference().bond_more(amount.0);
    chain.execute("raise the stake", &call).await?;
    println!(
        "Added {amount}; the stake is now {}.",
        Amount(worker.stake.saturating_add(amount.0))
    );
    Ok(())
}

/// Runs `unbond`.
pub async fn unbond(settings: &Settings, args: &AmountArgs) -> Result<()> {
    let (chain, view, worker) = registered(settings).await?;
    let amount = positive(args)?;
    let parameters = view.parameters().await.map_err(|e| chain.give_up(e))?;
    let parameters = parameters.parameters;
    let bonded = bonded(&worker);
    let Some(left) = bonded.checked_sub(amount.0) else {
        return Err(Error::new(
            Kind::Account,
            format!("{amount} cannot be unbonded: {} are bonded", Amount(bonded)),
        )
        .fix("unbond at most that"));
    };
    if left > 0 && left < parameters.min_stake {
        return Err(Error::new(
            Kind::Account,
            format!(
                "{} would stay bonded, below the least stake of {}",
                Amount(left),
                Amount(parameters.min_stake)
            ),
        )
        .fix(format!(
            "unbond {} to leave the market, or at most {}",
            Amount(bonded),
            Amount(bonded.saturating_sub(parameters.min_stake))
        )));
    }
    let call = runtime::transactions().inference().unbond(amount.0);
    chain.execute("unbond", &call).await?;
    println!(
        "{amount} can be withdrawn in {} blocks ({}). Until then it answers for this worker's jobs and ballots.",
        parameters.unbonding_period,
        duration(parameters.unbonding_period)
    );
    if left == 0 {
        println!("Nothing is bonded any more: this worker takes no new jobs.");
    }
    Ok(())
}

/// Runs `withdraw`.
pub async fn withdraw(settings: &Settings) -> Result<()> {
    let (chain, view, worker) = registered(settings).await?;
    let head = view.head().number;
    if worker.open_audits > 0 {
        return Err(Error::new(
            Kind::Account,
            format!(
                "nothing can be withdrawn while {} seat(s) of audits are open",
                worker.open_audits
            ),
        )
        .fix("keep `run` going until they are over; `status` shows them"));
    }
    // A worker that lost its whole stake withdraws nothing, and leaves.
    let lost_all = worker.stake == 0 && worker.exposure == 0;
    if worker.withdrawable == 0 && !lost_all {
        let next = worker.unbonding.iter().map(|chunk| chunk.from).min();
        let cure = match next {
            Some(from) if from > head => format!(
                "wait until block {from} ({})",
                duration(from.saturating_sub(head))
            ),
            Some(_) => "wait until the jobs that the stake backs are final".into(),
            None => "run `genesisflow-worker unbond GEN` first".into(),
        };
        return Err(Error::new(Kind::Account, "there is nothing to withdraw yet").fix(cure));
    }
    let call = runtime::transactions().inference().withdraw_unbonded();
    chain.execute("withdraw", &call).await?;
    println!(
        "Withdrew {} to {}.",
        Amount(worker.withdrawable),
        address(chain.account())
    );
    Ok(())
}

/// Runs `chill`.
pub async fn chill(settings: &Settings) -> Result<()> {
    let (chain, _, worker) = registered(settings).await?;
    if worker.chilled {
        println!("This worker is chilled already.");
        return Ok(());
    }
    let call = runtime::transactions().inference().chill();
    chain.execute("take a break", &call).await?;
    println!(
        "Chilled: no new jobs, and no seats in audits drawn from now on. \
         {} claim(s) and {} audit(s) are still due: keep `run` going until they are over. \
         `register` with the same stake ends the break.",
        worker.claims, worker.open_audits
    );
    Ok(())
}

/// Connects, for an account that is a worker.
async fn registered(settings: &Settings) -> Result<(Chain, ChainView, WorkerView)> {
    let chain = connect(settings).await?;
    let view = chain.view().await?;
    let worker = view.worker().await.map_err(|e| chain.give_up(e))?;
    let worker = worker.ok_or_else(|| {
        Error::new(
            Kind::Account,
            format!(
                "account {} is no worker on this chain: it has no stake",
                address(chain.account())
            ),
        )
        .fix("run `genesisflow-worker register --stake GEN` first")
    })?;
    Ok((chain, view, worker))
}

fn positive(args: &AmountArgs) -> Result<Amount> {
    if args.amount.0 > 0 {
        return Ok(args.amount);
    }
    Err(Error::new(Kind::Usage, "the amount is 0").fix("give an amount in GEN, such as 250"))
}

/// Stake that is not on its way out, in base units.
pub(super) fn bonded(worker: &WorkerView) -> u128 {
    let unbonding = worker.unbonding.iter().map(|chunk| chunk.amount);
    worker
        .stake
        .saturating_sub(unbonding.fold(0, u128::saturating_add))
}

/// About how long a number of blocks takes.
fn duration(blocks: BlockNumber) -> String {
    let seconds = u64::from(blocks) * u64::from(SECONDS_PER_BLOCK);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("about {} min", seconds / 60),
        7_200..=172_799 => format!("about {} h", seconds / 3_600),
        _ => format!("about {} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read: Vec<_> = [10, 150, 5_400, 604_800].map(duration).into();
        assert_eq!(read, ["20 s", "about 5 min", "about 3 h", "about 14 days"]);
    }
}
