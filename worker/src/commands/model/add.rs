//! `model add`: a model comes to this machine.
//!
//! A model is put together in a folder of its own and goes to the others in one
//! step once every file is there and right; a kill leaves what has arrived, and
//! the next try goes on from there.

use super::{progress::Progress, room, size};
use crate::{
    cli::ModelAddArgs,
    config::Settings,
    error::{Error, Kind, Result},
    first_manifest,
    hub::{download, is_plain_name, unwritable, Hub, Listed, Listing, Repository, Wanted},
    manifest::{absolute, DESCRIPTION},
    model_files::{self, Pin, GENERATION_CONFIG, OPTIONAL, TOKENIZER},
    model_store::{Entry, ModelStore},
};
use genesisflow_engine::{
    config::DecoderConfig,
    loading::{WeightFiles, CONFIG, INDEX, WEIGHTS},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

/// What is fetched unless somebody says otherwise.
const MAIN: &str = "main";
/// Copied at a time.
const PART: usize = 1 << 20;

/// Runs `model add`.
pub async fn run(settings: Settings, args: &ModelAddArgs) -> Result<()> {
    let args = args.clone();
    let work = tokio::task::spawn_blocking(move || add(&settings, &args));
    tokio::select! {
        done = work => done.map_err(|error| {
            Error::new(Kind::Internal, "adding the model ended unexpectedly").because(error)
        })?,
        // The process ends with this, and what has arrived stays.
        _ = tokio::signal::ctrl_c() => Err(Error::new(Kind::Hub, "interrupted")
            .fix("run the same command again: it goes on where it stopped")),
    }
}

/// A model at the hub, or a folder.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Folder(PathBuf),
    Hub(Repository),
}

fn add(settings: &Settings, args: &ModelAddArgs) -> Result<()> {
    let pinned = pinned_by_hand(&args.sha256)?;
    let mut store = ModelStore::open(&settings.data_dir)?;
    match source(&args.source)? {
        Source::Folder(dir) if args.in_place => keep_in_place(&mut store, &dir, args, &pinned),
        Source::Folder(dir) => copy(&mut store, settings, &dir, args, &pinned),
        Source::Hub(repository) => fetch(&mut store, settings, &repository, args, &pinned),
    }
}

fn source(text: &str) -> Result<Source> {
    let repository = |name: &str| {
        Repository::parse(name).map(Source::Hub).ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("`{text}` is no folder, and no model at the hub"),
            )
            .fix("give a folder that is there, or OWNER/NAME as on the model's page at the hub")
        })
    };
    if let Some(name) = text.strip_prefix("hf:") {
        return repository(name);
    }
    let path = Path::new(text);
    if path.is_dir() {
        return Ok(Source::Folder(absolute(path)?));
    }
    repository(text)
}

/// What `--sha256` says: file to hash.
fn pinned_by_hand(given: &[String]) -> Result<BTreeMap<String, String>> {
    let read = |text: &String| {
        let (file, hash) = text.split_once('=')?;
        let hash = hash.trim().to_ascii_lowercase();
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        (is_hash && !file.is_empty()).then(|| (file.to_owned(), hash))
    };
    let pinned = given.iter().map(|text| {
        read(text).ok_or_else(|| {
            Error::new(Kind::Usage, format!("`{text}` pins no file"))
                .fix("write --sha256 FILE=HEX with 64 hexadecimal digits, as sha256sum prints them")
        })
    });
    pinned.collect()
}

/// Makes sure that every file pinned by hand is one of the model's.
fn all_used<'a>(
    pinned: &BTreeMap<String, String>,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let names: Vec<&str> = names.into_iter().collect();
    match pinned.keys().find(|name| !names.contains(&&name[..])) {
        None => Ok(()),
        Some(name) => Err(Error::new(
            Kind::Usage,
            format!("--sha256 pins {name}, which is no file of this model"),
        )
        .fix(format!("its files are {}", names.join(", ")))),
    }
}

