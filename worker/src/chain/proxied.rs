//! Calls in the name of another account: the key on this machine signs, and the
//! account that named it as its proxy acts.

use super::client::AtBlock;
use crate::market::{AccountId, MarketResult};
use subxt::{
    error::DispatchError,
    ext::{
        scale_encode::{self, EncodeAsFields, FieldIter},
        scale_type_resolver::TypeResolver,
    },
    extrinsics::ExtrinsicEvents,
    tx::{DynamicPayload, Payload},
    ArcMetadata, SubstrateConfig,
};

const PALLET: &str = "Proxy";
const CALL: &str = "proxy";
/// Tells how the inner call ended: the outer one succeeds either way.
const EXECUTED: &str = "ProxyExecuted";
/// `Ok` as the first byte of a result.
const OK: u8 = 0;

/// The arguments of `proxy.proxy`, encoded.
pub(super) struct Arguments(Vec<u8>);

/// Wraps `call`, so that it is dispatched for `real`.
pub(super) fn wrap<C: Payload>(
    at: &AtBlock,
    real: AccountId,
    call: &C,
) -> MarketResult<DynamicPayload<Arguments>> {
    let call = at.transactions().call_data(call)?;
    Ok(DynamicPayload::new(PALLET, CALL, arguments(real, &call)))
}

/// `real` as an address that is an account id, any type of proxy, and the call.
fn arguments(real: AccountId, call: &[u8]) -> Arguments {
    const ACCOUNT_ID: u8 = 0;
    const ANY_TYPE: u8 = 0;
    Arguments([&[ACCOUNT_ID][..], &real, &[ANY_TYPE], call].concat())
}

impl EncodeAsFields for Arguments {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        _: &mut dyn FieldIter<'_, R::TypeId>,
        _: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), scale_encode::Error> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

/// Why the call inside of a proxy failed, if it did; `describe` puts it into words.
pub(super) fn failure(
    events: &ExtrinsicEvents<SubstrateConfig>,
    metadata: ArcMetadata,
    describe: impl Fn(&DispatchError) -> String,
) -> Option<String> {
    let executed = events
        .iter()
        .filter_map(Result::ok)
        .find(|event| event.pallet_name() == PALLET && event.event_name() == EXECUTED)?;
    match executed.field_bytes().split_first() {
        Some((&OK, _)) => None,
        Some((_, error)) => Some(match DispatchError::decode_from(error, metadata) {
            Ok(error) => describe(&error),
            Err(error) => format!("the call inside of the proxy failed: {error}"),
        }),
        None => Some("the call inside of the proxy ended in a way that cannot be read".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_address_type_and_call() {
        let Arguments(bytes) = arguments([7; 32], &[1, 2, 3]);
        assert_eq!(bytes.len(), 1 + 32 + 1 + 3);
        assert_eq!((bytes[0], bytes[1], bytes[32], bytes[33]), (0, 7, 7, 0));
        assert_eq!(bytes[34..], [1, 2, 3]);
    }
}
