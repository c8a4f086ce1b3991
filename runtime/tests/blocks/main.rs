//! Whole blocks on the development chain: BABE digests, inherents, signed transactions through all
//! extensions, `on_idle`, and every promise checked after each of them.
//!
//! | file | what it has |
//! |---|---|
//! | `chain.rs` | blocks as an author builds them and as everybody else executes them |
//! | `people.rs` | accounts whose keys are known |
//! | `promises.rs` | what must hold after every block |
//! | `complaints.rs` | what the runtime logs as an error, which is a failure |
//! | `fuzz.rs` | the test: many random stories, in an ordinary run always the same |
//! | `governance.rs` | tests: what root can do about audits while they run |
//! | `hostile_sizes.rs` | tests: the largest arguments take no longer than they are charged for |
//! | `story.rs` | one story: blocks that follow from numbers, and an end in which everybody leaves |
//! | `market.rs` | what the market's people want next |
//! | `calls.rs` | arbitrary calls of all pallets |
//! | `coverage.rs` | what the stories have reached |
//! | `dice.rs` | reproducible choices |

mod calls;
mod chain;
mod complaints;
mod coverage;
mod dice;
mod fuzz;
mod governance;
mod hostile_sizes;
mod market;
mod people;
mod promises;
mod story;
