//! Files and templates from strangers: whatever they hold, loading them ends in a model or in an
//! error, without a panic and in bounded memory.

mod files;
mod gguf;
mod measured;
mod mutation;
mod refusals;
mod templates;
mod tokenizers;
