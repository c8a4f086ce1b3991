//! Pause points for the crash tests, and for nothing else.
//!
//! With a development key, the environment variable [`VARIABLE`] names a place
//! where the process prints a line and waits for ever, so that a test can kill
//! it there. Without a development key the variable is ignored.

/// The variable: `after-claim`, `before-submit`, `after-submit`,
/// `before-commit` or `after-commit`.
pub const VARIABLE: &str = "GENESISFLOW_TEST_PAUSE";

/// A place to pause at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PausePoint {
    /// The claim is finalised, the job is not run yet.
    AfterClaim,
    /// The delivery is signed and in the journal, and not submitted.
    BeforeSubmit,
    /// The node has taken the delivery, no block has it yet.
    AfterSubmit,
    /// The ballot is in the journal, and not committed to.
    BeforeCommit,
    /// The node has taken the commitment, no block has it yet.
    AfterCommit,
}

/// The pause point in force, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause(Option<PausePoint>);

impl Pause {
    /// Reads [`VARIABLE`], for workers with a development key only.
    pub fn from_environment(has_dev_key: bool) -> Self {
        let value = std::env::var(VARIABLE).ok();
        Self::parse(value.as_deref().filter(|_| has_dev_key))
    }

    fn parse(value: Option<&str>) -> Self {
        Self(match value {
            Some("after-claim") => Some(PausePoint::AfterClaim),
            Some("before-submit") => Some(PausePoint::BeforeSubmit),
            Some("after-submit") => Some(PausePoint::AfterSubmit),
            Some("before-commit") => Some(PausePoint::BeforeCommit),
            Some("after-commit") => Some(PausePoint::AfterCommit),
            _ => None,
        })
    }

    /// Pauses for ever if `point` is the one in force.
    pub fn at(self, point: PausePoint) {
        if self.0 == Some(point) {
            println!("paused {point:?}");
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_points_pause() {
        assert_eq!(Pause::parse(None), Pause(None));
        assert_eq!(Pause::parse(Some("somewhere")), Pause(None));
        assert_eq!(
            Pause::parse(Some("after-submit")),
            Pause(Some(PausePoint::AfterSubmit))
        );
        Pause::default().at(PausePoint::AfterClaim);
    }
}
