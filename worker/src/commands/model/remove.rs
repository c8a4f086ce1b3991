//! `model remove`: a model goes.

use super::{size, verify::unknown};
use crate::{
    cli::ModelRemoveArgs,
    commands::connect,
    config::Settings,
    error::{Error, Kind, Result},
    hub::{is_plain_name, unwritable},
    market::View,
    model_files::bytes_below,
    model_store::{shown, Entry, ModelStore},
};
use genesisflow_primitives::ModelId;
use std::path::Path;

/// Runs `model remove`.
pub async fn run(settings: &Settings, args: &ModelRemoveArgs) -> Result<()> {
    let mut store = ModelStore::open(&settings.data_dir)?;
    let Some(entry) = entry(&store, &args.model) else {
        return unfinished(&store, &args.model);
    };
    if let (Some(id), false) = (entry.model(), args.force) {
        require_idle(settings, id, &entry).await?;
    }
    let name = entry.name();
    if !store.owns(&entry.folder) {
        store.forget(&entry.folder)?;
        println!(
            "Forgot {name}. Its files are outside the data directory and stay: {}",
            entry.folder.display()
        );
        return Ok(());
    }
    let bytes = delete(&store, &entry.folder)?;
    store.forget(&entry.folder)?;
    println!("Removed {name}: {} are free again.", size(bytes));
    if let Some(source) = &entry.source {
        println!("  it came from {source}");
    }
    Ok(())
}

/// The entry that somebody means, also if its folder is gone.
fn entry(store: &ModelStore, text: &str) -> Option<Entry> {
    if let Some(entry) = store.named(text).and_then(|dir| store.entry(&dir)) {
        return Some(entry.clone());
    }
    let means = |entry: &&Entry| {
        entry.folder == Path::new(text) || entry.name() == text && !entry.folder.exists()
    };
    store.entries().iter().find(means).cloned()
}

/// Drops a download that was never finished, or a folder that was left behind.
fn unfinished(store: &ModelStore, text: &str) -> Result<()> {
    let places = [
        store.partial_dir().join(text),
        store.models_dir().join(text),
    ];
    let left = places
        .iter()
        .find(|dir| is_plain_name(text) && dir.is_dir());
    let Some(dir) = left else {
        return Err(unknown(text));
    };
    let bytes = delete(store, dir)?;
    println!(
        "Removed what had arrived of {text}: {} are free again.",
        size(bytes)
    );
    Ok(())
}

/// Deletes a folder of the store, and says what that frees.
fn delete(store: &ModelStore, dir: &Path) -> Result<u64> {
    let bytes = bytes_below(dir);
    let partial = store.partial_dir();
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    // In one step, so that a kill leaves no half model under its name.
    let doomed = partial.join(format!("{name}.removed"));
    let removed = std::fs::create_dir_all(&partial)
        .and_then(|()| match std::fs::remove_dir_all(&doomed) {
            // Left behind by a removal that was killed, it would be in the way.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .and_then(|()| std::fs::rename(dir, &doomed))
        .and_then(|()| std::fs::remove_dir_all(&doomed));
    match removed {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(unwritable(dir, error)),
    }
}

/// Makes sure that nothing on the chain needs the model of this worker.
async fn require_idle(settings: &Settings, id: ModelId, entry: &Entry) -> Result<()> {
    let name = entry.name();
    let unsure = |error: Error| {
        let shown = error.to_string();
        Error::new(
            error.kind(),
            format!("cannot tell whether this worker still offers {name}"),
        )
        .because(shown.lines().next().unwrap_or_default())
        .fix(
            "make the key and the chain reachable as for `status`; or pass --force if you are sure",
        )
    };
    let chain = connect(settings).await.map_err(unsure)?;
    let view = chain.view().await.map_err(unsure)?;
    let give_up = |error| unsure(chain.give_up(error));
    let refused = |why: String, cure: String| {
        Err(Error::new(Kind::Model, format!("{name} is still needed: {why}")).fix(cure))
    };
    if view.offer(id).await.map_err(give_up)?.is_some() {
        return refused(
            "this worker offers it".into(),
            format!(
                "run `genesisflow-worker offer --model {} --remove` first, and wait until `jobs` lists nothing of it",
                shown(id)
            ),
        );
    }
    let claims = view.claims().await.map_err(give_up)?;
    if let Some(claim) = claims.iter().find(|claim| claim.model == id) {
        return refused(
            format!("job {} is to be delivered", claim.job),
            "keep `run` going until it is".into(),
        );
    }
    let seats = view.seats().await.map_err(give_up)?;
    if let Some(seat) = seats.iter().find(|seat| seat.model == id) {
        return refused(
            format!("this worker is to audit job {}", seat.job),
            "keep `run` going until that is over: silence is fined".into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_was_killed_is_not_in_the_way_of_the_next() {
        let data = tempfile::tempdir().unwrap();
        let store = ModelStore::open(data.path()).unwrap();
        let left = store.partial_dir().join("tiny.removed");
        let dir = store.models_dir().join("tiny");
        for (folder, bytes) in [(&left, 7), (&dir, 1_000)] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("w"), vec![0; bytes]).unwrap();
        }
        assert_eq!(delete(&store, &dir).unwrap(), 1_000);
        assert!(!dir.exists() && !left.exists());
        assert_eq!(delete(&store, &dir).unwrap(), 0);
    }
}
