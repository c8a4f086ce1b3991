//! `grandpa_proveFinality` for authorities that never change.
//!
//! The library's method looks up the authority set of a block in the list of
//! changes of that set. Here there has never been a change, and with an empty list
//! the library answers that the block is not covered. A block is then covered by
//! the first set, and the newest justification proves it.

use codec::Encode;
use genesisflow_runtime::{opaque::Block, BlockNumber};
use jsonrpsee::{
    types::{error::ErrorObject, ErrorObjectOwned},
    RpcModule,
};
use sc_client_api::Backend;
use sc_consensus_grandpa::{best_justification, FinalityProof};
use sp_blockchain::HeaderBackend;
use sp_core::Bytes;
use sp_runtime::traits::Header as _;
use std::sync::Arc;

/// Most headers that one proof carries, as in the library.
const MAX_UNKNOWN_HEADERS: u32 = 100_000;
/// Error code of the library's own method.
const ERROR_CODE: i32 = 1;

fn error(message: String) -> ErrorObjectOwned {
    ErrorObject::owned(ERROR_CODE, message, None::<()>)
}

/// Puts the method in the place of the library's.
///
/// # Errors
/// If the module cannot take it.
pub fn replace_prove_finality<B>(
    module: &mut RpcModule<()>,
    backend: Arc<B>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    B: Backend<Block> + 'static,
{
    const METHOD: &str = "grandpa_proveFinality";
    module.remove_method(METHOD);
    module.register_blocking_method(METHOD, move |params, _, _| {
        let block: BlockNumber = params.one()?;
        prove(&*backend, block).map(|proof| proof.map(Bytes))
    })?;
    Ok(())
}

/// The SCALE bytes of a [`FinalityProof`] of `block`, or `None` as long as no
/// justification at or after it is stored (at most a few seconds).
fn prove<B>(backend: &B, block: BlockNumber) -> Result<Option<Vec<u8>>, ErrorObjectOwned>
where
    B: Backend<Block>,
{
    let chain = backend.blockchain();
    let finalized = chain.info().finalized_number;
    if block > finalized {
        return Err(error(format!(
            "block {block} is not finalised yet, only blocks up to {finalized} are: ask again later"
        )));
    }
    let failed = |what: sp_blockchain::Error| error(format!("the database failed: {what}"));
    let Some(justification) = best_justification::<_, Block>(backend).map_err(failed)? else {
        return Ok(None);
    };
    let (target, hash) = justification.target();
    if target < block {
        return Ok(None);
    }
    if target - block > MAX_UNKNOWN_HEADERS {
        return Err(error(format!(
            "block {block} lies more than {MAX_UNKNOWN_HEADERS} blocks before the newest justification, \
             of block {target}: ask for a later block and go back by parent hashes"
        )));
    }
    // From the proven block back to the asked one, by parents, so that all are of one chain.
    let mut unknown_headers = Vec::new();
    let mut next = hash;
    for _ in block..target {
        let header = chain.expect_header(next).map_err(failed)?;
        next = *header.parent_hash();
        unknown_headers.push(header);
    }
    unknown_headers.reverse();
    Ok(Some(
        FinalityProof {
            block: hash,
            justification: justification.encode(),
            unknown_headers,
        }
        .encode(),
    ))
}
