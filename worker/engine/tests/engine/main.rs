//! Tests of whole models. One binary, because each would link everything again.

mod another_process;
mod batching;
mod canonical_vectors;
mod commotion;
mod equivalence;
mod footprint;
mod golden;
mod measuring;
mod model_folder;
mod on_device;
mod random_model;
mod two_processes;
