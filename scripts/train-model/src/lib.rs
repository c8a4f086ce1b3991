//! Makes the demonstration model that ships with the project: writes its
//! corpus, trains it with candle on the CPU, and measures it through the
//! project's own engine.
//!
//! A question is drawn by [`task`] from [`numbers`], [`dates`] and
//! [`phrasebook`], worded by [`question`], kept out of training by [`split`]
//! and turned into tokens by [`tokenizer`]. [`train`] feeds such questions to
//! the decoder in [`model`], whose operators are in [`ops`], and steps with
//! [`optimizer`]; [`export`] writes the result, [`evaluate`] measures it.

pub mod checkpoint;
pub mod dates;
pub mod evaluate;
pub mod export;
pub mod language;
pub mod model;
pub mod numbers;
pub mod ops;
pub mod optimizer;
pub mod parallel;
pub mod phrasebook;
pub mod question;
pub mod random;
pub mod split;
pub mod task;
pub mod tokenizer;
pub mod train;
