//! Accounts whose keys the harness has.

use genesisflow_runtime::AccountId;
use sp_core::{sr25519, Pair};
use sp_keyring::Sr25519Keyring;
use std::sync::LazyLock;

pub struct Person {
    pub account: AccountId,
    pub pair: sr25519::Pair,
}

/// Accounts that begin with nothing.
const STRANGERS: u32 = 4;

/// Everybody: first the development accounts, of which the first is root and makes the blocks, then
/// strangers without money.
pub static PEOPLE: LazyLock<Vec<Person>> = LazyLock::new(|| {
    let known = Sr25519Keyring::well_known().map(|key| key.pair());
    let strangers = (0..STRANGERS).map(|number| {
        sr25519::Pair::from_string(&format!("//Stranger//{number}"), None).expect("a sound path")
    });
    known
        .chain(strangers)
        .map(|pair| Person {
            account: pair.public().into(),
            pair,
        })
        .collect()
});

/// Root, and the author of all blocks.
pub fn root() -> &'static Person {
    &PEOPLE[0]
}

/// Whose account this is, if its key is known.
pub fn person(account: &AccountId) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.account == *account)
}
