//! Which seats are paid and which are fined, once the outcome is final.
//!
//! In the round that decided, a ballot is right if it is the verdict: digest and all, so that
//! nobody is paid for a guess. In other rounds, whose seeds were others, it is right if it says
//! `valid` as the verdict does. Without any verdict, whoever revealed is paid.

use super::{Audit, Auditor, Said};
use alloc::vec::Vec;
use genesisflow_primitives::{audit::AuditTerms, Balance};

/// What an account's seats in all rounds come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged<AccountId> {
    /// Who.
    pub who: AccountId,
    /// Seats to be paid.
    pub right: u32,
    /// Fines, in base units.
    pub fine: Balance,
}

/// How one seat holder did in one round.
enum Conduct {
    Right,
    Wrong,
    Silent,
    Excused,
}

impl<AccountId: Clone + PartialEq> Audit<AccountId> {
    /// Judges all seats of the audit. `fee` and `exposure` are those of the audited job, in base
    /// units: fines follow what was at stake, not the auditor's wealth.
    pub(crate) fn judge(
        &self,
        terms: &AuditTerms,
        fee: Balance,
        exposure: Balance,
    ) -> Vec<Judged<AccountId>> {
        let verdict = self.verdict();
        let mut judged: Vec<Judged<AccountId>> = Vec::new();
        for (number, round) in self.rounds.iter().enumerate() {
            // In an outage nobody is to blame.
            if !round.anyone_revealed() {
                continue;
            }
            let deciding = verdict.is_some_and(|(deciding, _)| deciding == number);
            for auditor in &round.auditors {
                let conduct = conduct(auditor, verdict.map(|(_, verdict)| verdict), deciding);
                let (right, fine) = match conduct {
                    Conduct::Right => (auditor.seats, 0),
                    Conduct::Wrong => {
                        let fine = terms.wrong_fine(exposure);
                        (0, fine.saturating_mul(auditor.seats.into()))
                    }
                    Conduct::Silent => {
                        let fine = terms.silent_fine(fee, exposure);
                        (0, fine.saturating_mul(auditor.seats.into()))
                    }
                    Conduct::Excused => continue,
                };
                match judged.iter_mut().find(|entry| entry.who == auditor.who) {
                    Some(entry) => {
                        entry.right = entry.right.saturating_add(right);
                        entry.fine = entry.fine.saturating_add(fine);
                    }
                    None => judged.push(Judged {
                        who: auditor.who.clone(),
                        right,
                        fine,
                    }),
                }
            }
        }
        judged
    }
}

fn conduct<AccountId>(
    auditor: &Auditor<AccountId>,
    verdict: Option<genesisflow_primitives::audit::Verdict>,
    deciding: bool,
) -> Conduct {
    match (auditor.said, verdict) {
        (Said::Vacant, _) => Conduct::Excused,
        (Said::Nothing, _) if auditor.excused => Conduct::Excused,
        (Said::Nothing, _) => Conduct::Silent,
        (Said::Committed(_), _) => Conduct::Wrong,
        (Said::Revealed(_), None) => Conduct::Right,
        (Said::Revealed(ballot), Some(verdict)) => {
            let agrees = if deciding {
                ballot == verdict
            } else {
                ballot.valid == verdict.valid
            };
            if agrees {
                Conduct::Right
            } else {
                Conduct::Wrong
            }
        }
    }
}
