//! One run from start to report.

use crate::{
    drive::{Course, Driver, Kind, Pace, Workload},
    market::Market,
    measure::{account, thrown_away, Limits},
    node::{Genesis, Node, GEN},
    queue::Queue,
    report::{print_fill, print_storage, window, Cores, Phase},
    rpc::Rpc,
    sign::{Account, AtBlock, Call, Signed},
    storage::Kept,
    usage, Options,
};
use anyhow::{bail, Context, Result};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use subxt::{dynamic::Value, ext::scale_value::Composite, OnlineClient, SubstrateConfig};

/// What each account holds at the start.
const WORKER_MONEY: u128 = 20_000 * GEN;
const MONEY: u128 = 1_000 * GEN;
/// Blocks until transfers, and jobs, come in steadily: the first acceptances are in the fourth.
const TRANSFER_RAMP: usize = 1;
const MARKET_RAMP: usize = 6;
/// How long setting up and emptying may take at most.
const PATIENCE: Duration = Duration::from_secs(600);
/// Parts of the time for transfers and for the market.
const SHARES: (u32, u32, u32) = (1, 2, 3);

/// Everything that a phase needs.
struct Bench {
    node: Node,
    rpc: Rpc,
    api: OnlineClient<SubstrateConfig>,
    at: AtBlock,
    driver: Driver,
}

/// Runs the benchmark.
///
/// # Errors
/// If the node cannot be started, a transaction fails, or storage is left behind.
pub async fn run(options: &Options) -> Result<()> {
    let binary = binary(options)?;
    let mut bench = start(options, &binary).await?;
    let mut market = Market::new(
        bench.at.clone(),
        options.workers,
        options.accounts,
        options.in_flight,
    )?;

    say(&format!(
        "{} workers become known, each with a model of its own",
        options.workers
    ));
    let set_up = market.set_up()?;
    let course = bench
        .drive(&mut Queue::new(Kind::Setup, set_up), PATIENCE)
        .await?;
    let blocks: Vec<_> = course.blocks.iter().collect();
    account(&bench.api, &bench.rpc, &bench.node, &blocks).await?;
    let first_jobs = bench.rpc.best().await? + options.wait_blocks;
    let round = Duration::from_secs(options.seconds) / options.rounds;
    let transfer_time = round * SHARES.0 / SHARES.2;
    let market_time = round * SHARES.1 / SHARES.2;

    let signing = Instant::now();
    let transfers_ahead = (transfer_time * options.rounds).as_secs_f64() * options.sign_for as f64;
    let mut transfers = sign_transfers(&bench.at, options.accounts, transfers_ahead as usize)?;
    // Every fourth call of the market, or more, is a submission.
    let submissions_ahead =
        (market_time * options.rounds).as_secs_f64() * options.sign_for as f64 / 3.0;
    market.sign_ahead(submissions_ahead as usize)?;
    say(&format!(
        "{} transfers and {:.0} submissions signed in {:.1} s; measuring for {} s",
        transfers.len(),
        submissions_ahead,
        signing.elapsed().as_secs_f64(),
        options.seconds
    ));

    let before = bench.kept_now().await?;
    let mut phases = Vec::new();
    let mut last_course = None;
    for _ in 0..options.rounds {
        let mut queue = Queue::new(Kind::Transfer, transfers);
        bench.driver.set_in_flight(options.transfers_in_flight);
        let phase = bench
            .phase("transfers", &mut queue, transfer_time, TRANSFER_RAMP)
            .await?;
        if queue.left() == 0 {
            say("all signed transfers were sent before the end: raise --sign-for");
        }
        phase.0.print();
        phases.push(phase.0);
        transfers = queue.into_rest();

        bench.until_block(first_jobs).await?;
        market.resume();
        bench.driver.set_in_flight(options.in_flight);
        let phase = bench
            .phase("market", &mut market, market_time, MARKET_RAMP)
            .await?;
        phase.0.print();
        phases.push(phase.0);
        last_course = Some(phase.1);
        bench.until_pruned(&before).await?;
    }
    if market.signed_late > 0 {
        say(&format!(
            "{} submissions were signed while the clock ran: raise --sign-for",
            market.signed_late
        ));
    }

    let limits = Limits::of(&bench.at)?;
    let of =
        |name: &str| -> Vec<&Phase> { phases.iter().filter(|phase| phase.name == name).collect() };
    let (transfers, markets) = (of("transfers"), of("market"));
    print_fill("transfers", &transfers, &limits);
    print_fill("market", &markets, &limits);

    let last_course = last_course.context("no round was run")?;
    let full = bench.print_growth(&before, &last_course).await?;
    let pruned = bench.kept_now().await?;
    print_storage(
        &format!(
            "storage after {} jobs, once the last retention is over",
            market.jobs_submitted()
        ),
        &before,
        &pruned,
        0,
    );

    let mean = |phases: &[&Phase], of: &dyn Fn(&Phase) -> f64| {
        phases.iter().map(|phase| of(phase)).sum::<f64>() / phases.len().max(1) as f64
    };
    let transfer_rate = mean(&transfers, &Phase::rate);
    let market_rate = mean(&markets, &Phase::rate);
    let ratio = market_rate / transfer_rate;
    println!("\ntransfers   {transfer_rate:.0} calls/s");
    println!(
        "market      {market_rate:.0} calls/s, {:.0} jobs settled/s",
        mean(&markets, &Phase::settled)
    );
    println!("ratio       {ratio:.2}");

    let left = left_behind(&before, &full, &pruned);
    if !left.is_empty() {
        bail!(
            "storage grows with the number of jobs: {} did not shrink again once their retention was over",
            left.join(", ")
        );
    }
    if let Some(least) = options.least_ratio {
        if ratio < least {
            bail!("the ratio {ratio:.2} is below --least-ratio {least}");
        }
    }
    Ok(())
}

