//! `run`: the daemon.

use super::{address, connect};
use crate::{
    audits::Desk,
    chain::{Chain, ChainView, Client},
    cli::ModelArgs,
    config::Settings,
    error::{Error, Kind, Result},
    executor::{EngineExecutor, ModelToLoad},
    job_loop::{Pace, Worker},
    journal::{Journal, Owner},
    manifest::{absolute, ModelFolder},
    market::{Market, View},
    metrics::{self, Meters},
    model_files::check_files,
    model_store::{shown, ModelStore},
    model_watch::{ModelWatch, Watched},
    pause::Pause,
    shutdown, supervise,
};
use genesisflow_primitives::{ModelId, ModelManifest};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Runs `run`.
pub async fn run(settings: Settings) -> Result<()> {
    let key = super::key(&settings)?;
    let has_dev_key = key.dev_name().is_some();
    let pause = Pause::from_environment(has_dev_key);
    let chain = connect(&settings).await?;
    if chain.signer() != chain.account() && settings.disputes.sample_rate > 0.0 {
        return Err(Error::new(
            Kind::Usage,
            "a proxy can do the daily work, but not dispute others' results",
        )
        .fix("set dispute-sample-rate to 0, or run with the key of the account itself"));
    }
    let view = chain.view().await?;
    let worker = view.worker().await.map_err(|e| chain.give_up(e))?;
    let Some(worker) = worker else {
        return Err(Error::new(
            Kind::Account,
            format!(
                "account {} is no worker on this chain: it has no stake",
                address(chain.account())
            ),
        )
        .fix("run `genesisflow-worker register --stake GEN` first"));
    };
    if worker.chilled {
        tracing::warn!(
            "this worker is chilled and takes no new jobs; `register` with the same stake activates it"
        );
    }
    let journal = open_journal(&chain, &settings.data_dir).await?;
    let models = models_to_serve(&settings, &chain, &view).await?;
    let ids: Vec<ModelId> = models.iter().map(|model| model.id).collect();
    let watch = ModelWatch::new(&models);
    #[cfg(feature = "cheats")]
    let cheats = crate::cheat::Cheats::from_environment(has_dev_key)?;
    #[cfg(feature = "cheats")]
    let other = crate::cheat::other_model(&cheats, &models)?;
    let device = settings.device.clone();
    let load = move || EngineExecutor::load_on(&models, &device);
    let executor = tokio::task::spawn_blocking(load).await.map_err(|error| {
        Error::new(Kind::Internal, "loading the models ended unexpectedly").because(error)
    })??;
    let fleet = executor.fleet().clone();
    #[cfg(feature = "cheats")]
    let executor = crate::cheat::Cheating::new(executor, other, cheats);

    let executor = Watched::new(executor, watch.clone());
    let watching = tokio::spawn(watch.follow());

    tracing::info!(
        "worker {} on chain {} is at work with {} model(s)",
        address(chain.account()),
        chain.client().chain_name().await?,
        ids.len()
    );
    let meters = Meters::default();
    for device in fleet.states() {
        let backend = if device.threads.is_some() {
            "cpu"
        } else {
            "cuda"
        };
        meters.device(backend, device.kernel, device.threads.unwrap_or(0));
    }
    meters.fleet(fleet.clone());
    if let Some(address) = settings.metrics {
        metrics::serve(address, chain.clone(), meters.clone()).await?;
    }
    // For whoever waits for it; nobody need listen.
    let _ = writeln!(std::io::stdout(), "ready");
    let (trigger, stop) = shutdown::channel();
    let signals = tokio::spawn(trigger.clone().follow_signals(settings.shutdown_grace));
    let worker = Worker {
        market: chain,
        executor,
        journal,
        pace: Pace::default(),
        pause,
        audits: Desk::default(),
        meters,
    };
    let work = supervise::work(worker, ids, settings.appeals, settings.disputes, stop);
    let grace = settings.shutdown_grace;
    let ended = supervise::while_devices_last(work, fleet.lost(), &trigger, grace).await;
    signals.abort();
    watching.abort();
    if ended.is_ok() {
        tracing::info!("stopped");
    }
    ended
}