/// The folder that a model of this name gets, if there is none yet.
fn destination(store: &ModelStore, args: &ModelAddArgs, own: &str) -> Result<PathBuf> {
    let name = args.name.as_deref().unwrap_or(own);
    if !is_plain_name(name) {
        return Err(Error::new(
            Kind::Usage,
            format!("`{name}` cannot be the name of a model's folder"),
        )
        .fix("pass --as a name of letters, digits, dots, dashes and underscores"));
    }
    Ok(store.models_dir().join(name))
}

fn name_of(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn taken(to: &Path) -> Error {
    let name = name_of(to);
    Error::new(
        Kind::Model,
        format!("there is a model of the name {name} already"),
    )
    .fix(format!(
        "choose another name with --as, or remove it with `genesisflow-worker model remove {name}`"
    ))
}

/// Fetches a model from the hub.
fn fetch(
    store: &mut ModelStore,
    settings: &Settings,
    repository: &Repository,
    args: &ModelAddArgs,
    pinned: &BTreeMap<String, String>,
) -> Result<()> {
    if args.in_place {
        return Err(Error::new(
            Kind::Usage,
            "--in-place is for folders, and this is a model at the hub",
        )
        .fix("leave --in-place out"));
    }
    let to = destination(store, args, repository.name())?;
    let hub = Hub::new(&settings.hub)?;
    let listing = hub.list(repository, args.revision.as_deref().unwrap_or(MAIN))?;
    let commit = &listing.commit;
    let page = hub.page(repository, commit);
    if to.exists() {
        let folder = absolute(&to)?;
        let known = store.entry(&folder);
        if known.is_some_and(|entry| entry.source.as_ref() == Some(&page)) {
            println!("{repository} at {commit} is in {} already.", to.display());
            println!(
                "`genesisflow-worker model verify {}` checks it.",
                name_of(&to)
            );
            return Ok(());
        }
        return Err(taken(&to));
    }
    eprintln!("{repository} at commit {commit}");

    let name = name_of(&to);
    let partial = store
        .partial_dir()
        .join(format!("{name}-{}", &commit[..12]));
    let there = model_files::bytes_below(&partial);
    let (mut files, weights) = first_files(repository, &listing)?;
    let mut bytes: u64 = files.iter().map(|file| file.size).sum();
    if let Weights::Single(file) = &weights {
        bytes += file.size;
    }
    room::require(
        store,
        settings.disk_quota,
        &name,
        bytes.saturating_sub(there),
    )?;
    std::fs::create_dir_all(&partial).map_err(|error| unwritable(&partial, error))?;

    let progress = Progress::new();
    let mut pins = Vec::new();
    let mut get = |file: &Listed| -> Result<()> {
        let wanted = Wanted {
            url: hub.file(repository, commit, &file.path),
            path: file.path.clone(),
            size: file.size,
            expected: file.expected.clone(),
            pinned: pinned.get(&file.path).cloned(),
        };
        let mut begun = false;
        pins.push(download(&hub, &wanted, &partial, &mut |done| {
            if !begun {
                progress.start(&wanted.path, wanted.size, done);
                begun = true;
            }
            progress.reach(done);
        })?);
        Ok(())
    };
    files.iter().try_for_each(&mut get)?;
    let weights = match weights {
        Weights::Single(file) => vec![file],
        Weights::Sharded => shards(&partial, repository, &listing)?,
    };
    all_used(
        pinned,
        files.iter().chain(&weights).map(|file| &file.path[..]),
    )?;
    // A model that cannot be run is not worth its weights.
    let config = std::fs::read(partial.join(CONFIG)).map_err(|e| unwritable(&partial, e))?;
    DecoderConfig::from_json(&config).map_err(|e| first_manifest::unusable(&partial, e))?;
    let bytes: u64 = weights.iter().map(|file| file.size).sum();
    let there = model_files::bytes_below(&partial);
    let small: u64 = files.iter().map(|file| file.size).sum();
    let missing = (bytes + small).saturating_sub(there);
    room::require(store, settings.disk_quota, &name, missing)?;
    weights.iter().try_for_each(&mut get)?;
    files.extend(weights);
    drop(progress);

    settle(store, &partial, &to, Some(page), pins)
}

/// Where a repository's weights are.
#[derive(Debug, PartialEq, Eq)]
enum Weights {
    Single(Listed),
    /// In the files that the index names.
    Sharded,
}

/// The files of a repository that the engine reads, besides the weights.
fn first_files(repository: &Repository, listing: &Listing) -> Result<(Vec<Listed>, Weights)> {
    let listed = |name: &str| listing.files.iter().find(|file| file.path == name).cloned();
    let lacks = |name: &str| {
        Error::new(
            Kind::Model,
            format!("{repository} has no {name} that could be checked"),
        )
    };
    let mut files = Vec::new();
    for name in [CONFIG, TOKENIZER] {
        let needed = listed(name).ok_or_else(|| {
            lacks(name).fix(
                "choose a repository with config.json, tokenizer.json and weights in safetensors",
            )
        })?;
        files.push(needed);
    }
    let optional = OPTIONAL.into_iter().chain([GENERATION_CONFIG]);
    files.extend(optional.filter_map(listed));
    if let Some(single) = listed(WEIGHTS) {
        return Ok((files, Weights::Single(single)));
    }
    if let Some(index) = listed(INDEX) {
        files.push(index);
        return Ok((files, Weights::Sharded));
    }
    let has = |end: &str| listing.files.iter().any(|file| file.path.ends_with(end));
    let others: Vec<&str> = [".gguf", ".bin", ".pth"]
        .into_iter()
        .filter(|end| has(end))
        .collect();
    let error = lacks(WEIGHTS);
    let error = if others.is_empty() {
        error
    } else {
        error.because(format!("its weights are in {} files", others.join(" and ")))
    };
    Err(error.fix("choose the repository with the original weights in safetensors"))
}

/// The shards that the index in `dir` names.
fn shards(dir: &Path, repository: &Repository, listing: &Listing) -> Result<Vec<Listed>> {
    let found = WeightFiles::find(dir).map_err(|error| first_manifest::unusable(dir, error))?;
    let names = found.names().into_iter();
    let shards = names.filter(|name| name != CONFIG && name != INDEX);
    let listed = shards.map(|name| {
        let listed = listing.files.iter().find(|file| file.path == name);
        listed.cloned().ok_or_else(|| {
            Error::new(
                Kind::Model,
                format!("{repository} has no {name}, which its index names"),
            )
            .fix("choose another --revision: this one is incomplete")
        })
    });
    listed.collect()
}

/// Copies a model's folder.
fn copy(
    store: &mut ModelStore,
    settings: &Settings,
    from: &Path,
    args: &ModelAddArgs,
    pinned: &BTreeMap<String, String>,
) -> Result<()> {
    no_revision(args)?;
    let to = destination(store, args, &name_of(from))?;
    if to.exists() {
        return Err(taken(&to));
    }
    let names = names_in(from)?;
    all_used(pinned, names.iter().map(String::as_str))?;
    first_manifest::check_runnable(from)?;
    let partial = store.partial_dir().join(name_of(&to));
    // Whatever an earlier try left: a copy is quickly made again.
    match std::fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(unwritable(&partial, error))
        }
        _ => {}
    }
    let length = |name: &String| std::fs::metadata(from.join(name)).map_or(0, |file| file.len());
    let bytes = names.iter().map(length).sum();
    room::require(store, settings.disk_quota, &name_of(&to), bytes)?;
    std::fs::create_dir_all(&partial).map_err(|error| unwritable(&partial, error))?;

    let progress = Progress::new();
    let mut pins = Vec::new();
    for name in &names {
        progress.start(name, length(name), 0);
        let pin = copy_file(&from.join(name), &partial.join(name), name, &progress)?;
        check_pin(&pin, pinned)?;
        pins.push(pin);
    }
    // Part of the model's id, but none of the files that the engine reads.
    let manifest = from.join(DESCRIPTION);
    if manifest.is_file() {
        copy_file(
            &manifest,
            &partial.join(DESCRIPTION),
            DESCRIPTION,
            &progress,
        )?;
    }
    drop(progress);
    settle(store, &partial, &to, None, pins)
}

