//! `model`: models come, are described, registered, checked, and go.

mod add;
mod list;
mod progress;
mod remove;
mod room;
mod verify;

use super::connect;
use crate::{
    amount::Amount,
    chain::metadata::runtime,
    cli::{ModelArgs, ModelCommand},
    config::Settings,
    error::{Error, Kind, Result},
    manifest::{text, ModelFolder},
    market::View,
    model_files::Pin,
    model_store::{shown, ModelStore},
};

/// Runs a command on models.
pub async fn run(settings: &Settings, command: &ModelCommand) -> Result<()> {
    match command {
        ModelCommand::Add(args) => add::run(settings.clone().with_add_args(args), args).await,
        ModelCommand::List(args) => list::run(settings, args),
        ModelCommand::Verify(args) => verify::run(settings, args).await,
        ModelCommand::Remove(args) => remove::run(settings, args).await,
        ModelCommand::Id(args) => {
            println!("{}", shown(describe(settings, args)?.id()));
            Ok(())
        }
        ModelCommand::Show(args) => {
            show(&describe(settings, args)?);
            Ok(())
        }
        ModelCommand::Register(args) => register(settings, args).await,
    }
}

/// Describes the folder that somebody means.
fn describe(settings: &Settings, args: &ModelArgs) -> Result<ModelFolder> {
    let store = ModelStore::open(&settings.data_dir)?;
    let mut args = args.clone();
    if let Some(dir) = store.named(&args.dir.to_string_lossy()) {
        args.dir = dir;
    }
    ModelFolder::describe(&args)
}

/// The files of a described folder, as the store pins them.
fn pins(folder: &ModelFolder) -> Vec<Pin> {
    let files = folder.manifest.files.iter();
    files
        .map(|file| Pin {
            path: text(&file.path).into_owned(),
            size: file.size,
            sha256: hex::encode(file.sha256),
        })
        .collect()
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().si().to_string()
}

async fn register(settings: &Settings, args: &ModelArgs) -> Result<()> {
    let folder = describe(settings, args)?;
    let id = folder.id();
    let mut store = ModelStore::open(&settings.data_dir)?;
    let chain = connect(settings).await?;
    let view = chain.view().await?;
    let known = view.model(id).await.map_err(|e| chain.give_up(e))?;
    if known.is_some_and(|model| !model.retired) {
        store.note_files(id, &folder.dir, pins(&folder))?;
        println!("Registered already: {}", shown(id));
        return Ok(());
    }
    let bytes = folder.bytes();
    let parameters = view.parameters().await.map_err(|e| chain.give_up(e))?;
    let parameters = parameters.parameters;
    let deposit = parameters
        .model_deposit_per_byte
        .saturating_mul(bytes.len() as u128)
        .saturating_add(parameters.model_deposit);
    let free = view.free_balance().await.map_err(|e| chain.give_up(e))?;
    if free <= deposit {
        return Err(Error::new(
            Kind::Account,
            format!(
                "the deposit for this model is {}, the account has {} free",
                Amount(deposit),
                Amount(free)
            ),
        )
        .fix("send GEN to the account that `status` shows; the deposit returns when the model is retired"));
    }
    let call = runtime::transactions().inference().register_model(bytes);
    chain.execute("register the model", &call).await?;
    store.note_files(id, &folder.dir, pins(&folder))?;
    println!(
        "Registered {} for a deposit of {}: {}",
        text(&folder.manifest.name),
        Amount(deposit),
        shown(id)
    );
    Ok(())
}

fn show(folder: &ModelFolder) {
    let manifest = &folder.manifest;
    println!("id            {}", shown(folder.id()));
    println!("name          {}", text(&manifest.name));
    println!("architecture  {}", text(&manifest.architecture));
    println!("canonical     version {}", manifest.canonical_version);
    for file in &manifest.files {
        println!(
            "file          {} ({:?}, {} bytes, sha256 {})",
            text(&file.path),
            file.role,
            file.size,
            hex::encode(file.sha256)
        );
    }
    println!("stop tokens   {:?}", manifest.stop_tokens.to_vec());
    let limits = &manifest.limits;
    println!(
        "limits        {} tokens of context, {} of output, {} of prompt formatting",
        limits.context, limits.max_output, limits.prompt_overhead
    );
    for source in &manifest.sources {
        println!("source        {}", text(source));
    }
    let terms = &manifest.terms;
    println!(
        "terms         at least {} per input token, {} per output token, {} per job",
        Amount(terms.min_price_input),
        Amount(terms.min_price_output),
        Amount(terms.min_fee)
    );
    println!(
        "auditors      replay {} tokens/s, {} % of the fee per seat",
        terms.replay_rate,
        terms.seat_pay.deconstruct()
    );
    println!("on chain      {} bytes", folder.bytes().len());
}
