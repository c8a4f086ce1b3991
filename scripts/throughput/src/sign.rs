//! Accounts and signatures.

use anyhow::{Context, Result};
use std::sync::Arc;
use subxt::{
    config::DefaultExtrinsicParamsBuilder,
    ext::{
        scale_encode::{EncodeAsFields, Error as EncodeError, FieldIter, TypeResolver},
        scale_value::Composite,
    },
    tx::{DynamicPayload, Payload},
    OnlineClientAtBlock, SubstrateConfig,
};
use subxt_signer::{
    sr25519::{dev, Keypair},
    DeriveJunction,
};

/// The chain at one block.
pub type AtBlock = OnlineClientAtBlock<SubstrateConfig>;

/// A signed transaction, as `0x…` text ready for `author_submitExtrinsic`.
pub type Signed = Arc<str>;

/// A key that this program alone uses, with the nonce of its next transaction.
pub struct Account {
    pair: Keypair,
    /// The next transaction's nonce.
    pub nonce: u64,
}

impl Account {
    /// The account `number` of those with the given role: hard derivations from Alice's key.
    pub fn derive(role: &str, number: usize) -> Self {
        let pair = dev::alice().derive([
            DeriveJunction::hard("throughput"),
            DeriveJunction::hard(role),
            DeriveJunction::hard(number as u64),
        ]);
        Self { pair, nonce: 0 }
    }

    /// The public key, which is the account's id.
    pub fn id(&self) -> [u8; 32] {
        self.pair.public_key().0
    }

    /// The account's address as text.
    pub fn address(&self) -> String {
        subxt::utils::AccountId32(self.id()).to_string()
    }

    /// Signs `call` with the next nonce.
    ///
    /// # Errors
    /// If the chain wants something signed that is not known here.
    pub fn sign(&mut self, at: &AtBlock, call: &Call) -> Result<Signed> {
        let signed = sign(at, &self.pair, self.nonce, call)?;
        self.nonce += 1;
        Ok(signed)
    }
}

/// A call whose arguments are encoded already. They were encoded from named values against the
/// chain's metadata once; later ones differ in a number of fixed width only.
#[derive(Clone)]
pub struct Call {
    pallet: &'static str,
    name: &'static str,
    arguments: Arguments,
}

impl Call {
    /// Encodes a call by the chain's metadata.
    ///
    /// # Errors
    /// If the chain has no such call, or the call has other arguments.
    pub fn new(
        at: &AtBlock,
        pallet: &'static str,
        name: &'static str,
        arguments: Composite<()>,
    ) -> Result<Self> {
        let payload: DynamicPayload<_> = subxt::dynamic::transaction(pallet, name, arguments);
        let data = at
            .transactions()
            .call_data(&payload)
            .with_context(|| format!("the chain's {pallet}.{name} is not the one known here"))?;
        // Two bytes name pallet and call; the payload gives them again.
        Ok(Self {
            pallet,
            name,
            arguments: Arguments(data[2..].to_vec()),
        })
    }

    /// The same call on another job: the job's number is the first argument, a plain `u64`.
    pub fn on_job(&self, job: u64) -> Self {
        let mut other = self.clone();
        other.arguments.0[..8].copy_from_slice(&job.to_le_bytes());
        other
    }
}

impl Payload for Call {
    type CallData = Arguments;

    fn pallet_name(&self) -> &str {
        self.pallet
    }

    fn call_name(&self) -> &str {
        self.name
    }

    fn call_data(&self) -> &Arguments {
        &self.arguments
    }
}

/// Encoded arguments.
#[derive(Clone)]
pub struct Arguments(Vec<u8>);

impl EncodeAsFields for Arguments {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        _: &mut dyn FieldIter<'_, R::TypeId>,
        _: &R,
        out: &mut Vec<u8>,
    ) -> std::result::Result<(), EncodeError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

fn sign(at: &AtBlock, pair: &Keypair, nonce: u64, call: &Call) -> Result<Signed> {
    // Immortal: what is signed before the measurement must be valid until its end.
    let parameters = DefaultExtrinsicParamsBuilder::<SubstrateConfig>::new()
        .nonce(nonce)
        .immortal()
        .build();
    let signed = at
        .transactions()
        .create_signable_offline(call, parameters)
        .and_then(|mut signable| signable.sign(pair))
        .with_context(|| format!("cannot sign {}.{}", call.pallet, call.name))?;
    let mut text = String::with_capacity(2 + 2 * signed.encoded().len());
    text.push_str("0x");
    text.push_str(&hex::encode(signed.encoded()));
    Ok(text.into())
}