fn no_revision(args: &ModelAddArgs) -> Result<()> {
    match &args.revision {
        None => Ok(()),
        Some(revision) => Err(Error::new(
            Kind::Usage,
            format!("a folder has no --revision {revision}"),
        )
        .fix("leave it out, or write hf:OWNER/NAME for a model at the hub")),
    }
}

/// The files of a folder that belong to its model.
fn names_in(dir: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = model_files::files(dir)?
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    if dir.join(GENERATION_CONFIG).is_file() {
        names.push(GENERATION_CONFIG.to_owned());
    }
    Ok(names)
}

fn copy_file(from: &Path, to: &Path, name: &str, progress: &Progress) -> Result<Pin> {
    let unreadable = |error: std::io::Error| {
        Error::new(
            Kind::Model,
            format!("cannot read the model file {}", from.display()),
        )
        .because(error)
        .fix("check that the file is there and readable")
    };
    let mut source = File::open(from).map_err(unreadable)?;
    let mut copy = File::create(to).map_err(|error| unwritable(to, error))?;
    let (mut digest, mut size) = (Sha256::new(), 0);
    let mut buffer = vec![0; PART];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        digest.update(&buffer[..read]);
        copy.write_all(&buffer[..read])
            .map_err(|error| unwritable(to, error))?;
        size += read as u64;
        progress.reach(size);
    }
    copy.sync_all().map_err(|error| unwritable(to, error))?;
    Ok(Pin {
        path: name.to_owned(),
        size,
        sha256: hex::encode(digest.finalize()),
    })
}

