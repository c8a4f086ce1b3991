//! `proxy`: a key that does the daily work and cannot take the stake.

use super::{account, address, connect};
use crate::{
    chain::metadata::runtime::{
        self, runtime_types::genesisflow_runtime::configs::accounts::ProxyType,
    },
    cli::ProxyArgs,
    config::Settings,
    error::{Error, Kind, Result},
    market::Market,
};
use subxt::utils::MultiAddress;

/// No announcement, and no waiting: deadlines are short.
const DELAY: u32 = 0;

/// Runs `proxy`.
pub async fn run(settings: &Settings, args: &ProxyArgs) -> Result<()> {
    let delegate = account(&args.account, "`proxy`")?;
    let chain = connect(settings).await?;
    let own = address(chain.account());
    if chain.signer() != chain.account() {
        return Err(Error::new(
            Kind::Usage,
            "a proxy cannot name another proxy for the account",
        )
        .fix("leave out --proxy-for, and give the key of the account itself"));
    }
    if delegate == chain.account() {
        return Err(Error::new(Kind::Usage, "this is the account itself")
            .fix("give the account of another key: `init` on the worker's machine makes one"));
    }
    let calls = runtime::transactions().proxy();
    let to = MultiAddress::Id(delegate.into());
    let kind = ProxyType::WorkerOperation;
    if args.remove {
        let call = calls.remove_proxy(to, kind, DELAY);
        chain.execute("take the right back", &call).await?;
        println!("{} can do nothing for {own} any more.", address(delegate));
        return Ok(());
    }
    let call = calls.add_proxy(to, kind, DELAY);
    chain.execute("name a proxy", &call).await?;
    println!(
        "{} does the daily work of {own} from now on.",
        address(delegate)
    );
    println!(
        "  It cannot take out stake or send money; it pays transaction fees: send it some GEN."
    );
    println!("Next: on its machine, `genesisflow-worker --proxy-for {own} run`.");
    Ok(())
}
