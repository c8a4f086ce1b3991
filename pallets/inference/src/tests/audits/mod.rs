//! Audits, one file per step or theme. [`support`] builds what they have in common.

mod appeals;
mod ballots;
mod disputes;
mod draw;
mod fines;
mod lifecycles;
mod outcome;
mod rounds;
mod slashes;
pub mod support;
