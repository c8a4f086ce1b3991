//! Who may send the calls that cost nothing.
//!
//! `deliver`, `commit_ballot` and `reveal_ballot` are free when they succeed and go into the part of
//! each block that is kept for operational calls. [`CheckStanding`] lets such a call into the pool,
//! and again into a block, only if it could succeed at that moment as far as its sender is
//! concerned: the job is claimed by the sender and not late; the sender has a seat without a ballot
//! and it is time to commit; it is time to reveal and the ballot opens the commitment. It reads a
//! job, its audit and little more, and writes nothing.
//!
//! Each standing is good for one transaction in the pool at a time (a *tag* of the pool), so nobody
//! can fill it with copies of one call.
//!
//! ## Calls within calls
//!
//! Proxies and batches take over the class of what they carry. Such a wrapper always pays its fee,
//! but without a check it would let anyone who pays an ordinary fee fill the operational part of
//! blocks. So the extension looks into wrappers of the operational class, with the help of a
//! [`Carriers`] that the runtime provides, and checks every call of this pallet that it finds
//! there, in the name of the account for which it would be dispatched. A wrapper of the operational
//! class may carry at most [`MAX_CARRIED`] calls; one more call of the normal class makes it a
//! normal one, which needs no standing.
//!
//! ## Refusals
//!
//! A refused transaction is invalid, with `Custom(code)`:
//!
//! | code | meaning |
//! |---|---|
//! | [`NO_CLAIM`] = 1 | `deliver`: the job is not claimed by the sender, or its delivery is late |
//! | [`NO_SEAT`] = 2 | `commit_ballot`: no seat of the sender waits for a commitment now |
//! | [`NO_COMMITMENT`] = 3 | `reveal_ballot`: not the time, or no commitment that this ballot opens |
//! | [`NOT_CARRIED`] = 4 | the sender may not act for the account in whose name it wraps the call |
//! | [`TOO_MANY_CARRIED`] = 5 | an operational wrapper carries too many calls |

use crate::{Call, Config, Pallet, WeightInfo, LOG_TARGET};
use alloc::{vec, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode};
use core::marker::PhantomData;
use frame_support::{
    dispatch::{DispatchClass, DispatchInfo, GetDispatchInfo, PostDispatchInfo},
    pallet_prelude::TransactionSource,
    traits::{Get, IsSubType, OriginTrait},
    weights::Weight,
    CloneNoBound, DefaultNoBound, EqNoBound, PartialEqNoBound,
};
use genesisflow_primitives::{audit::Ballot, JobId};
use scale_info::TypeInfo;
use sp_runtime::{
    traits::{DispatchInfoOf, Dispatchable, PostDispatchInfoOf, TransactionExtension},
    transaction_validity::{InvalidTransaction, TransactionValidityError, ValidTransaction},
    DispatchError, DispatchResult,
};

/// The sender may not deliver this job now.
pub const NO_CLAIM: u8 = 1;
/// The sender has no seat that waits for a commitment now.
pub const NO_SEAT: u8 = 2;
/// The sender cannot reveal this ballot now.
pub const NO_COMMITMENT: u8 = 3;
/// The sender may not act for the account in whose name it wraps a call.
pub const NOT_CARRIED: u8 = 4;
/// An operational wrapper carries more than [`MAX_CARRIED`] calls.
pub const TOO_MANY_CARRIED: u8 = 5;

/// Most calls that a wrapper of the operational class may carry, wrappers within it included.
pub const MAX_CARRIED: u32 = 8;

/// Looks into calls that carry other calls.
pub trait Carriers<T: frame_system::Config> {
    /// The calls that `call` would dispatch if `who` signed it, each with the account in whose name
    /// it would be dispatched; nothing if it carries none. None if `who` may not do that.
    fn carried<'a>(
        who: &T::AccountId,
        call: &'a T::RuntimeCall,
    ) -> Option<Vec<(T::AccountId, &'a T::RuntimeCall)>>;
}

/// For a runtime without wrappers.
impl<T: frame_system::Config> Carriers<T> for () {
    fn carried<'a>(
        _: &T::AccountId,
        _: &'a T::RuntimeCall,
    ) -> Option<Vec<(T::AccountId, &'a T::RuntimeCall)>> {
        Some(Vec::new())
    }
}

/// Refuses free calls of accounts that have no standing for them. It adds no bytes to a
/// transaction.
#[derive(
    CloneNoBound,
    DefaultNoBound,
    EqNoBound,
    PartialEqNoBound,
    Encode,
    Decode,
    DecodeWithMemTracking,
    TypeInfo,
)]
#[scale_info(skip_type_params(T, C))]
pub struct CheckStanding<T, C = ()>(PhantomData<(T, C)>);

impl<T, C> core::fmt::Debug for CheckStanding<T, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CheckStanding")
    }
}

/// Which of an account's standings a call uses; also a tag of the transaction pool.
#[derive(Encode)]
enum Standing {
    Deliver(JobId),
    Commit(JobId),
    Reveal(JobId),
}

