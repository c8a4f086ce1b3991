//! A chain of the real runtime: blocks as an author builds them and as everybody else executes
//! them.

use crate::{
    people::{root, Person},
    promises,
};
use codec::{Decode, Encode};
use genesisflow_runtime::{
    genesis_presets, AccountId, Address, Executive, Header, Runtime, RuntimeCall,
    RuntimeGenesisConfig, Signature, SignedPayload, System, TxExtension, UncheckedExtrinsic,
};
use serde_json::Value;
use sp_consensus_babe::{
    digests::{CompatibleDigestItem, PreDigest, PrimaryPreDigest, SecondaryVRFPreDigest},
    make_vrf_sign_data, Slot,
};
use sp_core::{crypto::VrfSecret, storage::StateVersion, Pair, H256};
use sp_io::{storage as transactions, TestExternalities};
use sp_runtime::{
    generic::Era,
    transaction_validity::{TransactionSource, TransactionValidity},
    ApplyExtrinsicResult, BuildStorage, Digest, DigestItem,
};

/// The slot before the first block.
const FIRST_SLOT: u64 = 1_000;

/// A chain, from outside.
pub struct Chain {
    ext: TestExternalities,
    parent: H256,
    number: u32,
    slot: u64,
}

/// Keys and values of the state's trie, with their reference counts.
type RawState = Vec<(Vec<u8>, (Vec<u8>, i32))>;

/// A chain at rest, to begin with as often as needed.
pub struct Snapshot {
    state: RawState,
    root: H256,
    parent: H256,
    number: u32,
    slot: u64,
}

/// How a block follows on the one before.
#[derive(Clone, Copy, Default)]
pub struct Gap {
    /// Slots without a block.
    pub slots: u64,
    /// Numbers that the clock of deadlines skips: what would happen after a long silence.
    pub numbers: u32,
    /// Whether the block is thrown away once it is built, and executed as a received one.
    pub imported: bool,
}

/// A block on its way.
pub struct Block {
    pub extrinsics: Vec<UncheckedExtrinsic>,
    parent: H256,
}

/// Writes a patch over a value, as chain specifications do.
fn patch(value: &mut Value, change: Value) {
    match (value, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (name, change) in changes {
                patch(fields.entry(name).or_insert(Value::Null), change);
            }
        }
        (value, change) => *value = change,
    }
}

impl Chain {
    /// Block 0 of the development chain.
    pub fn development() -> Self {
        let json = genesis_presets::get_preset(&sp_genesis_builder::DEV_RUNTIME_PRESET.into())
            .expect("there is a preset for development");
        let mut genesis =
            serde_json::to_value(RuntimeGenesisConfig::default()).expect("it has a JSON form");
        patch(
            &mut genesis,
            serde_json::from_slice(&json).expect("a preset is JSON"),
        );
        let genesis: RuntimeGenesisConfig =
            serde_json::from_value(genesis).expect("a preset has the fields of a genesis");
        let storage = genesis.build_storage().expect("the genesis is sound");
        Self {
            ext: storage.into(),
            parent: H256::repeat_byte(69),
            number: 0,
            slot: FIRST_SLOT,
        }
    }

