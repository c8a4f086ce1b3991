//! `model verify`: are the files still what they were?

use super::progress::Progress;
use crate::{
    cli::{ModelArgs, ModelVerifyArgs},
    config::Settings,
    error::{Error, Kind, Result},
    manifest::ModelFolder,
    model_files::{compare, Found},
    model_store::{shown, Entry, ModelStore},
};
use serde_json::json;

/// What was found of a model.
struct Verified {
    entry: Entry,
    files: Vec<(String, Found)>,
    /// What is wrong besides single files.
    problem: Option<String>,
}

impl Verified {
    fn is_good(&self) -> bool {
        self.problem.is_none() && self.files.iter().all(|(_, found)| *found == Found::Same)
    }
}

/// Runs `model verify`.
pub async fn run(settings: &Settings, args: &ModelVerifyArgs) -> Result<()> {
    let store = ModelStore::open(&settings.data_dir)?;
    let entries = chosen(&store, &args.models)?;
    let verified = tokio::task::spawn_blocking(move || -> Vec<Verified> {
        let progress = Progress::new();
        entries
            .into_iter()
            .map(|entry| verify(entry, &progress))
            .collect()
    })
    .await
    .map_err(|error| {
        Error::new(Kind::Internal, "hashing the files ended unexpectedly").because(error)
    })?;
    if args.json {
        println!(
            "{:#}",
            json!(verified.iter().map(as_json).collect::<Vec<_>>())
        );
    } else {
        verified.iter().for_each(print);
        if verified.is_empty() {
            println!("There are no models to verify.");
        }
    }
    let bad: Vec<String> = verified
        .iter()
        .filter(|model| !model.is_good())
        .map(|model| model.entry.name())
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(
        Error::new(Kind::Model, format!("not as it was: {}", bad.join(", "))).fix(
            "restore the files named above, or remove the model and add it again; do not serve it meanwhile: a wrong result costs stake",
        ),
    )
}

fn chosen(store: &ModelStore, named: &[String]) -> Result<Vec<Entry>> {
    if named.is_empty() {
        return Ok(store.entries().to_vec());
    }
    let one = |text: &String| {
        let entry = store.named(text).and_then(|dir| store.entry(&dir).cloned());
        entry.ok_or_else(|| unknown(text))
    };
    named.iter().map(one).collect()
}

/// The error for a model that this data directory does not know.
pub(super) fn unknown(text: &str) -> Error {
    Error::new(
        Kind::Model,
        format!("this data directory has no model `{text}`"),
    )
    .fix("`genesisflow-worker model list` shows those it has")
}

fn verify(entry: Entry, progress: &Progress) -> Verified {
    if !entry.folder.is_dir() {
        return Verified {
            files: Vec::new(),
            problem: Some(format!("the folder {} is gone", entry.folder.display())),
            entry,
        };
    }
    if entry.pins.is_empty() {
        let problem = by_id(&entry);
        return Verified {
            files: Vec::new(),
            problem,
            entry,
        };
    }
    let bytes = entry.pins.iter().map(|pin| pin.size).sum();
    progress.start(&entry.name(), bytes, 0);
    let files = compare(&entry.folder, &entry.pins, &mut |more| {
        progress.advance(more)
    });
    Verified {
        files,
        problem: None,
        entry,
    }
}

/// A folder noted by an earlier release has an id and no hashes of its own.
fn by_id(entry: &Entry) -> Option<String> {
    let args = ModelArgs {
        dir: entry.folder.clone(),
        ..ModelArgs::default()
    };
    match (entry.model(), ModelFolder::describe(&args)) {
        (Some(noted), Ok(folder)) if folder.id() == noted => None,
        (Some(noted), Ok(folder)) => Some(format!(
            "it was model {} and is {} now: a file or its manifest.toml was changed",
            shown(noted),
            shown(folder.id())
        )),
        (None, Ok(_)) => {
            Some("there is nothing to compare it with: add or register it again".into())
        }
        (_, Err(error)) => Some(error.to_string()),
    }
}

fn print(model: &Verified) {
    let name = model.entry.name();
    if model.is_good() {
        println!("ok       {name}: {} files", model.files.len());
        return;
    }
    println!("CHANGED  {name} in {}", model.entry.folder.display());
    if let Some(problem) = &model.problem {
        println!("  {problem}");
    }
    for (path, found) in &model.files {
        match found {
            Found::Same => {}
            Found::Unreadable(why) => println!("  {path}: cannot be read: {why}"),
            Found::New => println!("  {path}: was not there, and the engine would read it"),
            Found::Differs(sha256, size) => {
                println!("  {path}: sha256 {} ({size} bytes)", hex::encode(sha256));
                if let Some(pin) = model.entry.pins.iter().find(|pin| pin.path == *path) {
                    println!("    was sha256 {} ({} bytes)", pin.sha256, pin.size);
                }
            }
        }
    }
}

fn as_json(model: &Verified) -> serde_json::Value {
    let files = model.files.iter().map(|(path, found)| {
        let result = match found {
            Found::Same => "ok",
            Found::Unreadable(_) => "unreadable",
            Found::Differs(..) => "differs",
            Found::New => "new",
        };
        json!({ "path": path, "result": result })
    });
    json!({
        "name": model.entry.name(),
        "id": model.entry.model().map(shown),
        "ok": model.is_good(),
        "problem": model.problem,
        "files": files.collect::<Vec<_>>(),
    })
}
