//! Which calls carry other calls, and in whose name: so that calls of the market that cost nothing
//! are checked inside of them too.

use crate::{AccountId, Address, Multisig, Proxy, Runtime, RuntimeCall};
use alloc::{vec, vec::Vec};
use codec::Encode;
use frame_support::traits::{Get, InstanceFilter};
use pallet_inference::extension::{Carriers, MAX_CARRIED};
use sp_runtime::traits::{BlakeTwo256, Hash, StaticLookup};

/// Most calls of one batch that are looked at: one more than any wrapper may carry, so that the
/// batch is refused, and its length costs nothing.
const LOOKED_AT: usize = MAX_CARRIED as usize + 1;

/// The wrappers of this runtime.
pub struct Wrappers;

impl Carriers<Runtime> for Wrappers {
    fn carried<'a>(
        who: &AccountId,
        call: &'a RuntimeCall,
    ) -> Option<Vec<(AccountId, &'a RuntimeCall)>> {
        match call {
            RuntimeCall::Proxy(call) => carried_by_proxy(who, call),
            RuntimeCall::Utility(call) => carried_by_utility(who, call),
            RuntimeCall::Multisig(call) => carried_by_multisig(who, call),
            // The key of root may do what it likes, and nobody else gets further than this.
            RuntimeCall::Sudo(_) => {
                (pallet_sudo::Key::<Runtime>::get().as_ref() == Some(who)).then(Vec::new)
            }
            _ => Some(Vec::new()),
        }
    }
}

/// The call behind a proxy, in the name of the account that it stands for.
fn carried_by_proxy<'a>(
    who: &AccountId,
    call: &'a pallet_proxy::Call<Runtime>,
) -> Option<Vec<(AccountId, &'a RuntimeCall)>> {
    use pallet_proxy::{Announcements, Call};
    let (real, carried) = match call {
        Call::proxy {
            real,
            force_proxy_type,
            call,
        } => {
            let real = account(real)?;
            let proxy = Proxy::find_proxy(&real, who, *force_proxy_type).ok()?;
            (proxy.delay == 0 && proxy.proxy_type.filter(call)).then_some(())?;
            (real, call)
        }
        Call::proxy_announced {
            delegate,
            real,
            force_proxy_type,
            call,
        } => {
            let (delegate, real) = (account(delegate)?, account(real)?);
            let proxy = Proxy::find_proxy(&real, &delegate, *force_proxy_type).ok()?;
            proxy.proxy_type.filter(call).then_some(())?;
            let hash = BlakeTwo256::hash_of(call);
            let (announced, _) = Announcements::<Runtime>::get(&delegate);
            // Its fields are private; they begin with the account and the hash.
            let wanted = (&real, hash).encode();
            let mut announced = announced.iter().map(Encode::encode);
            announced
                .any(|entry| entry.starts_with(&wanted))
                .then_some(())?;
            (real, call)
        }
        _ => return Some(Vec::new()),
    };
    Some(vec![(real, carried.as_ref())])
}

fn carried_by_utility<'a>(
    who: &AccountId,
    call: &'a pallet_utility::Call<Runtime>,
) -> Option<Vec<(AccountId, &'a RuntimeCall)>> {
    use pallet_utility::Call;
    match call {
        Call::batch { calls } | Call::batch_all { calls } | Call::force_batch { calls } => {
            let looked_at = calls.iter().take(LOOKED_AT);
            Some(looked_at.map(|call| (who.clone(), call)).collect())
        }
        Call::if_else { main, fallback } => Some(vec![
            (who.clone(), main.as_ref()),
            (who.clone(), fallback.as_ref()),
        ]),
        Call::as_derivative { index, call } => {
            let derivative = pallet_utility::derivative_account_id(who.clone(), *index);
            Some(vec![(derivative, call.as_ref())])
        }
        // For root alone, which signs nothing.
        _ => None,
    }
}

/// The call of a multisig account of which one signature suffices. With more signatures needed, the
/// wrapper is of the normal class.
fn carried_by_multisig<'a>(
    who: &AccountId,
    call: &'a pallet_multisig::Call<Runtime>,
) -> Option<Vec<(AccountId, &'a RuntimeCall)>> {
    let pallet_multisig::Call::as_multi_threshold_1 {
        other_signatories,
        call,
    } = call
    else {
        return Some(Vec::new());
    };
    // More than the multisig pallet takes: not worth sorting.
    let most: u32 = <Runtime as pallet_multisig::Config>::MaxSignatories::get();
    (other_signatories.len() < most as usize).then_some(())?;
    let mut signatories = other_signatories.clone();
    signatories.push(who.clone());
    signatories.sort();
    let account = Multisig::multi_account_id(&signatories, 1);
    Some(vec![(account, call.as_ref())])
}

fn account(address: &Address) -> Option<AccountId> {
    <Runtime as frame_system::Config>::Lookup::lookup(address.clone()).ok()
}