impl<T: Config, C: Carriers<T>> CheckStanding<T, C>
where
    T::RuntimeCall: IsSubType<Call<T>>,
{
    /// Checks a call of the operational class and all that it carries. Returns what it found.
    fn check(
        who: &T::AccountId,
        call: &T::RuntimeCall,
    ) -> Result<Vec<(T::AccountId, Standing)>, u8> {
        let mut standings = Vec::new();
        let mut waiting = vec![(who.clone(), call)];
        let mut seen: u32 = 0;
        while let Some((who, call)) = waiting.pop() {
            if seen > MAX_CARRIED {
                return Err(TOO_MANY_CARRIED);
            }
            seen += 1;
            match call.is_sub_type() {
                Some(call) => {
                    if let Some(standing) = Self::check_one(&who, call)? {
                        standings.push((who, standing));
                    }
                }
                None => waiting.extend(C::carried(&who, call).ok_or(NOT_CARRIED)?),
            }
        }
        Ok(standings)
    }

    /// Checks a call of this pallet; none if it needs no standing.
    fn check_one(who: &T::AccountId, call: &Call<T>) -> Result<Option<Standing>, u8> {
        let (standing, checked, code) = match call {
            Call::deliver { job, .. } => (
                Standing::Deliver(*job),
                Pallet::<T>::check_deliver_standing(who, *job),
                NO_CLAIM,
            ),
            Call::commit_ballot { job, .. } => (
                Standing::Commit(*job),
                Pallet::<T>::check_commit_standing(who, *job),
                NO_SEAT,
            ),
            Call::reveal_ballot {
                job,
                digest,
                valid,
                salt,
            } => {
                let ballot = Ballot {
                    digest: *digest,
                    valid: *valid,
                };
                (
                    Standing::Reveal(*job),
                    Pallet::<T>::check_reveal_standing(who, *job, ballot, *salt),
                    NO_COMMITMENT,
                )
            }
            _ => return Ok(None),
        };
        checked.map_err(|error: DispatchError| {
            log::debug!(target: LOG_TARGET, "no standing (code {code}): {error:?}");
            code
        })?;
        Ok(Some(standing))
    }

    /// The most that checking this many calls within others costs: for each the dearest check, and
    /// a proxy.
    fn weight_of(calls: u32) -> Weight {
        T::WeightInfo::check_standing()
            .max(T::WeightInfo::check_deliver_standing())
            .saturating_add(T::DbWeight::get().reads(1))
            .saturating_mul(calls.into())
    }
}

impl<T, C> TransactionExtension<T::RuntimeCall> for CheckStanding<T, C>
where
    T: Config + Send + Sync,
    C: Carriers<T> + Send + Sync + 'static,
    T::RuntimeCall:
        Dispatchable<Info = DispatchInfo, PostInfo = PostDispatchInfo> + IsSubType<Call<T>>,
{
    const IDENTIFIER: &'static str = "CheckStanding";
    type Implicit = ();
    /// Weight that was reserved and not used.
    type Val = Weight;
    type Pre = Weight;

    fn weight(&self, call: &T::RuntimeCall) -> Weight {
        if call.get_dispatch_info().class != DispatchClass::Operational {
            return Weight::zero();
        }
        match call.is_sub_type() {
            Some(Call::deliver { .. }) => T::WeightInfo::check_deliver_standing(),
            Some(_) => T::WeightInfo::check_standing(),
            None => Self::weight_of(MAX_CARRIED),
        }
    }

    fn validate(
        &self,
        origin: T::RuntimeOrigin,
        call: &T::RuntimeCall,
        info: &DispatchInfoOf<T::RuntimeCall>,
        _len: usize,
        _self_implicit: (),
        _inherited_implication: &impl Encode,
        _source: TransactionSource,
    ) -> sp_runtime::traits::ValidateResult<Self::Val, T::RuntimeCall> {
        let Some(who) = origin.as_signer() else {
            return Ok((ValidTransaction::default(), Weight::zero(), origin));
        };
        if info.class != DispatchClass::Operational {
            return Ok((ValidTransaction::default(), Weight::zero(), origin));
        }
        let standings = Self::check(who, call)
            .map_err(|code| TransactionValidityError::from(InvalidTransaction::Custom(code)))?;
        let used = u32::try_from(standings.len()).unwrap_or(MAX_CARRIED);
        let unused = match call.is_sub_type() {
            Some(_) => Weight::zero(),
            None => self.weight(call).saturating_sub(Self::weight_of(used)),
        };
        let mut validity = ValidTransaction::with_tag_prefix(Self::IDENTIFIER);
        for standing in standings {
            validity = validity.and_provides(standing);
        }
        Ok((validity.build()?, unused, origin))
    }

    fn prepare(
        self,
        unused: Self::Val,
        _origin: &T::RuntimeOrigin,
        _call: &T::RuntimeCall,
        _info: &DispatchInfoOf<T::RuntimeCall>,
        _len: usize,
    ) -> Result<Self::Pre, TransactionValidityError> {
        Ok(unused)
    }

    fn post_dispatch_details(
        unused: Self::Pre,
        _info: &DispatchInfoOf<T::RuntimeCall>,
        _post_info: &PostDispatchInfoOf<T::RuntimeCall>,
        _len: usize,
        _result: &DispatchResult,
    ) -> Result<Weight, TransactionValidityError> {
        Ok(unused)
    }
}
