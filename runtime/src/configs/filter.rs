//! Calls that this chain does not take.

use crate::RuntimeCall;
use frame_support::traits::Contains;

/// Everything but pure proxies: accounts without a key whose deposit lies on the account that made
/// them.
///
/// `pallet_proxy` frees such a deposit on whatever account says so: `remove_proxies` on the pure
/// account, which never made it, or `kill_pure` on the maker, as large as proxies that the pure
/// account has added since. What is freed there is taken out of money that the market holds; a job
/// or a slash that is to be paid out of it could then never end. Proxies of accounts with keys, and
/// multisigs, do all that pure proxies are wanted for.
pub struct NoPureProxies;

impl Contains<RuntimeCall> for NoPureProxies {
    fn contains(call: &RuntimeCall) -> bool {
        !matches!(
            call,
            RuntimeCall::Proxy(
                pallet_proxy::Call::create_pure { .. } | pallet_proxy::Call::kill_pure { .. }
            )
        )
    }
}