async fn start(options: &Options, binary: &std::path::Path) -> Result<Bench> {
    let workers = options.workers;
    let mut balances: Vec<_> = Market::addresses(workers, options.accounts)
        .into_iter()
        .enumerate()
        .map(|(index, address)| {
            let money = if index < workers { WORKER_MONEY } else { MONEY };
            (address, money)
        })
        .collect();
    balances.extend((0..options.accounts).map(|n| (sender(n).address(), MONEY)));
    say(&format!(
        "starting {} with {} accounts that hold money",
        binary.display(),
        balances.len()
    ));
    let genesis = Genesis {
        balances,
        review_window: options.review_window,
        retention: options.retention,
        runtime: options
            .runtime
            .as_ref()
            .map(|path| fs::read(path).with_context(|| format!("cannot read {}", path.display())))
            .transpose()?,
    };
    let mut node = Node::start(binary, &genesis, &options.node_arguments)?;
    let rpc = match Rpc::connect(node.url()).await {
        Ok(rpc) => rpc,
        Err(error) => {
            node.check()?;
            return Err(error.context(node.last_words()));
        }
    };
    let api = OnlineClient::<SubstrateConfig>::from_insecure_url(node.url())
        .await
        .context("cannot read the chain's metadata")?;
    let at = api.at_block(0u64).await?;
    let pace = Pace {
        in_flight: options.in_flight,
        batch: options.batch,
    };
    let driver = Driver::new(rpc.clone(), node.url(), options.connections, pace).await?;
    Ok(Bench {
        node,
        rpc,
        api,
        at,
        driver,
    })
}

impl Bench {
    async fn drive(&mut self, work: &mut dyn Workload, time: Duration) -> Result<Course> {
        self.driver.run(&mut self.node, work, time).await
    }

    async fn phase(
        &mut self,
        name: &'static str,
        work: &mut dyn Workload,
        time: Duration,
        ramp: usize,
    ) -> Result<(Phase, Course)> {
        let node = self.node.id();
        let read = || {
            (
                usage::of(node),
                usage::of(std::process::id()),
                usage::of_machine(),
            )
        };
        let (began, before) = (Instant::now(), read());
        let thrown_before = thrown_away(&self.node.log());
        let course = self.drive(work, time).await?;
        let (elapsed, after) = (began.elapsed().as_secs_f64(), read());
        let cores = |after: Duration, before| after.saturating_sub(before).as_secs_f64() / elapsed;
        let (of_node, of_client) = (cores(after.0, before.0), cores(after.1, before.1));

        let range = window(&course, ramp);
        if range.is_empty() {
            bail!("the {name} phase had too few blocks to count any: raise --seconds");
        }
        let time = course.blocks[range.end - 1]
            .seen
            .duration_since(course.blocks[range.start.saturating_sub(1)].seen);
        let counted: Vec<_> = course.blocks[range.clone()].iter().collect();
        let numbers = counted[0].number..=counted[counted.len() - 1].number;
        let mut latencies: Vec<_> = course
            .latencies
            .iter()
            .filter(|(_, block, _)| numbers.contains(block))
            .map(|(_, _, latency)| *latency)
            .collect();
        latencies.sort_unstable();
        let blocks = account(&self.api, &self.rpc, &self.node, &counted).await?;
        let phase = Phase {
            name,
            time,
            blocks,
            latencies,
            sent_again: course.sent_again,
            lost: course.lost,
            thrown_away: thrown_away(&self.node.log()) - thrown_before,
            cores: Cores {
                node: of_node,
                client: of_client,
                node_per_call: (after.0.saturating_sub(before.0)).as_secs_f64() * 1e6
                    / course.latencies.len().max(1) as f64,
                others: (cores(after.2, before.2) - of_node - of_client).max(0.0),
            },
        };
        Ok((phase, course))
    }

