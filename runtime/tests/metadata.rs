//! The worker and the Polkadot.js tests read a committed copy of the runtime's
//! metadata. This test keeps it true; `UPDATE_METADATA=1` writes it anew.

use std::{fs, path::PathBuf};

/// Metadata version of the committed copy: the newest, with runtime APIs and view functions.
const VERSION: u32 = 16;

#[test]
fn committed_metadata_is_that_of_the_runtime() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../worker/artifacts/genesisflow.scale");
    let metadata = genesisflow_runtime::Runtime::metadata_at_version(VERSION)
        .expect("the runtime offers this version")
        .to_vec();
    assert!(genesisflow_runtime::Runtime::metadata_versions().contains(&VERSION));

    if std::env::var_os("UPDATE_METADATA").is_some() {
        fs::create_dir_all(path.parent().expect("the path has a folder")).expect("folder");
        fs::write(&path, &metadata).expect("metadata is written");
    }
    let committed = fs::read(&path).unwrap_or_default();
    assert!(
        committed == metadata,
        "{} ({} bytes) is not the runtime's metadata ({} bytes): run scripts/update-metadata.sh and commit the file",
        path.display(),
        committed.len(),
        metadata.len(),
    );
}
