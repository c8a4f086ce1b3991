//! `status`: where this worker stands, on the chain and in its journal.

use super::{address, connect};
use crate::{
    amount::Amount,
    chain::{Chain, ChainView},
    cli::StatusArgs,
    config::Settings,
    error::Result,
    journal::{Journal, Record},
    market::{Market, View},
    model_store::{shown, ModelStore},
};
use genesisflow_primitives::{
    views::{ClaimView, OfferView, WorkerView},
    BlockNumber, JobId, ModelId, SECONDS_PER_BLOCK,
};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf};

/// Runs `status`.
pub async fn run(settings: &Settings, args: &StatusArgs) -> Result<()> {
    let chain = connect(settings).await?;
    let status = Status::read(settings, &chain).await?;
    if args.json {
        println!("{:#}", status.json());
    } else {
        status.print();
    }
    Ok(())
}

struct Status {
    chain: String,
    url: String,
    genesis: String,
    spec_version: u32,
    block: BlockNumber,
    account: String,
    free: u128,
    worker: Option<WorkerView>,
    offers: Vec<Offered>,
    claims: Vec<ClaimView>,
    journal: JournalState,
}

struct Offered {
    model: ModelId,
    dir: PathBuf,
    offer: Option<OfferView<[u8; 32]>>,
}

enum JournalState {
    None,
    InUse(String),
    Read {
        path: PathBuf,
        unfinished: Vec<(JobId, Record)>,
        finished: BTreeMap<&'static str, usize>,
    },
}

impl Status {
    async fn read(settings: &Settings, chain: &Chain) -> Result<Self> {
        let view = chain.view().await?;
        let give_up = |error| chain.give_up(error);
        Ok(Self {
            chain: chain.client().chain_name().await?,
            url: settings.url.clone(),
            genesis: shown(chain.genesis()),
            spec_version: view.at().spec_version(),
            block: view.head().number,
            account: address(chain.account()),
            free: view.free_balance().await.map_err(give_up)?,
            worker: view.worker().await.map_err(give_up)?,
            offers: offers(settings, chain, &view).await?,
            claims: view.claims().await.map_err(give_up)?,
            journal: journal(settings)?,
        })
    }

    fn print(&self) {
        println!(
            "chain     {} at {} (spec version {})",
            self.chain, self.url, self.spec_version
        );
        println!("genesis   {}", self.genesis);
        println!("block     {} (finalised)", self.block);
        println!("account   {}, {} free", self.account, Amount(self.free));
        match &self.worker {
            None => println!("worker    not registered: run `register --stake GEN`"),
            Some(worker) => print_worker(worker),
        }
        for Offered { model, dir, offer } in &self.offers {
            println!("model     {} in {}", shown(*model), dir.display());
            match offer {
                None => println!("  offer   none: run `offer --model {}`", dir.display()),
                Some(offer) => println!(
                    "  offer   {} per input token, {} per output token, {} of {} job(s) running",
                    Amount(offer.prices.input),
                    Amount(offer.prices.output),
                    offer.running,
                    offer.capacity
                ),
            }
        }
        for claim in &self.claims {
            let left = claim.deliver_by.saturating_sub(self.block);
            println!(
                "claimed   job {}, to be delivered by block {} ({} s left), pays at most {}",
                claim.job,
                claim.deliver_by,
                u64::from(left) * u64::from(SECONDS_PER_BLOCK),
                Amount(claim.worst_case_fee)
            );
        }
        self.journal.print();
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "chain": self.chain,
            "url": self.url,
            "genesis": self.genesis,
            "specVersion": self.spec_version,
            "block": self.block,
            "account": self.account,
            "free": self.free.to_string(),
            "worker": self.worker.as_ref().map(|worker| json!({
                "stake": worker.stake.to_string(),
                "exposure": worker.exposure.to_string(),
                "freeStake": worker.free_stake.to_string(),
                "withdrawable": worker.withdrawable.to_string(),
                "chilled": worker.chilled,
                "settled": worker.settled,
                "late": worker.late,
            })),
            "models": self.offers.iter().map(|Offered { model, dir, offer }| json!({
                "id": shown(*model),
                "dir": dir,
                "offer": offer.as_ref().map(|offer| json!({
                    "priceInput": offer.prices.input.to_string(),
                    "priceOutput": offer.prices.output.to_string(),
                    "capacity": offer.capacity,
                    "running": offer.running,
                })),
            })).collect::<Vec<_>>(),
            "claims": self.claims.iter().map(|claim| json!({
                "job": claim.job,
                "model": shown(claim.model),
                "deliverBy": claim.deliver_by,
                "worstCaseFee": claim.worst_case_fee.to_string(),
            })).collect::<Vec<_>>(),
            "journal": self.journal.json(),
        })
    }
}

fn print_worker(worker: &WorkerView) {
    let state = if worker.chilled {
        "chilled: takes no new jobs"
    } else {
        "active"
    };
    println!("worker    {state}");
    println!(
        "stake     {}, of which {} is exposed and {} is free",
        Amount(worker.stake),
        Amount(worker.exposure),
        Amount(worker.free_stake)
    );
    for chunk in &worker.unbonding {
        println!(
            "unbonding {} until block {}",
            Amount(chunk.amount),
            chunk.from
        );
    }
    println!(
        "record    {} job(s) paid, {} late",
        worker.settled, worker.late
    );
}

/// The models of this data directory, each with this account's offer.
async fn offers(settings: &Settings, chain: &Chain, view: &ChainView) -> Result<Vec<Offered>> {
    let store = ModelStore::open(&settings.data_dir)?;
    let mut offers = Vec::new();
    for (model, dir) in store.all() {
        offers.push(Offered {
            model,
            dir: dir.to_owned(),
            offer: view.offer(model).await.map_err(|e| chain.give_up(e))?,
        });
    }
    Ok(offers)
}

fn journal(settings: &Settings) -> Result<JournalState> {
    let journal = match Journal::open_existing(&settings.data_dir) {
        Ok(None) => return Ok(JournalState::None),
        Ok(Some(journal)) => journal,
        // A running worker holds it; the chain part is worth showing anyway.
        Err(error) => return Ok(JournalState::InUse(error.to_string())),
    };
    let mut finished = BTreeMap::new();
    let mut unfinished = Vec::new();
    for (job, record) in journal.records()? {
        match record.stage.outcome() {
            Some(outcome) => *finished.entry(outcome.name()).or_default() += 1,
            None => unfinished.push((job, record)),
        }
    }
    Ok(JournalState::Read {
        path: journal.path().to_owned(),
        unfinished,
        finished,
    })
}

impl JournalState {
    fn print(&self) {
        match self {
            Self::None => println!("journal   none yet"),
            Self::InUse(reason) => {
                let first = reason.lines().next().unwrap_or_default();
                println!("journal   not read: {first}");
            }
            Self::Read {
                path,
                unfinished,
                finished,
            } => {
                println!("journal   {}", path.display());
                for (job, record) in unfinished {
                    println!("  job {job} is {}", record.stage.name());
                }
                for (outcome, count) in finished {
                    println!("  {count} job(s) {outcome}");
                }
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::None => serde_json::Value::Null,
            Self::InUse(reason) => json!({ "notRead": reason }),
            Self::Read {
                path,
                unfinished,
                finished,
            } => json!({
                "path": path,
                "unfinished": unfinished
                    .iter()
                    .map(|(job, record)| json!({ "job": job, "stage": record.stage.name() }))
                    .collect::<Vec<_>>(),
                "finished": finished,
            }),
        }
    }
}