    async fn kept_now(&self) -> Result<Kept> {
        let hash = self.rpc.hash(self.rpc.best().await?).await?;
        Kept::at(&self.at, &self.rpc, &hash).await
    }

    async fn until_block(&mut self, number: u32) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.rpc.best().await? < number {
            self.node.check()?;
            if Instant::now() > deadline {
                bail!(
                    "block {number} was not made within {} s",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Waits until the chain keeps no job any more.
    async fn until_pruned(&mut self, before: &Kept) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.kept_now().await?.entries("Jobs");
            if left <= before.entries("Jobs") {
                return Ok(());
            }
            self.node.check()?;
            if Instant::now() > deadline {
                bail!("{left} jobs are still kept after {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Prints what the last block that was measured kept for each job.
    async fn print_growth(&self, before: &Kept, course: &Course) -> Result<Kept> {
        let last = course.blocks.last().context("a phase without blocks")?;
        let full = Kept::at(&self.at, &self.rpc, &last.hash).await?;
        print_storage(
            &format!(
                "storage in block {}, when all calls of the last round were in: {} jobs kept",
                last.number,
                full.entries("Jobs")
            ),
            before,
            &full,
            full.entries("Jobs"),
        );
        println!("  the node's files take {} bytes", self.node.disk_bytes());
        Ok(full)
    }
}

/// Items that had an entry for every twentieth job at least, and did not become as small as before.
/// Others grow for other reasons, such as rings of a fixed length that fill up.
fn left_behind(before: &Kept, full: &Kept, pruned: &Kept) -> Vec<String> {
    let per_job = full.entries("Jobs").saturating_sub(before.entries("Jobs")) / 20;
    full.since(before)
        .into_iter()
        .filter(|(_, entries, _)| *entries > 1 && entries.unsigned_abs() >= per_job)
        .map(|(item, ..)| item)
        .filter(|item| pruned.entries(item) > before.entries(item))
        .collect()
}

fn sender(number: usize) -> Account {
    Account::derive("sender", number)
}

/// Signs about `count` transfers, each account's after one another, in the order of sending.
fn sign_transfers(at: &AtBlock, accounts: usize, count: usize) -> Result<Vec<Signed>> {
    let mut senders: Vec<_> = (0..accounts).map(sender).collect();
    let ids: Vec<_> = senders.iter().map(Account::id).collect();
    let mut signed = Vec::with_capacity(count);
    while signed.len() < count {
        for (index, sender) in senders.iter_mut().enumerate() {
            let to = &ids[(index + 1) % accounts];
            let to = Value::unnamed_variant("Id", [Value::from_bytes(to)]);
            let arguments = Composite::named([
                ("dest".to_owned(), to),
                ("value".to_owned(), Value::u128(1_000_000)),
            ]);
            let call = Call::new(at, "Balances", "transfer_keep_alive", arguments)?;
            signed.push(sender.sign(at, &call)?);
        }
    }
    Ok(signed)
}

fn binary(options: &Options) -> Result<PathBuf> {
    let named = options.node.clone();
    let path = match named.or_else(|| std::env::var_os("GENESISFLOW_NODE").map(PathBuf::from)) {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("genesisflow-node"),
    };
    // In full: a bare name would be looked for among the system's programs.
    fs::canonicalize(&path).with_context(|| {
        format!(
            "there is no node at {}: build it with scripts/build.sh, or name it with --node",
            path.display()
        )
    })
}

fn say(what: &str) {
    eprintln!("[throughput] {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(items: [(&str, u64); 3]) -> Kept {
        Kept {
            items: items
                .map(|(name, entries)| (name.to_owned(), (entries, 10 * entries)))
                .into(),
        }
    }

    #[test]
    fn an_item_that_stays_for_every_job_is_named_and_a_ring_is_not() {
        let before = kept([("Jobs", 0), ("Notes", 5), ("Ring", 1)]);
        let full = kept([("Jobs", 1_000), ("Notes", 1_005), ("Ring", 40)]);
        let clean = kept([("Jobs", 0), ("Notes", 5), ("Ring", 60)]);
        assert!(left_behind(&before, &full, &clean).is_empty());
        let leaking = kept([("Jobs", 0), ("Notes", 1_005), ("Ring", 60)]);
        assert_eq!(left_behind(&before, &full, &leaking), ["Notes"]);
    }
}
