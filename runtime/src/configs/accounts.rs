//! Balances, transaction fees, and the ways one account may act for another.

use crate::{
    currency::{deposit, EXISTENTIAL_DEPOSIT, MICROGEN},
    AccountId, Balance, Balances, Runtime, RuntimeCall, RuntimeEvent, RuntimeFreezeReason,
    RuntimeHoldReason, System,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{
    parameter_types,
    traits::{
        fungible::Credit, tokens::imbalance::ResolveTo, ConstU128, ConstU32, ConstU8,
        InstanceFilter, VariantCountOf,
    },
    weights::{
        ConstantMultiplier, WeightToFeeCoefficient, WeightToFeeCoefficients, WeightToFeePolynomial,
    },
    PalletId,
};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use scale_info::TypeInfo;
use smallvec::smallvec;
use sp_runtime::{
    traits::{AccountIdConversion, BlakeTwo256},
    FixedPointNumber, Perbill, Perquintill,
};

parameter_types! {
    /// Receives transaction fees, the market's protocol share and what is left of slashes.
    /// It has no key: only root moves its money.
    pub TreasuryAccount: AccountId = PalletId(*b"gf/trsry").into_account_truncating();
    pub TargetBlockFullness: Perquintill = Perquintill::from_percent(25);
    pub AdjustmentVariable: Multiplier = Multiplier::saturating_from_rational(1, 100_000);
    pub MinimumMultiplier: Multiplier = Multiplier::saturating_from_rational(1, 10);
    pub MaximumMultiplier: Multiplier = Multiplier::saturating_from_integer(10_000);
}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    #[cfg(not(feature = "runtime-benchmarks"))]
    type WeightInfo = crate::weights::pallet_balances::WeightInfo<Runtime>;
    // While they are measured, the weights measured before may not fit the calls.
    #[cfg(feature = "runtime-benchmarks")]
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
    type Balance = Balance;
    type DustRemoval = ResolveTo<TreasuryAccount, Balances>;
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

/// Where transaction fees and tips go: to the treasury.
type FeesToTreasury = ResolveTo<TreasuryAccount, Balances>;

/// Fails to compile, rather than burn fees, if the treasury cannot take them.
const _: fn(Credit<AccountId, Balances>) = |credit| {
    use frame_support::traits::OnUnbalanced;
    FeesToTreasury::on_unbalanced(credit)
};

/// Ten picoseconds of reference compute cost one base unit: a transfer about 0.00004 GEN, so that
/// a worker earns on a job that pays a thousandth of a GEN.
pub struct ComputeFee;

impl WeightToFeePolynomial for ComputeFee {
    type Balance = Balance;

    fn polynomial() -> WeightToFeeCoefficients<Balance> {
        smallvec![WeightToFeeCoefficient {
            coeff_integer: 0,
            coeff_frac: Perbill::from_percent(10),
            negative: false,
            degree: 1,
        }]
    }
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, FeesToTreasury>;
    type WeightToFee = ComputeFee;
    // Ten bytes cost a millionth of a GEN.
    type LengthToFee = ConstantMultiplier<Balance, ConstU128<{ MICROGEN / 10 }>>;
    type FeeMultiplierUpdate = TargetedFeeAdjustment<
        Self,
        TargetBlockFullness,
        AdjustmentVariable,
        MinimumMultiplier,
        MaximumMultiplier,
    >;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = crate::OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}

parameter_types! {
    pub const MultisigDepositBase: Balance = deposit(1, 88);
    pub const MultisigDepositFactor: Balance = deposit(0, 32);
    pub const ProxyDepositBase: Balance = deposit(1, 8);
    pub const ProxyDepositFactor: Balance = deposit(0, 33);
    pub const AnnouncementDepositBase: Balance = deposit(1, 8);
    pub const AnnouncementDepositFactor: Balance = deposit(0, 66);
}

impl pallet_multisig::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type DepositBase = MultisigDepositBase;
    type DepositFactor = MultisigDepositFactor;
    type MaxSignatories = ConstU32<100>;
    type WeightInfo = pallet_multisig::weights::SubstrateWeight<Runtime>;
    type BlockNumberProvider = System;
}

/// What a proxy may do for the account that named it.
#[derive(
    Copy,
    Clone,
    Eq,
    PartialEq,
    Ord,
    PartialOrd,
    Encode,
    Decode,
    DecodeWithMemTracking,
    Debug,
    MaxEncodedLen,
    TypeInfo,
    Default,
)]
pub enum ProxyType {
    /// Everything.
    #[default]
    Any,
    /// Everything that does not move money to others.
    NonTransfer,
    /// The daily work of an inference worker: jobs, audits, and appeals against verdicts. It
    /// cannot take out stake, so a machine that holds only this proxy key can lose no more than
    /// what the worker risks anyway, and bonds of appeals.
    WorkerOperation,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        match self {
            ProxyType::Any => true,
            ProxyType::NonTransfer => match call {
                RuntimeCall::System(..) | RuntimeCall::Utility(..) | RuntimeCall::Multisig(..) => {
                    true
                }
                // A job pays whoever serves it, and a bond those who were right, so these move
                // money to others.
                RuntimeCall::Inference(
                    pallet_inference::Call::submit_job { .. }
                    | pallet_inference::Call::submit_job_with { .. }
                    | pallet_inference::Call::accept_result { .. }
                    | pallet_inference::Call::dispute_result { .. }
                    | pallet_inference::Call::appeal_verdict { .. },
                ) => false,
                RuntimeCall::Inference(..) => true,
                _ => false,
            },
            ProxyType::WorkerOperation => matches!(
                call,
                RuntimeCall::Utility(pallet_utility::Call::batch { .. })
                    | RuntimeCall::Utility(pallet_utility::Call::batch_all { .. })
                    | RuntimeCall::Inference(
                        pallet_inference::Call::chill { .. }
                            | pallet_inference::Call::activate { .. }
                            | pallet_inference::Call::set_endpoint { .. }
                            | pallet_inference::Call::set_offer { .. }
                            | pallet_inference::Call::remove_offer { .. }
                            | pallet_inference::Call::claim_job { .. }
                            | pallet_inference::Call::deliver { .. }
                            | pallet_inference::Call::progress_job { .. }
                            | pallet_inference::Call::commit_ballot { .. }
                            | pallet_inference::Call::reveal_ballot { .. }
                            | pallet_inference::Call::appeal_verdict { .. }
                    )
            ),
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        match (self, other) {
            (ProxyType::Any, _) => true,
            (ProxyType::NonTransfer, ProxyType::Any) => false,
            (ProxyType::NonTransfer, _) => true,
            (ProxyType::WorkerOperation, other) => other == &ProxyType::WorkerOperation,
        }
    }
}

impl pallet_proxy::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type ProxyType = ProxyType;
    type ProxyDepositBase = ProxyDepositBase;
    type ProxyDepositFactor = ProxyDepositFactor;
    type MaxProxies = ConstU32<32>;
    type WeightInfo = pallet_proxy::weights::SubstrateWeight<Runtime>;
    type MaxPending = ConstU32<32>;
    type CallHasher = BlakeTwo256;
    type AnnouncementDepositBase = AnnouncementDepositBase;
    type AnnouncementDepositFactor = AnnouncementDepositFactor;
    type BlockNumberProvider = System;
}