/// Opens the journal and makes sure that the chain is the one it knows.
///
/// A development chain that was started anew has the same genesis and other
/// blocks: its old journal is put aside.
async fn open_journal(chain: &Chain, dir: &Path) -> Result<Journal> {
    let owner = Owner {
        genesis: chain.genesis().0,
        account: chain.account(),
    };
    let journal = Journal::open(dir, owner)?;
    let Some(known) = journal.head()? else {
        return Ok(journal);
    };
    let there = chain.client().block_hash(known.number).await?;
    match there {
        Some(hash) if hash.0 == known.hash => Ok(journal),
        _ if chain.client().is_development().await? => {
            let aside = journal.set_aside()?;
            tracing::warn!(
                "this development chain was started anew: its block {} is not the one in the journal. The old journal is now {}",
                known.number,
                aside.display()
            );
            Journal::open(dir, owner)
        }
        Some(_) => Err(Error::new(
            Kind::WrongChain,
            format!(
                "block {} of this chain is not the one that this worker saw finalised",
                known.number
            ),
        )
        .fix("connect to a node of the same chain with --url, or use a new data directory with --data-dir")),
        None => Err(Error::new(
            Kind::WrongChain,
            format!(
                "the node has no block {} yet, which this worker saw finalised",
                known.number
            ),
        )
        .fix("wait until the node is in sync, or connect to another node with --url")),
    }
}

/// The models to serve, with their files checked against the chain.
async fn models_to_serve(
    settings: &Settings,
    chain: &Chain,
    view: &ChainView,
) -> Result<Vec<ModelToLoad>> {
    let mut store = ModelStore::open(&settings.data_dir)?;
    let wanted: Vec<(ModelId, PathBuf)> = if settings.models.is_empty() {
        store.all().map(|(id, dir)| (id, dir.to_owned())).collect()
    } else {
        let named = settings.models.iter();
        named
            .map(|dir| identify(&store, dir))
            .collect::<Result<_>>()?
    };
    if wanted.is_empty() {
        return Err(Error::new(Kind::Model, "there is no model to serve").fix(
            "run `genesisflow-worker model register DIR` and `genesisflow-worker offer --model DIR …`, or pass --model DIR",
        ));
    }
    let mut models = Vec::new();
    for (id, dir) in wanted {
        let manifest = manifest_on_chain(chain.client(), view, id, &dir).await?;
        require_offer(chain, view, id, &dir).await?;
        tracing::info!("checking the files of model {}", shown(id));
        let checked = manifest.clone();
        let folder = dir.clone();
        tokio::task::spawn_blocking(move || check_files(&folder, &checked))
            .await
            .map_err(|error| {
                Error::new(Kind::Internal, "checking the files ended unexpectedly").because(error)
            })??;
        store.note(id, &dir)?;
        models.push(ModelToLoad { id, dir, manifest });
    }
    Ok(models)
}

/// The id of the model in a folder: the one noted when it was registered or
/// offered, else the one its files have now.
pub(super) fn identify(store: &ModelStore, dir: &Path) -> Result<(ModelId, PathBuf)> {
    let dir = match store.named(&dir.to_string_lossy()) {
        Some(dir) => dir,
        None => absolute(dir)?,
    };
    if let Some(id) = store.model(&dir) {
        return Ok((id, dir));
    }
    let args = ModelArgs {
        dir: dir.clone(),
        ..ModelArgs::default()
    };
    Ok((ModelFolder::describe(&args)?.id(), dir))
}

pub(super) async fn manifest_on_chain(
    client: &Client,
    view: &ChainView,
    id: ModelId,
    dir: &Path,
) -> Result<ModelManifest> {
    let bytes = view.manifest(id).await.map_err(|e| client.give_up(e))?;
    let bytes = bytes.ok_or_else(|| {
        Error::new(
            Kind::Model,
            format!(
                "model {} in {} is not registered on this chain",
                shown(id),
                dir.display()
            ),
        )
        .fix(format!(
            "run `genesisflow-worker model register {}` first",
            dir.display()
        ))
    })?;
    ModelManifest::parse(&bytes).map_err(|error| {
        Error::new(
            Kind::Runtime,
            format!("the chain's manifest of model {} cannot be read", shown(id)),
        )
        .because(error)
        .fix("use the worker release that belongs to this chain's runtime")
    })
}

/// A model without an offer earns nothing; only what is claimed already may
/// still be served without one.
async fn require_offer(chain: &Chain, view: &ChainView, id: ModelId, dir: &Path) -> Result<()> {
    let offer = view.offer(id).await.map_err(|e| chain.give_up(e))?;
    if offer.is_some() {
        return Ok(());
    }
    let claims = view.claims().await.map_err(|e| chain.give_up(e))?;
    if claims.iter().any(|claim| claim.model == id) {
        tracing::warn!(
            "model {} is not offered any more; jobs claimed before are still delivered",
            shown(id)
        );
        return Ok(());
    }
    Err(Error::new(
        Kind::Model,
        format!("this account does not offer model {}", shown(id)),
    )
    .fix(format!(
        "run `genesisflow-worker offer --model {} --price-input GEN --price-output GEN` first",
        dir.display()
    )))
}