    pub fn into_snapshot(self) -> Snapshot {
        let (state, root) = self.ext.into_raw_snapshot();
        Snapshot {
            state,
            root,
            parent: self.parent,
            number: self.number,
            slot: self.slot,
        }
    }

    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        Self {
            ext: TestExternalities::from_raw_snapshot(
                snapshot.state.clone(),
                snapshot.root,
                StateVersion::V1,
            ),
            parent: snapshot.parent,
            number: snapshot.number,
            slot: snapshot.slot,
        }
    }

    /// Reads the state, or changes it from outside of any block.
    pub fn read<R>(&mut self, read: impl FnOnce() -> R) -> R {
        self.ext.execute_with(read)
    }

    /// Adds a block, and checks afterwards what must hold after every block.
    pub fn block<R>(&mut self, gap: Gap, fill: impl FnOnce(&mut Block) -> R) -> R {
        self.number += 1 + gap.numbers;
        self.slot += 1 + gap.slots;
        let (number, slot, parent) = (self.number, self.slot, self.parent);
        let (filled, parent) = self.ext.execute_with(|| {
            let before = promises::Before::note();
            if gap.numbers > 0 {
                System::set_block_number(number - 1);
            }
            if gap.imported {
                transactions::start_transaction();
            }
            let pre_digest = pre_digest(slot);
            let header = Header {
                number,
                parent_hash: parent,
                digest: Digest {
                    logs: vec![pre_digest],
                },
                state_root: H256::zero(),
                extrinsics_root: H256::zero(),
            };
            Executive::initialize_block(&header);
            let mut block = Block {
                extrinsics: Vec::new(),
                parent,
            };
            let now = RuntimeCall::Timestamp(pallet_timestamp::Call::set {
                now: slot * genesisflow_runtime::time::SLOT_DURATION_MS,
            });
            let inherent = UncheckedExtrinsic::new_bare(now);
            assert_eq!(
                block.apply(inherent),
                Ok(Ok(())),
                "the inherent was refused"
            );
            let filled = fill(&mut block);
            let header = Executive::finalize_block();
            let hash = header.hash();
            if gap.imported {
                transactions::rollback_transaction();
                let block = genesisflow_runtime::Block {
                    header,
                    extrinsics: block.extrinsics.clone(),
                };
                Executive::execute_block(block.into());
            }
            promises::check(&before, &block);
            (filled, hash)
        });
        self.ext.commit_all().expect("no transaction is open");
        self.parent = parent;
        filled
    }
}

/// What the author of a slot states: that the slot is its own, with a VRF output.
fn pre_digest(slot: u64) -> DigestItem {
    let slot = Slot::from(slot);
    let data = make_vrf_sign_data(
        &pallet_babe::Randomness::<Runtime>::get(),
        slot,
        pallet_babe::EpochIndex::<Runtime>::get(),
    );
    let vrf_signature = root().pair.vrf_sign(&data);
    let authority_index = 0;
    DigestItem::babe_pre_digest(if u64::from(slot).is_multiple_of(4) {
        PreDigest::Primary(PrimaryPreDigest {
            authority_index,
            slot,
            vrf_signature,
        })
    } else {
        PreDigest::SecondaryVRF(SecondaryVRFPreDigest {
            authority_index,
            slot,
            vrf_signature,
        })
    })
}

impl Block {
    /// Runs a transaction as a block's author does: what a refused one did is undone.
    pub fn apply(&mut self, extrinsic: UncheckedExtrinsic) -> ApplyExtrinsicResult {
        transactions::start_transaction();
        let outcome = Executive::apply_extrinsic(extrinsic.clone());
        if outcome.is_ok() {
            transactions::commit_transaction();
            self.extrinsics.push(extrinsic);
        } else {
            transactions::rollback_transaction();
        }
        outcome
    }

    /// What the pool would say about a transaction now.
    pub fn validate(&self, extrinsic: UncheckedExtrinsic) -> TransactionValidity {
        transactions::start_transaction();
        let validity =
            Executive::validate_transaction(TransactionSource::External, extrinsic, self.parent);
        transactions::rollback_transaction();
        validity
    }
}

/// How a transaction is signed.
#[derive(Clone, Copy, Default)]
pub struct Signing {
    pub tip: u128,
    pub nonce_offset: u32,
    pub mortal: bool,
}

/// A signed transaction, as it comes from the network: through its bytes.
pub fn signed(who: &Person, call: RuntimeCall, how: Signing) -> UncheckedExtrinsic {
    let nonce = System::account_nonce(&who.account).wrapping_add(how.nonce_offset);
    // Era 64 dates from a block of which the chain still knows the hash.
    let birth = System::block_number().saturating_sub(1);
    let known = frame_system::BlockHash::<Runtime>::contains_key(birth);
    let era = match how.mortal && known {
        true => Era::mortal(64, birth.into()),
        false => Era::Immortal,
    };
    let extension: TxExtension = (
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckEra::from(era),
        frame_system::CheckNonce::from(nonce),
        pallet_inference::extension::CheckStanding::default(),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(how.tip),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
        frame_system::WeightReclaim::new(),
    );
    let payload = SignedPayload::new(call, extension).expect("the birth block is known");
    let signature = payload.using_encoded(|bytes| who.pair.sign(bytes));
    let (call, extension, _) = payload.deconstruct();
    let extrinsic = UncheckedExtrinsic::new_signed(
        call,
        Address::from(AccountId::clone(&who.account)),
        Signature::from(signature),
        extension,
    );
    UncheckedExtrinsic::decode(&mut &extrinsic.encode()[..]).expect("it was encoded")
}
