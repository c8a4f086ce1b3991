//! What holds after every block, whatever was in it.

use crate::{calls::any_in, chain::Block, complaints};
use codec::{Encode, MaxEncodedLen};
use frame_support::traits::PalletInfoAccess;
use frame_system::{EventRecord, Phase};
use genesisflow_runtime::{
    configs::RuntimeBlockWeights, AccountId, Balance, Inference, Runtime, RuntimeCall,
    RuntimeEvent, System,
};
use pallet_inference::{
    audits::Audit, jobs::Job, Audits, BlockOutputs, Jobs, MarketParameters, NextJobId, PeriodClock,
    Workers,
};

/// What is compared with the state after the block.
pub struct Before {
    issuance: Balance,
}

impl Before {
    pub fn note() -> Self {
        Self {
            issuance: issuance(),
        }
    }
}

fn issuance() -> Balance {
    pallet_balances::TotalIssuance::<Runtime>::get()
}

/// Checks every promise. Called after the block, before the next.
pub fn check(before: &Before, block: &Block) {
    for complaint in complaints::heard() {
        // `approve_as_multi` declares less than it reports as used when it creates an operation;
        // FRAME charges the declared weight then. It is the multisig pallet's own.
        let is_approval = |call: &RuntimeCall| {
            matches!(
                call,
                RuntimeCall::Multisig(pallet_multisig::Call::approve_as_multi { .. })
            )
        };
        let mut calls = block.extrinsics.iter().map(|extrinsic| &extrinsic.function);
        let is_known = complaint.contains("Post dispatch weight is greater")
            && calls.any(|call| any_in(call, &is_approval));
        assert!(is_known, "the runtime complains: {complaint}");
    }
    if let Err(error) = Inference::do_try_state() {
        panic!("the market's records are unsound: {error:?}");
    }
    #[cfg(feature = "try-runtime")]
    {
        use frame_support::traits::{TryState, TryStateSelect};
        use genesisflow_runtime::AllPalletsWithSystem;
        let number = System::block_number();
        if let Err(error) = AllPalletsWithSystem::try_state(number, TryStateSelect::All) {
            panic!("a pallet's records are unsound: {error:?}");
        }
    }
    check_money(before, block);
    check_fees(block);
    check_room();
    check_sizes();
}

/// No money appears or vanishes, but for what its owner burns; and what is on an account is what
/// its holds say.
fn check_money(before: &Before, block: &Block) {
    let mut burnt = 0;
    for EventRecord { phase, event, .. } in System::read_events_no_consensus().map(|event| *event) {
        let RuntimeEvent::Balances(pallet_balances::Event::Burned { amount, .. }) = event else {
            continue;
        };
        let Phase::ApplyExtrinsic(index) = phase else {
            panic!("money was burnt by no transaction");
        };
        let call = &block.extrinsics[index as usize].function;
        let is_burn = |call: &RuntimeCall| {
            matches!(
                call,
                RuntimeCall::Balances(pallet_balances::Call::burn { .. })
            )
        };
        assert!(any_in(call, &is_burn), "money was burnt by {call:?}");
        burnt += amount;
    }
    assert_eq!(
        issuance() + burnt,
        before.issuance,
        "money appeared or vanished"
    );
    let mut sum = 0;
    for (who, account) in frame_system::Account::<Runtime>::iter() {
        let holds = pallet_balances::Holds::<Runtime>::get(&who);
        let held: Balance = holds.iter().map(|hold| hold.amount).sum();
        assert!(
            held <= account.data.reserved,
            "{who} has {held} on hold, of which only {} is there",
            account.data.reserved
        );
        sum += account.data.free + account.data.reserved;
    }
    assert_eq!(sum, issuance(), "accounts do not add up to the issuance");
}

