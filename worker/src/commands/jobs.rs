//! `jobs`: every job that this worker has had to do with, and how it stands.

use super::{address, connect};
use crate::{
    amount::Amount,
    chain::{Chain, ChainView},
    cli::JobsArgs,
    config::Settings,
    error::{Error, Kind, Result},
    journal::{Case, Journal, Record, Role},
    market::{AccountId, Market, View},
};
use genesisflow_primitives::{views::JobView, JobId};
use serde_json::json;
use std::collections::BTreeMap;

/// Runs `jobs`.
pub async fn run(settings: &Settings, args: &JobsArgs) -> Result<()> {
    let chain = connect(settings).await?;
    let view = chain.view().await?;
    let mut lines = journal(settings, args.all)?;
    on_chain(&chain, &view, &mut lines).await?;
    // The newest are what one looks for.
    let newest: Vec<_> = lines.into_iter().rev().take(args.limit).collect();
    if args.json {
        let lines: Vec<_> = newest.iter().map(|(job, line)| line.json(*job)).collect();
        println!("{:#}", json!(lines));
    } else if newest.is_empty() {
        println!("no jobs of {} are under way", address(chain.account()));
    } else {
        for (job, line) in &newest {
            line.print(*job);
        }
    }
    Ok(())
}

/// What is known of a job.
#[derive(Default)]
struct Line {
    record: Option<Record>,
    case: Option<Case>,
    view: Option<JobView<AccountId>>,
}

/// What the journal knows: what is under way, or `all`.
fn journal(settings: &Settings, all: bool) -> Result<BTreeMap<JobId, Line>> {
    let mut lines: BTreeMap<JobId, Line> = BTreeMap::new();
    let journal = match Journal::open_existing(&settings.data_dir) {
        Ok(None) => return Ok(lines),
        Ok(Some(journal)) => journal,
        // A running worker holds it: what the chain says is worth showing.
        Err(error) if error.kind() == Kind::Journal => {
            let says = error.to_string();
            let first = says.lines().next().unwrap_or_default();
            eprintln!("the journal is not read: {first}");
            return Ok(lines);
        }
        Err(error) => return Err(error),
    };
    for (job, record) in journal.records()? {
        if all || record.stage.outcome().is_none() {
            lines.entry(job).or_default().record = Some(record);
        }
    }
    for (job, case) in journal.cases()? {
        if all || case.end.is_none() {
            lines.entry(job).or_default().case = Some(case);
        }
    }
    Ok(lines)
}

/// Adds what the chain says, also of claims and seats that the journal lacks.
async fn on_chain(
    chain: &Chain,
    view: &ChainView,
    lines: &mut BTreeMap<JobId, Line>,
) -> Result<()> {
    let give_up = |error| -> Error { chain.give_up(error) };
    for claim in view.claims().await.map_err(give_up)? {
        lines.entry(claim.job).or_default();
    }
    for seat in view.seats().await.map_err(give_up)? {
        lines.entry(seat.job).or_default();
    }
    for (job, line) in lines.iter_mut() {
        line.view = view.job(*job).await.map_err(give_up)?;
    }
    Ok(())
}

impl Line {
    /// What this worker has to do with the job.
    fn role(&self) -> &'static str {
        match self.case.as_ref().map(|case| case.role) {
            Some(Role::Auditor) => "auditor",
            Some(Role::Author) => "worker",
            Some(Role::Disputer) => "disputer",
            None if self.record.is_some() => "worker",
            None => "-",
        }
    }

    /// What the journal says of it.
    fn known(&self) -> &'static str {
        let end = self.case.as_ref().and_then(|case| case.end);
        match (end, &self.record) {
            (Some(end), _) => end.name(),
            (None, Some(record)) => record.stage.name(),
            (None, None) => "not in the journal",
        }
    }

    fn status(&self) -> String {
        match &self.view {
            Some(view) => format!("{:?}", view.status).to_lowercase(),
            None => "dropped".into(),
        }
    }

    fn print(&self, job: JobId) {
        let fee = self.view.as_ref().and_then(|view| view.fee);
        let fee = fee.map_or(String::new(), |fee| format!(", fee {}", Amount(fee)));
        let until = self.view.as_ref().filter(|view| !view.status.is_final());
        let until = until.map_or(String::new(), |view| format!(" until block {}", view.until));
        println!(
            "job {job:<8} {:<8} {}{until}{fee}; journal: {}",
            self.role(),
            self.status(),
            self.known()
        );
    }

    fn json(&self, job: JobId) -> serde_json::Value {
        json!({
            "job": job,
            "role": self.role(),
            "status": self.status(),
            "journal": self.known(),
            "until": self.view.as_ref().map(|view| view.until),
            "fee": self.view.as_ref().and_then(|view| view.fee).map(|fee| fee.to_string()),
        })
    }
}
