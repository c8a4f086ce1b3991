//! The tests, one file per call or theme.

mod agenda;
mod attacks;
mod audits;
mod cancel;
mod claim;
mod deliver;
mod extension;
mod honesty;
mod lateness;
mod models;
mod money;
mod offers;
mod parameters;
mod pools;
mod progress;
mod pruning;
mod randomness;
mod sequences;
mod settle;
mod submit;
mod views;
mod workers;
