//! `register`: become a worker, or raise the stake.

use super::{address, connect, stake::bonded};
use crate::{
    amount::Amount,
    chain::metadata::runtime,
    cli::RegisterArgs,
    config::Settings,
    error::{Error, Kind, Result},
    market::{Market, View},
};
use genesisflow_primitives::Endpoint;

/// Runs `register`.
pub async fn run(settings: &Settings, args: &RegisterArgs) -> Result<()> {
    let chain = connect(settings).await?;
    let account = address(chain.account());
    let view = chain.view().await?;
    let wanted = args.stake.0;
    let calls = runtime::transactions().inference();
    let endpoint = args.endpoint.clone().unwrap_or_default().into_bytes();
    if Endpoint::try_from(endpoint.clone()).is_err() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "the endpoint is too long for the chain: {} bytes",
                endpoint.len()
            ),
        )
        .fix("pass an --endpoint of at most 256 bytes"));
    }

    let Some(worker) = view.worker().await.map_err(|e| chain.give_up(e))? else {
        let parameters = view.parameters().await.map_err(|e| chain.give_up(e))?;
        let least = parameters.parameters.min_stake;
        if wanted < least {
            return Err(Error::new(
                Kind::Account,
                format!(
                    "a stake of {} is below the least of this chain, {}",
                    args.stake,
                    Amount(least)
                ),
            )
            .fix("pass a larger --stake"));
        }
        let free = view.free_balance().await.map_err(|e| chain.give_up(e))?;
        require(&account, free, wanted)?;
        let call = calls.register_worker(wanted, endpoint);
        chain.execute("register this worker", &call).await?;
        println!("Registered {account} with a stake of {}.", args.stake);
        return Ok(());
    };

    let bonded = bonded(&worker);
    let mut changed = false;
    if wanted > bonded {
        let more = wanted - bonded;
        let free = view.free_balance().await.map_err(|e| chain.give_up(e))?;
        require(&account, free, more)?;
        chain
            .execute("raise the stake", &calls.bond_more(more))
            .await?;
        println!("Raised the stake of {account} to {}.", args.stake);
        changed = true;
    }
    if args.endpoint.is_some() && worker.endpoint[..] != endpoint[..] {
        chain
            .execute("set the endpoint", &calls.set_endpoint(endpoint))
            .await?;
        println!("Set the endpoint.");
        changed = true;
    }
    if worker.chilled {
        chain
            .execute("activate this worker", &calls.activate())
            .await?;
        println!("Activated {account} again.");
        changed = true;
    }
    if !changed {
        println!(
            "{account} is registered already, with a stake of {}.",
            Amount(bonded)
        );
    }
    Ok(())
}

/// Makes sure that the account can put up `amount`.
fn require(account: &str, free: u128, amount: u128) -> Result<()> {
    if free > amount {
        return Ok(());
    }
    Err(Error::new(
        Kind::Account,
        format!(
            "{account} has {} free, which does not cover {} and the transaction fee",
            Amount(free),
            Amount(amount)
        ),
    )
    .fix("send GEN to this account, or pass a smaller --stake"))
}
