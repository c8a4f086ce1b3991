//! `replay`: check the result of any job by hand.

use super::run::{identify, manifest_on_chain};
use crate::{
    audits::{
        compare::{check, Finding},
        question::Question,
    },
    chain::{read_only, ChainView, Client},
    cli::ReplayArgs,
    config::Settings,
    error::{Error, Kind, Result},
    executor::{Cancel, EngineExecutor, ModelToLoad},
    market::{AccountId, View},
    model_files::check_files,
    model_store::{shown, ModelStore},
};
use genesisflow_primitives::{evidence, views::JobView, ModelId};
use serde_json::json;
use std::path::PathBuf;

/// Runs `replay`.
pub async fn run(settings: &Settings, args: &ReplayArgs) -> Result<()> {
    let (client, view) = read_only(&settings.url).await?;
    let (job, question) = question(&client, &view, args.job).await?;
    let dir = folder(settings, args, job.model)?;
    let manifest = manifest_on_chain(&client, &view, job.model, &dir).await?;
    let (id, device) = (job.model, settings.device.clone());
    let executor = tokio::task::spawn_blocking(move || {
        check_files(&dir, &manifest)?;
        EngineExecutor::load_on(&[ModelToLoad { id, dir, manifest }], &device)
    })
    .await
    .map_err(|error| {
        Error::new(Kind::Internal, "loading the model ended unexpectedly").because(error)
    })??;
    let tokens = evidence::count(&question.claimed.evidence).ok();
    let finding = check(&executor, question, Cancel::default())
        .await
        .map_err(|error| {
            Error::new(
                Kind::Model,
                format!("job {} cannot be replayed on this machine", args.job),
            )
            .because(error)
            .fix("use a machine with enough memory for the model and the job's tokens")
        })?;
    report(args, &job, tokens, finding)
}

/// The job and its result, with everything that a replay needs.
async fn question(
    client: &Client,
    view: &ChainView,
    id: u64,
) -> Result<(JobView<AccountId>, Question)> {
    let give_up = |error| client.give_up(error);
    let Some(job) = view.job(id).await.map_err(give_up)? else {
        return Err(Error::new(Kind::Job, format!("the chain has no job {id}"))
            .fix("check the number; records of jobs are dropped some time after they are final"));
    };
    let Some(result) = view.result(id).await.map_err(give_up)? else {
        return Err(Error::new(
            Kind::Job,
            format!("job {id} has no result: it is {:?}", job.status),
        )
        .fix("wait until it is delivered"));
    };
    let input = view.job_input(id).await.map_err(give_up)?;
    let question = input.and_then(|input| Question::of_job(&job, input, result, client.genesis()));
    match question {
        Some(question) => Ok((job, question)),
        None => Err(Error::new(
            Kind::Job,
            format!(
                "job {id} is final ({:?}): the chain has dropped its input and its tokens",
                job.status
            ),
        )
        .fix("replay a job before it is settled; later both stand in the blocks that have its submission and its delivery")),
    }
}

/// The folder of the job's model.
fn folder(settings: &Settings, args: &ReplayArgs, model: ModelId) -> Result<PathBuf> {
    let store = ModelStore::open(&settings.data_dir)?;
    let Some(dir) = &args.model else {
        let known = store.folder(model).map(PathBuf::from);
        return known.ok_or_else(|| {
            Error::new(
                Kind::Model,
                format!(
                    "the job's model {} is not known to this data directory",
                    shown(model)
                ),
            )
            .fix("pass its folder with --model DIR")
        });
    };
    let (id, dir) = identify(&store, dir)?;
    if id == model {
        return Ok(dir);
    }
    Err(Error::new(
        Kind::Model,
        format!(
            "the model in {} is {}, the job's is {}",
            dir.display(),
            shown(id),
            shown(model)
        ),
    )
    .fix("pass the folder of the job's model with --model DIR"))
}

fn report(
    args: &ReplayArgs,
    job: &JobView<AccountId>,
    tokens: Option<u32>,
    finding: Finding,
) -> Result<()> {
    let difference = finding.difference.map(|difference| difference.to_string());
    if args.json {
        let answer = json!({
            "job": args.job,
            "model": shown(job.model),
            "valid": finding.ballot.valid,
            "difference": difference,
            "outputTokens": tokens,
        });
        println!("{answer:#}");
    }
    match difference {
        None => {
            if !args.json {
                println!(
                    "The result of job {} is right: {} output token(s), text, usage, fault and trace are those of the model.",
                    args.job,
                    tokens.unwrap_or_default()
                );
            }
            Ok(())
        }
        Some(difference) => Err(Error::new(
            Kind::WrongResult,
            format!("the result of job {} is wrong", args.job),
        )
        .because(difference)
        .fix("while it is under review anyone can dispute it with `inference.disputeResult` and a bond, which returns with a reward if auditors agree")),
    }
}
