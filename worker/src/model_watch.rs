//! Notices that a model's files have changed on disk while the worker runs.
//!
//! The weights are in memory by then, and still right. But what the disk holds
//! is what the next start would load, and a file that changes by itself is the
//! first sign of a disk or an operator gone wrong: so the worker stops serving
//! the model and names the file, rather than stake its exposure on it. When the
//! file is restored, the model is served again.
//!
//! Sizes and times are looked at before and after each run and every few
//! seconds; the files are hashed only if one of these differs.

use crate::{
    executor::{Assignment, Cancel, ExecutionError, Executor, ModelToLoad, ReplayTask, Replayed},
    journal::Delivery,
    manifest::text,
    model_files::check_files,
    model_store::shown,
};
use async_trait::async_trait;
use genesisflow_primitives::{ModelId, ModelManifest, Usage};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// How often to look at the files while nothing is computed.
const EVERY: Duration = Duration::from_secs(5);

/// What a look at a file shows without reading it: its size and when it was
/// changed; none if it is not there.
type Stamp = Option<(u64, Option<SystemTime>)>;

/// The folders of the models at work.
#[derive(Clone)]
pub struct ModelWatch(Arc<HashMap<ModelId, Folder>>);

struct Folder {
    dir: PathBuf,
    manifest: ModelManifest,
    seen: Mutex<Seen>,
    /// Held while the files are hashed: once is enough.
    hashing: tokio::sync::Mutex<()>,
}

struct Seen {
    stamps: Vec<Stamp>,
    /// What is wrong with the files, as they were looked at last.
    wrong: Option<String>,
}

impl ModelWatch {
    /// Begins to watch `models`, whose files have just been found right.
    pub fn new(models: &[ModelToLoad]) -> Self {
        let folder = |model: &ModelToLoad| Folder {
            dir: model.dir.clone(),
            manifest: model.manifest.clone(),
            seen: Mutex::new(Seen {
                stamps: stamps(&model.dir, &model.manifest),
                wrong: None,
            }),
            hashing: tokio::sync::Mutex::default(),
        };
        let folders = models.iter().map(|model| (model.id, folder(model)));
        Self(Arc::new(folders.collect()))
    }

    /// Looks at all folders for as long as the program runs.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            for model in self.0.keys() {
                // Said when it is found out.
                let _ = self.check(*model).await;
            }
        }
    }

    /// Whether a model's files were right when they were looked at last.
    pub fn is_intact(&self, model: ModelId) -> bool {
        let folder = self.0.get(&model);
        folder.is_none_or(|folder| folder.seen().wrong.is_none())
    }

    /// Looks at a model's files.
    ///
    /// # Errors
    /// What is wrong, naming the file.
    pub async fn check(&self, model: ModelId) -> Result<(), String> {
        let Some(folder) = self.0.get(&model) else {
            return Ok(());
        };
        if let Some(known) = folder.known() {
            return known;
        }
        let _alone = folder.hashing.lock().await;
        if let Some(known) = folder.known() {
            return known;
        }
        let (dir, manifest) = (folder.dir.clone(), folder.manifest.clone());
        let looked = tokio::task::spawn_blocking(move || {
            // Taken before the files are read: a change meanwhile shows next time.
            let stamps = stamps(&dir, &manifest);
            let wrong = check_files(&dir, &manifest).err();
            (stamps, wrong.map(|error| error.to_string()))
        });
        let (stamps, wrong) = looked.await.map_err(|error| error.to_string())?;
        let mut seen = folder.seen();
        match (&seen.wrong, &wrong) {
            (None, Some(wrong)) => tracing::error!(
                "model {} is not served any more: {wrong}\n  (jobs in hand on it are given up; once the file is restored, it is served again)",
                shown(model)
            ),
            (Some(_), None) => tracing::info!(
                "the files of model {} are right again: it is served",
                shown(model)
            ),
            _ => {}
        }
        *seen = Seen { stamps, wrong };
        seen.wrong.clone().map_or(Ok(()), Err)
    }
}

impl Folder {
    /// What is known of the files, if they look as when that was found out.
    fn known(&self) -> Option<Result<(), String>> {
        let now = stamps(&self.dir, &self.manifest);
        let seen = self.seen();
        (seen.stamps == now).then(|| seen.wrong.clone().map_or(Ok(()), Err))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stamp for the folder, for files that come and go, and one for each file.
fn stamps(dir: &Path, manifest: &ModelManifest) -> Vec<Stamp> {
    let files = manifest.files.iter();
    let files = files.map(|file| dir.join(&*text(&file.path)));
    let stamp = |path: PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.len(), metadata.modified().ok()))
    };
    std::iter::once(dir.to_owned())
        .chain(files)
        .map(stamp)
        .collect()
}

/// An executor that serves no model whose files have changed.
pub struct Watched<E> {
    inner: E,
    watch: ModelWatch,
}

impl<E> Watched<E> {
    /// `inner` as long as the files are right.
    pub fn new(inner: E, watch: ModelWatch) -> Self {
        Self { inner, watch }
    }

    async fn require_intact(&self, model: ModelId) -> Result<(), ExecutionError> {
        let checked = self.watch.check(model).await;
        checked.map_err(ExecutionError::Refused)
    }
}

#[async_trait]
impl<E: Executor> Executor for Watched<E> {
    fn serves(&self, model: ModelId) -> bool {
        self.watch.is_intact(model) && self.inner.serves(model)
    }

    async fn estimate(&self, assignment: &Assignment) -> Result<Duration, ExecutionError> {
        self.require_intact(assignment.model).await?;
        self.inner.estimate(assignment).await
    }

    fn work(&self, model: ModelId, units: Usage) -> Duration {
        self.inner.work(model, units)
    }

    async fn execute(
        &self,
        assignment: Assignment,
        cancel: Cancel,
    ) -> Result<Delivery, ExecutionError> {
        let model = assignment.model;
        self.require_intact(model).await?;
        let delivery = self.inner.execute(assignment, cancel).await?;
        self.require_intact(model).await?;
        Ok(delivery)
    }

    async fn replay(&self, task: ReplayTask, cancel: Cancel) -> Result<Replayed, ExecutionError> {
        let model = task.assignment.model;
        self.require_intact(model).await?;
        let replayed = self.inner.replay(task, cancel).await?;
        self.require_intact(model).await?;
        Ok(replayed)
    }
}
