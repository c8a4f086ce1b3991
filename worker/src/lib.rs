//! The GenesisFlow worker: stakes, claims jobs, runs them and delivers results.
//!
//! A reader's way in, from the outside to the inside:
//!
//! | module | what it does |
//! |---|---|
//! | [`cli`], [`config`] | what can be typed and configured |
//! | [`commands`] | one file per command |
//! | [`supervise`] | runs the two loops, and waits where the disk is full |
//! | [`job_loop`] | looks at every finalised block, claims jobs and brings them on |
//! | [`audits`] | checks the results that this worker was drawn to check, and stands by its own |
//! | [`recovery`] | the one rule for what to do next with a job |
//! | [`journal`] | what must survive a kill, written before every step |
//! | [`executor`] | runs jobs; a trait, with the engine behind it |
//! | [`market`] | what the worker needs of a chain, as a trait |
//! | [`chain`] | that trait over a node's RPC |
//! | [`manifest`], [`model_files`], [`model_store`], [`model_watch`] | models as folders and as ids, and whether their files stay as they are |
//! | [`hub`], [`first_manifest`] | models fetched, and a manifest to begin with |
//! | [`metrics`] | what Prometheus and a service manager are told |
//! | [`key`], [`error`], [`amount`], [`shutdown`], [`pause`] | what the name says |
//!
//! The library exists for the binary `genesisflow-worker` and its tests.

pub mod amount;
pub mod audits;
pub mod chain;
#[cfg(feature = "cheats")]
pub mod cheat;
pub mod cli;
pub mod commands;
pub mod config;
pub mod error;
pub mod executor;
pub mod first_manifest;
pub mod hub;
pub mod job_loop;
pub mod journal;
pub mod key;
pub mod manifest;
pub mod market;
pub mod metrics;
pub mod model_files;
pub mod model_store;
pub mod model_watch;
pub mod pause;
pub mod recovery;
pub mod shutdown;
pub mod supervise;
