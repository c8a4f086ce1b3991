//! `status`: where this worker stands, on the chain and in its journal.

use super::{address, connect};
use crate::{
    amount::Amount,
    chain::{Chain, ChainView},
    cli::StatusArgs,
    config::Settings,
    error::Result,
    journal::{Case, Journal, Record, Role},
    market::{Market, View},
    model_store::{shown, ModelStore},
};
use genesisflow_primitives::{
    views::{ClaimView, OfferView, ParametersView, SeatView, WorkerView},
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
    seats: Vec<SeatView<[u8; 32]>>,
    parameters: ParametersView,
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
        watched: Vec<(JobId, Case)>,
        judged: BTreeMap<&'static str, usize>,
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
            seats: view.seats().await.map_err(give_up)?,
            parameters: view.parameters().await.map_err(give_up)?,
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
                Some(offer) => {
                    println!(
                        "  offer   {} per input token, {} per output token, {} of {} job(s) running",
                        Amount(offer.prices.input),
                        Amount(offer.prices.output),
                        offer.running,
                        offer.capacity
                    );
                    println!("  audits  {}", self.record(offer));
                }
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
        for seat in &self.seats {
            println!(
                "audit     job {}, round {}: {} seat(s), {:?} until block {}, pays up to {} each, fines {} if silent and {} if wrong",
                seat.job,
                seat.round,
                seat.seats,
                seat.status,
                seat.until,
                Amount(seat.pay),
                Amount(seat.silent_fine),
                Amount(seat.wrong_fine)
            );
        }
        self.journal.print();
    }

    /// What auditors have said of this worker's results on a model, and
    /// whether all of them are audited still.
    fn record(&self, offer: &OfferView<[u8; 32]>) -> String {
        let needed = self.parameters.parameters.probation_jobs;
        let standing = match needed.checked_sub(offer.audited_valid) {
            None | Some(0) => "audited by chance".to_owned(),
            Some(left) => format!("on probation: audited as often as premiums allow until {left} more are found right"),
        };
        format!(
            "{} result(s) found right, {} wrong; {standing}",
            offer.audited_valid, offer.audited_failed
        )
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
                "rejected": worker.rejected,
                "lastRejection": worker.last_rejection,
                "audited": worker.audited,
                "openAudits": worker.open_audits,
            })),
            "models": self.offers.iter().map(|Offered { model, dir, offer }| json!({
                "id": shown(*model),
                "dir": dir,
                "offer": offer.as_ref().map(|offer| json!({
                    "priceInput": offer.prices.input.to_string(),
                    "priceOutput": offer.prices.output.to_string(),
                    "capacity": offer.capacity,
                    "running": offer.running,
                    "auditedValid": offer.audited_valid,
                    "auditedFailed": offer.audited_failed,
                    "onProbation": offer.audited_valid < self.parameters.parameters.probation_jobs,
                })),
            })).collect::<Vec<_>>(),
            "claims": self.claims.iter().map(|claim| json!({
                "job": claim.job,
                "model": shown(claim.model),
                "deliverBy": claim.deliver_by,
                "worstCaseFee": claim.worst_case_fee.to_string(),
            })).collect::<Vec<_>>(),
            "seats": self.seats.iter().map(|seat| json!({
                "job": seat.job,
                "round": seat.round,
                "seats": seat.seats,
                "status": format!("{:?}", seat.status),
                "until": seat.until,
                "pay": seat.pay.to_string(),
                "silentFine": seat.silent_fine.to_string(),
                "wrongFine": seat.wrong_fine.to_string(),
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
        "record    {} job(s) paid, {} late, {} rejected{}",
        worker.settled,
        worker.late,
        worker.rejected,
        match worker.last_rejection {
            Some(block) => format!(" (the last in block {block})"),
            None => String::new(),
        }
    );
    println!(
        "audits    {} seat(s) judged right, {} audit(s) open",
        worker.audited, worker.open_audits
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
    let mut judged = BTreeMap::new();
    let mut watched = Vec::new();
    for (job, case) in journal.cases()? {
        match case.end {
            Some(end) => *judged.entry(end.name()).or_default() += 1,
            None => watched.push((job, case)),
        }
    }
    Ok(JournalState::Read {
        path: journal.path().to_owned(),
        unfinished,
        finished,
        watched,
        judged,
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
                watched,
                judged,
            } => {
                println!("journal   {}", path.display());
                for (job, record) in unfinished {
                    println!("  job {job} is {}", record.stage.name());
                }
                for (job, case) in watched {
                    println!("  job {job} {}", watching(case));
                }
                for (outcome, count) in finished {
                    println!("  {count} job(s) {outcome}");
                }
                for (end, count) in judged {
                    println!("  {count} result(s) {end}");
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
                watched,
                judged,
            } => json!({
                "path": path,
                "unfinished": unfinished
                    .iter()
                    .map(|(job, record)| json!({ "job": job, "stage": record.stage.name() }))
                    .collect::<Vec<_>>(),
                "finished": finished,
                "watched": watched
                    .iter()
                    .map(|(job, case)| json!({ "job": job, "watching": watching(case) }))
                    .collect::<Vec<_>>(),
                "judged": judged,
            }),
        }
    }
}

fn watching(case: &Case) -> &'static str {
    match case.role {
        Role::Disputer => "is disputed, and its verdict not final yet",
        Role::Author => "is delivered, and not paid yet",
        Role::Auditor => "is audited, and its verdict not final yet",
    }
}
