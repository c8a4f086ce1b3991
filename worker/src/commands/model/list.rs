//! `model list`: the models of this data directory.

use super::{room, size};
use crate::{
    cli::ModelListArgs,
    config::Settings,
    error::Result,
    model_files::bytes_below,
    model_store::{shown, Entry, ModelStore},
};
use serde_json::json;

/// Runs `model list`.
pub fn run(settings: &Settings, args: &ModelListArgs) -> Result<()> {
    let store = ModelStore::open(&settings.data_dir)?;
    let used = bytes_below(store.models_dir());
    let unfinished = unfinished(&store);
    if args.json {
        let models = store.entries().iter().map(|entry| {
            json!({
                "name": entry.name(),
                "id": entry.model().map(shown),
                "folder": entry.folder,
                "bytes": bytes_of(entry),
                "isOwn": store.owns(&entry.folder),
                "source": entry.source,
                "files": entry.pins.iter().map(|pin| json!({
                    "path": pin.path, "size": pin.size, "sha256": pin.sha256,
                })).collect::<Vec<_>>(),
            })
        });
        let list = json!({
            "models": models.collect::<Vec<_>>(),
            "unfinished": unfinished.iter().map(|(name, bytes)| json!({
                "name": name, "bytes": bytes,
            })).collect::<Vec<_>>(),
            "bytes": used,
            "quota": settings.disk_quota,
        });
        println!("{list:#}");
        return Ok(());
    }
    for entry in store.entries() {
        print(&store, entry);
    }
    for (name, bytes) in &unfinished {
        println!("{name}: unfinished, {}", size(*bytes));
        println!("  `model add` as before goes on; `model remove {name}` drops it");
    }
    if store.entries().is_empty() && unfinished.is_empty() {
        println!("There are no models: `genesisflow-worker model add DIR` or `model add OWNER/NAME` brings one.");
    }
    match settings.disk_quota {
        None => println!("{} in {}", size(used), store.models_dir().display()),
        Some(quota) => println!(
            "{} of the quota of {} in {}",
            size(used),
            size(quota),
            store.models_dir().display()
        ),
    }
    Ok(())
}

fn print(store: &ModelStore, entry: &Entry) {
    println!("{}: {}", entry.name(), size(bytes_of(entry)));
    let outside = if store.owns(&entry.folder) {
        ""
    } else {
        " (outside the data directory)"
    };
    println!("  folder  {}{outside}", entry.folder.display());
    match entry.model() {
        Some(id) => println!("  model   {}", shown(id)),
        None => println!("  model   not registered from here yet"),
    }
    if let Some(source) = &entry.source {
        println!("  source  {source}");
    }
}

/// What an entry's files take, by what was pinned; else by what is there.
fn bytes_of(entry: &Entry) -> u64 {
    match &entry.pins[..] {
        [] => bytes_below(&entry.folder),
        pins => pins.iter().map(|pin| pin.size).sum(),
    }
}

/// Folders that are no models yet, or were left behind.
fn unfinished(store: &ModelStore) -> Vec<(String, u64)> {
    let is_known = |name: &str| {
        let folder = store.models_dir().join(name).canonicalize();
        folder.is_ok_and(|folder| store.entry(&folder).is_some())
    };
    let mut folders = room::folders(store);
    folders.retain(|(name, _)| !is_known(name));
    folders
}