fn check_pin(pin: &Pin, pinned: &BTreeMap<String, String>) -> Result<()> {
    match pinned.get(&pin.path) {
        Some(wanted) if *wanted != pin.sha256 => Err(Error::new(
            Kind::Model,
            format!("{} is not the file that you want", pin.path),
        )
        .because(format!("its sha256 is {}, not {wanted}", pin.sha256))
        .fix("get the right file, or correct --sha256")),
        _ => Ok(()),
    }
}

/// Notes a folder without copying it.
fn keep_in_place(
    store: &mut ModelStore,
    dir: &Path,
    args: &ModelAddArgs,
    pinned: &BTreeMap<String, String>,
) -> Result<()> {
    if let Some(name) = &args.name {
        return Err(Error::new(
            Kind::Usage,
            format!("a folder that stays in place cannot be called {name}"),
        )
        .fix("leave out --as or --in-place"));
    }
    all_used(pinned, names_in(dir)?.iter().map(String::as_str))?;
    first_manifest::check_runnable(dir)?;
    let progress = Progress::new();
    progress.start(&name_of(dir), model_files::bytes_below(dir), 0);
    let pins = model_files::pin(dir, &mut |more| progress.advance(more))?;
    drop(progress);
    pins.iter().try_for_each(|pin| check_pin(pin, pinned))?;
    let wrote = first_manifest::write(dir, &name_of(dir), None)?;
    let known = store.entry(dir).cloned();
    let entry = known.unwrap_or_else(|| Entry::new(dir, None, Vec::new()));
    store.add(entry.with_pins(pins.clone()))?;
    report(&dir.display().to_string(), dir, None, &pins, wrote);
    Ok(())
}

/// Checks what was put together, and lets it be a model of this directory.
fn settle(
    store: &mut ModelStore,
    partial: &Path,
    to: &Path,
    source: Option<String>,
    pins: Vec<Pin>,
) -> Result<()> {
    first_manifest::check_runnable(partial)?;
    let name = name_of(to);
    let wrote = first_manifest::write(partial, &name, source.as_deref())?;
    std::fs::rename(partial, to).map_err(|error| unwritable(to, error))?;
    // The folder's name is on the disk before the list speaks of it.
    let synced = File::open(store.models_dir()).and_then(|dir| dir.sync_all());
    synced.map_err(|error| unwritable(to, error))?;
    let folder = absolute(to)?;
    store.add(Entry::new(&folder, source.clone(), pins.clone()))?;
    report(&name, &folder, source.as_deref(), &pins, wrote);
    Ok(())
}