/// The market's free calls are free if they are taken; everything else costs something.
fn check_fees(block: &Block) {
    let mut results = vec![None; block.extrinsics.len()];
    let mut fees = vec![None; block.extrinsics.len()];
    for EventRecord { phase, event, .. } in System::read_events_no_consensus().map(|event| *event) {
        let Phase::ApplyExtrinsic(index) = phase else {
            continue;
        };
        let index = index as usize;
        match event {
            RuntimeEvent::System(frame_system::Event::ExtrinsicSuccess { .. }) => {
                results[index] = Some(true);
            }
            RuntimeEvent::System(frame_system::Event::ExtrinsicFailed { .. }) => {
                results[index] = Some(false);
            }
            RuntimeEvent::TransactionPayment(
                pallet_transaction_payment::Event::TransactionFeePaid {
                    actual_fee, tip, ..
                },
            ) => fees[index] = Some(actual_fee - tip),
            _ => {}
        }
    }
    for (index, extrinsic) in block.extrinsics.iter().enumerate().skip(1) {
        use pallet_inference::Call;
        let call = &extrinsic.function;
        let succeeded = results[index].expect("every transaction has a result");
        let fee = fees[index].expect("every transaction pays, if only nothing");
        match call {
            RuntimeCall::Inference(
                Call::deliver { .. }
                | Call::commit_ballot { .. }
                | Call::reveal_ballot { .. }
                | Call::progress_job { .. },
            ) if succeeded => assert_eq!(fee, 0, "a free call cost something: {call:?}"),
            RuntimeCall::Sudo(_) => {}
            _ => assert!(fee > 0, "a call cost nothing: {call:?}"),
        }
    }
}

/// Blocks stay within their weight.
fn check_room() {
    let used = System::block_weight().total();
    let most = RuntimeBlockWeights::get().max_block;
    assert!(used.all_lte(most), "a block of weight {used}, above {most}");
}

/// No record outgrows the size for which its weight and its deposit were measured.
fn check_sizes() {
    for (id, job) in Jobs::<Runtime>::iter() {
        assert!(
            job.encoded_size() <= Job::<AccountId>::max_encoded_len(),
            "the record of job {id} is too large"
        );
    }
    for (id, audit) in Audits::<Runtime>::iter() {
        assert!(
            audit.encoded_size() <= Audit::<AccountId>::max_encoded_len(),
            "the audit of job {id} is too large"
        );
    }
    let outputs = BlockOutputs::<Runtime>::iter_keys().count();
    assert!(
        outputs <= pallet_inference::randomness::RANDOMNESS_KEPT as usize + 1,
        "{outputs} outputs of blocks are kept"
    );
}

/// Every key of the market's storage.
pub fn market_keys() -> Vec<Vec<u8>> {
    let prefix = Inference::name_hash().to_vec();
    let mut keys = Vec::new();
    let mut key = prefix.clone();
    while let Some(next) = sp_io::storage::next_key(&key) {
        if !next.starts_with(&prefix) {
            break;
        }
        keys.push(next.clone());
        key = next;
    }
    keys
}

/// Once all jobs are dropped and everybody has left, nothing is kept but the parameters, counters,
/// the outputs of blocks, and money that later auditors get.
pub fn check_nothing_is_left() {
    assert_eq!(Jobs::<Runtime>::iter().count(), 0, "a job found no way out");
    assert_eq!(
        Workers::<Runtime>::iter().count(),
        0,
        "a worker cannot leave"
    );
    let map = |name: &str| {
        frame_support::storage::storage_prefix(Inference::name().as_bytes(), name.as_bytes())
    };
    let kept: [Vec<u8>; 6] = [
        MarketParameters::<Runtime>::hashed_key().to_vec(),
        NextJobId::<Runtime>::hashed_key().to_vec(),
        PeriodClock::<Runtime>::hashed_key().to_vec(),
        map("BlockOutputs").to_vec(),
        map("AuditPots").to_vec(),
        frame_support::storage::storage_prefix(
            Inference::name().as_bytes(),
            frame_support::traits::STORAGE_VERSION_STORAGE_KEY_POSTFIX,
        )
        .to_vec(),
    ];
    for key in market_keys() {
        assert!(
            kept.iter().any(|prefix| key.starts_with(prefix)),
            "a key of the market is left over: {}",
            sp_core::hexdisplay::HexDisplay::from(&key)
        );
    }
}
