//! `commit_ballot` and `reveal_ballot`: nobody can see a ballot before all have committed.

use super::{Auditor, Next, Phase, Said, UnderAudit};
use crate::{
    jobs::{JobState, OpenedJob},
    Config, Error, Event, Pallet,
};
use frame_support::ensure;
use genesisflow_primitives::{
    audit::{ballot_commitment, Ballot},
    BlockNumber, JobId, H256,
};
use sp_runtime::{traits::Zero, DispatchError, DispatchResult};

/// A job, its result under audit, and the last block of the audit's phase.
type OpenAudit<AccountId> = (OpenedJob<AccountId>, UnderAudit<AccountId>, BlockNumber);

impl<T: Config> Pallet<T> {
    pub(crate) fn do_commit(who: T::AccountId, id: JobId, commitment: H256) -> DispatchResult {
        let (mut opened, mut under, until) = Self::open_audit(id)?;
        Self::ensure_can_commit(&under, until, &who)?;
        let round = Self::say(&mut under, &who, Said::Committed(commitment))?;
        Self::deposit_event(Event::BallotCommitted {
            job: id,
            round,
            auditor: who,
        });
        let waits = under.audit.rounds.last().is_some_and(|round| {
            round
                .auditors
                .iter()
                .any(|auditor| auditor.said == Said::Nothing)
        });
        let next = if waits {
            Next::Audit(until)
        } else {
            Self::end_commits(id, &opened.job, &mut under, Self::now())?
        };
        Self::close_audit(&mut opened, under, next);
        Self::save(opened);
        Ok(())
    }

    pub(crate) fn do_reveal(
        who: T::AccountId,
        id: JobId,
        ballot: Ballot,
        salt: H256,
    ) -> DispatchResult {
        let (mut opened, mut under, until) = Self::open_audit(id)?;
        Self::ensure_can_reveal(id, &under, until, &who, ballot, salt)?;
        let round = Self::say(&mut under, &who, Said::Revealed(ballot))?;
        Self::deposit_event(Event::BallotRevealed {
            job: id,
            round,
            auditor: who,
            digest: ballot.digest,
            valid: ballot.valid,
        });
        let waits = under.audit.rounds.last().is_some_and(|round| {
            let hidden = |said: &Said| matches!(said, Said::Committed(_));
            round.auditors.iter().any(|auditor| hidden(&auditor.said))
        });
        let next = if waits {
            Next::Audit(until)
        } else {
            Self::end_round(id, &opened.job, &mut under, Self::now())?
        };
        Self::close_audit(&mut opened, under, next);
        Self::save(opened);
        Ok(())
    }

    /// Whether a commitment of this account would be taken now.
    pub(crate) fn check_commit_standing(
        who: &T::AccountId,
        id: JobId,
    ) -> Result<(), DispatchError> {
        let (_, under, until) = Self::open_audit(id)?;
        Self::ensure_can_commit(&under, until, who)
    }

    /// Whether this account could reveal this ballot now.
    pub(crate) fn check_reveal_standing(
        who: &T::AccountId,
        id: JobId,
        ballot: Ballot,
        salt: H256,
    ) -> Result<(), DispatchError> {
        let (_, under, until) = Self::open_audit(id)?;
        Self::ensure_can_reveal(id, &under, until, who, ballot, salt)
    }

    fn ensure_can_commit(
        under: &UnderAudit<T::AccountId>,
        until: BlockNumber,
        who: &T::AccountId,
    ) -> Result<(), DispatchError> {
        let seat = Self::seat_of(under, who)?;
        match (under.audit.phase, seat.said) {
            (Phase::Commit, Said::Nothing) => {}
            (_, Said::Committed(_) | Said::Revealed(_)) => {
                return Err(Error::<T>::AlreadyCommitted.into())
            }
            _ => return Err(Error::<T>::NotCommitting.into()),
        }
        ensure!(Self::now() <= until, Error::<T>::NotCommitting);
        Ok(())
    }

    fn ensure_can_reveal(
        id: JobId,
        under: &UnderAudit<T::AccountId>,
        until: BlockNumber,
        who: &T::AccountId,
        ballot: Ballot,
        salt: H256,
    ) -> Result<(), DispatchError> {
        let seat = Self::seat_of(under, who)?;
        let commitment = match seat.said {
            Said::Committed(commitment) => commitment,
            Said::Revealed(_) => return Err(Error::<T>::AlreadyRevealed.into()),
            Said::Nothing | Said::Vacant => return Err(Error::<T>::NothingCommitted.into()),
        };
        ensure!(
            under.audit.phase == Phase::Reveal && Self::now() <= until,
            Error::<T>::NotRevealing
        );
        let round = under
            .audit
            .last_round()
            .map(|(number, _)| number)
            .ok_or_else(|| Self::corrupted("an audit without a round"))?;
        let opened = ballot_commitment(&Self::genesis_hash(), id, round, who, &ballot, &salt);
        ensure!(opened == commitment, Error::<T>::CommitmentDiffers);
        Ok(())
    }

    /// The seat of an account in the last round, if one is expected to act.
    fn seat_of<'a>(
        under: &'a UnderAudit<T::AccountId>,
        who: &T::AccountId,
    ) -> Result<&'a Auditor<T::AccountId>, DispatchError> {
        let round = under.audit.rounds.last();
        round
            .and_then(|round| round.auditors.iter().find(|auditor| auditor.who == *who))
            .filter(|auditor| auditor.said != Said::Vacant)
            .ok_or_else(|| Error::<T>::NoSeat.into())
    }

    /// Writes down what an account said; returns the round's number.
    fn say(
        under: &mut UnderAudit<T::AccountId>,
        who: &T::AccountId,
        said: Said,
    ) -> Result<u8, DispatchError> {
        let number = under.audit.last_round().map(|(number, _)| number);
        let seat = under
            .audit
            .rounds
            .last_mut()
            .and_then(|round| round.auditors.iter_mut().find(|a| a.who == *who));
        match (number, seat) {
            (Some(number), Some(seat)) => {
                seat.said = said;
                Ok(number)
            }
            _ => Err(Error::<T>::NoSeat.into()),
        }
    }

    /// Reads a job whose result is under audit; also returns the last block of the phase.
    fn open_audit(id: JobId) -> Result<OpenAudit<T::AccountId>, DispatchError> {
        let opened = Self::open(id)?;
        let JobState::Audit {
            claim,
            delivery,
            until,
        } = &opened.job.state
        else {
            return Err(Error::<T>::NotUnderAudit.into());
        };
        let under = UnderAudit {
            claim: claim.clone(),
            delivery: delivery.clone(),
            audit: Self::audit_of(id)?,
        };
        let until = *until;
        Ok((opened, under, until))
    }

    /// The hash of block 0, which names this chain.
    pub(crate) fn genesis_hash() -> H256 {
        let hash = frame_system::BlockHash::<T>::get(
            frame_system::pallet_prelude::BlockNumberFor::<T>::zero(),
        );
        let mut bytes = [0; 32];
        for (byte, from) in bytes.iter_mut().zip(hash.as_ref()) {
            *byte = *from;
        }
        H256(bytes)
    }
}