fn report(called: &str, folder: &Path, source: Option<&str>, pins: &[Pin], wrote: bool) {
    let bytes = pins.iter().map(|pin| pin.size).sum();
    println!(
        "Added {} in {}: {} files, {}, every one checked.",
        name_of(folder),
        folder.display(),
        pins.len(),
        size(bytes)
    );
    for pin in pins {
        println!("  {} {}", pin.sha256, pin.path);
    }
    if let Some(source) = source {
        println!("  from {source}");
    }
    let manifest = folder.join(DESCRIPTION);
    if wrote {
        println!("Wrote {}: review its limits and terms.", manifest.display());
    }
    println!("Next: `genesisflow-worker model register {called}`, then `offer --model {called}`.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Expected;

    fn listing(names: &[&str]) -> Listing {
        let file = |name: &&str| Listed {
            path: (*name).to_owned(),
            size: 1,
            expected: Expected::Sha256("a".repeat(64)),
        };
        Listing {
            commit: "c".repeat(40),
            files: names.iter().map(file).collect(),
        }
    }

    fn repository() -> Repository {
        Repository::parse("owner/name").unwrap()
    }

    #[test]
    fn a_source_is_a_folder_if_there_is_one_and_else_a_repository() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().to_str().unwrap();
        assert!(matches!(source(here), Ok(Source::Folder(_))));
        assert_eq!(source("owner/name").unwrap(), Source::Hub(repository()));
        assert_eq!(source("hf:owner/name").unwrap(), Source::Hub(repository()));
        for bad in ["/no/such/folder", "hf:/tmp", "a/b/c", ""] {
            assert_eq!(source(bad).unwrap_err().kind(), Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn pins_are_read_and_refused() {
        let hash = "AB".repeat(32);
        let pinned = pinned_by_hand(&[format!("config.json={hash}")]).unwrap();
        assert_eq!(pinned["config.json"], hash.to_lowercase());
        assert!(all_used(&pinned, ["config.json", "x"]).is_ok());
        let error = all_used(&pinned, ["x", "y"]).unwrap_err();
        assert!(error.to_string().contains("x, y"), "{error}");
        for bad in ["", "config.json", "config.json=12", &format!("={hash}")] {
            assert!(pinned_by_hand(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_the_engine_reads_is_fetched() {
        let all = [
            CONFIG,
            TOKENIZER,
            OPTIONAL[0],
            "README.md",
            WEIGHTS,
            "onnx/model.onnx",
        ];
        let (files, weights) = first_files(&repository(), &listing(&all)).unwrap();
        let names: Vec<_> = files.iter().map(|file| &file.path[..]).collect();
        assert_eq!(names, [CONFIG, TOKENIZER, OPTIONAL[0]]);
        assert!(matches!(weights, Weights::Single(file) if file.path == WEIGHTS));

        let sharded = [CONFIG, TOKENIZER, INDEX, "a.safetensors"];
        let (files, weights) = first_files(&repository(), &listing(&sharded)).unwrap();
        assert_eq!(files.last().unwrap().path, INDEX);
        assert_eq!(weights, Weights::Sharded);
    }

    #[test]
    fn a_repository_that_lacks_something_is_refused_by_name() {
        let refused = |names: &[&str]| {
            let error = first_files(&repository(), &listing(names)).unwrap_err();
            assert_eq!(error.kind(), Kind::Model);
            error.to_string()
        };
        assert!(refused(&[TOKENIZER, WEIGHTS]).contains(CONFIG));
        assert!(refused(&[CONFIG, WEIGHTS]).contains(TOKENIZER));
        assert!(refused(&[CONFIG, TOKENIZER]).contains(WEIGHTS));
        assert!(refused(&[CONFIG, TOKENIZER, "q.gguf"]).contains(".gguf"));
    }

    #[test]
    fn shards_must_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let index = r#"{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}"#;
        std::fs::write(dir.path().join(INDEX), index).unwrap();
        std::fs::write(dir.path().join(CONFIG), "{}").unwrap();
        let both = listing(&["a.safetensors", "b.safetensors", "c.safetensors"]);
        assert_eq!(shards(dir.path(), &repository(), &both).unwrap().len(), 2);
        let one = listing(&["a.safetensors"]);
        let error = shards(dir.path(), &repository(), &one).unwrap_err();
        assert!(error.to_string().contains("b.safetensors"), "{error}");
    }
}
