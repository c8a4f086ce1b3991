//! What a person reads when something goes wrong.
//!
//! Every error says what happened and with which value, why (the cause), and
//! what to do next (the cure). Its kind decides the exit code, so that a
//! service manager or a script can tell a wrong key from a chain that is down.

use std::fmt;

/// Result of the worker's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in the classes that call for different actions.
///
/// The discriminant is the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Something that should not happen; worth reporting.
    Internal = 1,
    /// Wrong arguments or configuration (clap uses the same code).
    Usage = 2,
    /// The signing key is missing, unreadable or not acceptable.
    Key = 3,
    /// The chain cannot be reached.
    Unreachable = 4,
    /// The chain is not the one this worker's journal belongs to.
    WrongChain = 5,
    /// The chain's runtime is not the one this worker was built for.
    Runtime = 6,
    /// The account has no stake, too little money, or is not active.
    Account = 7,
    /// A model is missing, changed, not registered, or has no offer.
    Model = 8,
    /// The journal or the data directory cannot be used.
    Journal = 9,
    /// The chain refused a transaction.
    Transaction = 10,
    /// A replayed result is wrong.
    WrongResult = 11,
    /// A job, or what is needed of it, is not on the chain.
    Job = 12,
    /// The hub of models cannot be reached, or does not give what was asked for.
    Hub = 13,
    /// No device is left that computes.
    Device = 14,
}

impl Kind {
    /// The exit code of the process.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// An error with its cause and its cure.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    cause: Option<String>,
    cure: Option<String>,
    may_pass: bool,
}

impl Error {
    /// An error of `kind`; `message` says what went wrong, with the value.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
            cure: None,
            may_pass: false,
        }
    }

    /// Adds why it went wrong.
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what to do next.
    pub fn fix(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    /// Says that it may pass without a new start: a disk that is full now, say.
    pub fn passing(mut self) -> Self {
        self.may_pass = true;
        self
    }

    /// Whether a running worker should wait until it is over instead of ending.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// The class of the error.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        if let Some(cure) = &self.cure {
            write!(f, "\n  To fix it: {cure}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_what_why_and_what_to_do() {
        let error = Error::new(Kind::Key, "cannot read the key file /k")
            .because("permission denied")
            .fix("run `chmod 600 /k`");
        assert_eq!(
            error.to_string(),
            "cannot read the key file /k: permission denied\n  To fix it: run `chmod 600 /k`"
        );
        assert_eq!(error.kind().exit_code(), 3);
    }
}
