//! RPC methods beyond those that every Substrate node has: fees and nonces,
//! BABE's schedule, GRANDPA's votes and finality proofs.

use crate::finality_proof::replace_prove_finality;
use genesisflow_runtime::{opaque::Block, AccountId, Balance, BlockNumber, Hash, Nonce};
use jsonrpsee::RpcModule;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_rpc::SubscriptionTaskExecutor;
use sc_transaction_pool_api::TransactionPool;
use sp_api::ProvideRuntimeApi;
use sp_block_builder::BlockBuilder;
use sp_blockchain::{Error as BlockChainError, HeaderBackend, HeaderMetadata};
use sp_consensus::SelectChain;
use sp_consensus_babe::BabeApi;
use sp_keystore::KeystorePtr;
use std::sync::Arc;

/// What the RPC methods about GRANDPA need.
pub struct GrandpaDeps<B> {
    /// State of the running vote.
    pub shared_voter_state: SharedVoterState,
    /// The authorities.
    pub shared_authority_set: SharedAuthoritySet<Hash, BlockNumber>,
    /// Justifications as they are made.
    pub justification_stream: GrandpaJustificationStream<Block>,
    /// Runs subscriptions.
    pub subscription_executor: SubscriptionTaskExecutor,
    /// Makes finality proofs.
    pub finality_provider: Arc<FinalityProofProvider<B, Block>>,
    /// Where justifications and headers are.
    pub backend: Arc<B>,
}

/// What the RPC methods need.
pub struct FullDeps<C, P, SC, B> {
    /// The client.
    pub client: Arc<C>,
    /// The transaction pool.
    pub pool: Arc<P>,
    /// Chooses the best chain.
    pub select_chain: SC,
    /// BABE's view of epochs.
    pub babe_worker_handle: BabeWorkerHandle<Block>,
    /// The node's keys.
    pub keystore: KeystorePtr,
    /// GRANDPA.
    pub grandpa: GrandpaDeps<B>,
}

/// Puts the methods together.
///
/// # Errors
/// If two of them have the same name.
pub fn create_full<C, P, SC, B>(
    deps: FullDeps<C, P, SC, B>,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>>
where
    C: ProvideRuntimeApi<Block>
        + HeaderBackend<Block>
        + HeaderMetadata<Block, Error = BlockChainError>
        + Send
        + Sync
        + 'static,
    C::Api: substrate_frame_rpc_system::AccountNonceApi<Block, AccountId, Nonce>
        + pallet_transaction_payment_rpc::TransactionPaymentRuntimeApi<Block, Balance>
        + BabeApi<Block>
        + BlockBuilder<Block>,
    P: TransactionPool<Block = Block> + 'static,
    SC: SelectChain<Block> + 'static,
    B: sc_client_api::Backend<Block> + Send + Sync + 'static,
{
    use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
    use sc_consensus_babe_rpc::{Babe, BabeApiServer};
    use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
    use substrate_frame_rpc_system::{System, SystemApiServer};

    let FullDeps {
        client,
        pool,
        select_chain,
        babe_worker_handle,
        keystore,
        grandpa,
    } = deps;

    let mut module = RpcModule::new(());
    module.merge(System::new(client.clone(), pool).into_rpc())?;
    module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
    module.merge(Babe::new(client, babe_worker_handle, keystore, select_chain).into_rpc())?;
    module.merge(
        Grandpa::new(
            grandpa.subscription_executor,
            grandpa.shared_authority_set,
            grandpa.shared_voter_state,
            grandpa.justification_stream,
            grandpa.finality_provider,
        )
        .into_rpc(),
    )?;
    replace_prove_finality(&mut module, grandpa.backend)?;
    Ok(module)
}
