//! A chain for the tests: this pallet, balances, and a market small enough to count on fingers.
//!
//! Every test runs inside [`market`], which checks at the end that all invariants hold and that no
//! money appeared or vanished.

use crate as pallet_inference;
use crate::{
    jobs::Job, primitives::*, randomness::BlockRandomness, Error, Event, HoldReason, Jobs,
    MarketParameters, Pallet,
};
use codec::Encode;
use core::cell::Cell;
use frame_support::{
    assert_ok, derive_impl,
    dispatch::{DispatchErrorWithPostInfo, PostDispatchInfo},
    parameter_types,
    traits::{
        fungible::{Inspect, InspectHold},
        ConstU128, ConstU32, Hooks,
    },
    weights::Weight,
};
use sp_runtime::{BuildStorage, DispatchError, Percent, Permill};

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Inference = pallet_inference;
}

pub type AccountId = u64;

/// Existential deposit: less than what the model's least fee leaves a worker.
pub const ED: Balance = 70;

parameter_types! {
    pub const TreasuryAccount: AccountId = TREASURY;
    pub const AuditPotAccount: AccountId = POT;
}

std::thread_local! {
    /// What the outputs of this test's blocks are made of; none: blocks make no output.
    static SALT: Cell<Option<u64>> = const { Cell::new(Some(0)) };
}

/// Block outputs of the tests: a hash of the block's number and of a number that a test can choose.
pub struct TestRandomness;

impl BlockRandomness for TestRandomness {
    fn of_previous_block() -> Option<H256> {
        let salt = SALT.with(Cell::get)?;
        Some(output_of(now() - 1, salt))
    }
}

/// The output of a block.
pub fn output_of(block: BlockNumber, salt: u64) -> H256 {
    content_hash(&(block, salt).encode())
}

/// Makes the blocks from now on contribute other outputs to seeds, or none.
pub fn set_randomness(salt: Option<u64>) {
    SALT.with(|cell| cell.set(salt));
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlockU32<Test>;
    type AccountData = pallet_balances::AccountData<Balance>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type AccountStore = System;
    type Balance = Balance;
    type ExistentialDeposit = ConstU128<ED>;
    type FreezeIdentifier = u8;
    type MaxFreezes = ConstU32<2>;
}

impl pallet_inference::Config for Test {
    type RuntimeHoldReason = RuntimeHoldReason;
    type Currency = Balances;
    type BlockNumberProvider = System;
    type ParametersOrigin = frame_system::EnsureRoot<AccountId>;
    type CancelSlashOrigin = frame_system::EnsureRoot<AccountId>;
    type Randomness = TestRandomness;
    type TreasuryAccount = TreasuryAccount;
    type AuditPotAccount = AuditPotAccount;
    type MaxUnbondingChunks = ConstU32<4>;
    type MaxCapacity = ConstU32<8>;
    type WeightInfo = ();
}

/// Asks.
pub const ALICE: AccountId = 1;
/// Works.
pub const BOB: AccountId = 2;
/// Works too.
pub const CAROL: AccountId = 3;
/// Registered the model.
pub const DAVE: AccountId = 4;
/// Has no part in anything.
pub const EVE: AccountId = 5;
/// Owns nothing.
pub const NOBODY: AccountId = 6;
/// Offer the model and audit it, if a test is about that.
pub const AUDITORS: [AccountId; 5] = [11, 12, 13, 14, 15];
/// Receives the protocol's share.
pub const TREASURY: AccountId = 99;
/// Keeps what jobs have paid for audits.
pub const POT: AccountId = 98;

/// What everybody but NOBODY, the treasury and the pot starts with.
pub const WEALTH: Balance = 1_000_000;
/// What BOB and CAROL stake.
pub const STAKE: Balance = 100_000;
/// BOB's prices, and CAROL's.
pub const PRICES: Prices = Prices {
    input: 10,
    output: 20,
};
/// The usual input: 5 bytes, so at most 10 input units with the model's overhead.
pub const INPUT: &str = "hello";
/// The usual output limit: at most 160 bytes of output and 40 of evidence.
pub const MAX_OUTPUT: u32 = 10;
/// The usual escrow.
pub const MAX_FEE: Balance = 1_000;
/// What the usual job costs at most at [`PRICES`]: 10 x 10 + 10 x 20.
pub const WORST_CASE: Balance = 300;
/// Stake behind the usual job.
pub const EXPOSURE: Balance = 50 * WORST_CASE;
/// What the usual delivery uses: 4 in, 3 out.
pub const USAGE: Usage = Usage {
    input: 4,
    output: 3,
};
/// What the usual delivery costs: less than 4 x 10 + 3 x 20 would be the model's least fee.
pub const FEE: Balance = 110;
/// The usual output.
pub const OUTPUT: &str = "hola";
/// Deposit of the usual job: record, input, output and evidence.
pub const JOB_DEPOSIT: Balance = 20 + 5 + 160 + 40;
/// Prepaid delivery of the usual job.
pub const DELIVERY_FEE: Balance = 7 + 2 * (160 + 40);

/// Blocks until unbonding stake is free.
pub const UNBONDING: BlockNumber = 12_000;
/// Blocks of a period of audit pools.
pub const PERIOD: BlockNumber = 10;

/// The market's parameters in tests.
pub fn parameters() -> Parameters {
    Parameters {
        exclusive_window: 5,
        open_window: 20,
        max_open_window: 100,
        deliver_window: 10,
        max_deliver_window: 50,
        review_window: 15,
        retention: 30,
        unbonding_period: UNBONDING,
        protocol_share: Permill::from_percent(1),
        late_share: Permill::from_percent(50),
        exposure_factor: 50,
        min_stake: 10_000,
        model_deposit: 500,
        model_deposit_per_byte: 1,
        offer_deposit: 50,
        job_deposit: 20,
        job_deposit_per_byte: 1,
        delivery_fee: 7,
        delivery_fee_per_byte: 2,
        pool_period: PERIOD,
        seed_interval: 1,
        seed_blocks: 2,
        commit_window: 8,
        reveal_window: 6,
        appeal_window: 7,
        slash_delay: 20,
        repeat_window: 1_000,
        first_seats: 3,
        second_seats: 5,
        appeal_seats: 7,
        fined_audits: 4,
        probation_jobs: 2,
        least_audit_chance: Permill::from_percent(1),
        audit_chance_factor_milli: 2_222,
        premium_percent: 100,
        premium_cap: Permill::from_percent(30),
        bond_share: Permill::from_percent(40),
        bond_floor: 50,
        wrong_fine: Permill::from_percent(20),
        silent_fine: Permill::from_percent(2),
        silent_fine_pays: 2,
    }
}

/// A manifest that registers.
pub fn manifest() -> ModelManifest {
    let file = |role, path: &str| ModelFile {
        role,
        path: bytes(path),
        sha256: H256::repeat_byte(7),
        size: 1_000,
    };
    ModelManifest {
        name: bytes("tiny"),
        task: Task::TextGeneration,
        architecture: bytes("llama"),
        canonical_version: 1,
        files: vec![
            file(FileRole::Config, "config.json"),
            file(FileRole::Weights, "model.safetensors"),
            file(FileRole::Tokenizer, "tokenizer.json"),
        ]
        .try_into()
        .unwrap(),
        stop_tokens: vec![2].try_into().unwrap(),
        limits: ModelLimits {
            context: 100,
            max_output: 40,
            prompt_overhead: 5,
        },
        sources: vec![bytes("https://example.org/tiny")].try_into().unwrap(),
        terms: ModelTerms {
            min_price_input: 2,
            min_price_output: 3,
            min_fee: 110,
            replay_rate: 1_000,
            seat_pay: Percent::from_percent(10),
        },
    }
}

/// The id of [`manifest`]'s model.
pub fn model() -> ModelId {
    manifest().id()
}

/// Bytes as an argument or as what is stored of it.
pub fn bytes<B: TryFrom<Vec<u8>, Error: core::fmt::Debug>>(text: &str) -> B {
    text.as_bytes()
        .to_vec()
        .try_into()
        .expect("short enough for a test")
}

/// The usual chain before anything happened, at block 1.
pub fn new_chain() -> sp_io::TestExternalities {
    let mut balances: Vec<_> = [ALICE, BOB, CAROL, DAVE, EVE]
        .iter()
        .chain(&AUDITORS)
        .map(|who| (*who, WEALTH))
        .collect();
    balances.extend([(TREASURY, ED), (POT, ED)]);
    let storage = RuntimeGenesisConfig {
        system: Default::default(),
        balances: pallet_balances::GenesisConfig {
            balances,
            ..Default::default()
        },
        inference: pallet_inference::GenesisConfig {
            parameters: parameters(),
            ..Default::default()
        },
    }
    .build_storage()
    .expect("the genesis of the tests is sound");
    let mut chain = sp_io::TestExternalities::new(storage);
    chain.execute_with(|| begin_block(1));
    chain
}

/// Runs a test on the usual chain, with DAVE's model registered and BOB and CAROL offering it.
pub fn market(test: impl FnOnce()) {
    bare_market(|| {
        assert_ok!(Inference::register_model(
            signed(DAVE),
            registration(&manifest())
        ));
        for worker in [BOB, CAROL] {
            assert_ok!(Inference::register_worker(signed(worker), STAKE, bytes("")));
            assert_ok!(offer(worker, PRICES, 3));
        }
        System::reset_events();
        test()
    });
}

/// Runs a test on the usual chain in the third period of audit pools, with AUDITORS offering the
/// model too, and all of them in its pool.
pub fn audited_market(test: impl FnOnce()) {
    market(|| {
        for auditor in AUDITORS {
            assert_ok!(Inference::register_worker(
                signed(auditor),
                STAKE,
                bytes("")
            ));
            assert_ok!(offer(auditor, PRICES, 3));
        }
        run_to(2 * PERIOD);
        System::reset_events();
        test()
    });
}

/// Runs a test on the usual chain without any model or worker.
pub fn bare_market(test: impl FnOnce()) {
    new_chain().execute_with(|| {
        let issuance = Balances::total_issuance();
        test();
        check_everything();
        assert_eq!(
            Balances::total_issuance(),
            issuance,
            "money appeared or vanished"
        );
    });
}

/// Checks all invariants of market and balances.
pub fn check_everything() {
    if let Err(error) = Pallet::<Test>::do_try_state() {
        panic!("a promise of the market is broken: {error:?}");
    }
    let everything: Balance = frame_system::Account::<Test>::iter_values()
        .map(|a| a.data.free + a.data.reserved)
        .sum();
    assert_eq!(
        Balances::total_issuance(),
        everything,
        "issuance is not the sum of balances"
    );
}

/// The origin of a signed call.
pub fn signed(who: AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who)
}

/// A manifest's bytes as they are registered.
pub fn registration(manifest: &ModelManifest) -> Vec<u8> {
    manifest.encode()
}

/// Offers the usual model.
pub fn offer(worker: AccountId, prices: Prices, capacity: u32) -> Result<(), DispatchError> {
    Inference::set_offer(
        signed(worker),
        model(),
        prices.input,
        prices.output,
        capacity,
    )
}

/// ALICE submits the usual job.
pub fn submit() -> JobId {
    submit_from(ALICE)
}

/// Somebody submits the usual job.
pub fn submit_from(who: AccountId) -> JobId {
    assert_ok!(Inference::submit_job(
        signed(who),
        model(),
        bytes(INPUT),
        MAX_OUTPUT,
        MAX_FEE
    ));
    last_job()
}

/// ALICE submits the usual job under conditions.
pub fn submit_under(conditions: JobConditions<AccountId>) -> Result<JobId, DispatchError> {
    Inference::submit_job_with(
        signed(ALICE),
        model(),
        bytes(INPUT),
        MAX_OUTPUT,
        MAX_FEE,
        JobOptions::default(),
        conditions,
    )
    .map_err(|refusal| refusal.error)?;
    Ok(last_job())
}

/// The job submitted last.
pub fn last_job() -> JobId {
    crate::NextJobId::<Test>::get() - 1
}

/// What the usual worker says about the usual result: token ids 5, 600 and 2.
pub fn result_claim() -> ResultClaim {
    ResultClaim {
        usage: USAGE,
        fault: None,
        trace: H256::repeat_byte(3),
        engine_version: 1,
    }
}

/// Delivers the usual result.
pub fn deliver(worker: AccountId, job: JobId) -> Result<PostDispatchInfo, DispatchError> {
    deliver_with(worker, job, OUTPUT.as_bytes(), &[5, 600, 2], result_claim())
}

/// Delivers a result.
pub fn deliver_with(
    worker: AccountId,
    job: JobId,
    output: &[u8],
    ids: &[u32],
    claim: ResultClaim,
) -> Result<PostDispatchInfo, DispatchError> {
    let evidence = evidence::encode(ids);
    Inference::deliver(signed(worker), job, output.to_vec(), evidence, claim).map_err(|e| e.error)
}

/// A job that BOB has claimed.
pub fn claimed() -> JobId {
    let job = submit();
    assert_ok!(Inference::claim_job(signed(BOB), job));
    job
}

/// A job that BOB has delivered.
pub fn delivered() -> JobId {
    let job = claimed();
    assert_ok!(deliver(BOB, job));
    job
}

/// A job's record.
pub fn job(id: JobId) -> Job<AccountId> {
    Jobs::<Test>::get(id).expect("the job is kept")
}

/// Where a job stands.
pub fn status(id: JobId) -> JobStatus {
    job(id).state.status()
}

/// The present block.
pub fn now() -> BlockNumber {
    System::block_number()
}

/// Goes to a block through full blocks, which leave no room for `on_idle`.
pub fn jump_to(block: BlockNumber) {
    while now() < block {
        begin_block(now() + 1);
    }
}

/// Goes to a block through blocks with room for `on_idle`.
pub fn run_to(block: BlockNumber) {
    while now() < block {
        begin_block(now() + 1);
        idle(Weight::MAX);
    }
}

/// Begins a block: what every block does, however full it is.
pub fn begin_block(block: BlockNumber) {
    System::set_block_number(block);
    Inference::on_initialize(block);
}

/// Runs `on_idle` in the present block; returns what it used.
pub fn idle(weight: Weight) -> Weight {
    Inference::on_idle(now(), weight)
}

/// What is held on an account.
pub fn held(who: AccountId, reason: HoldReason) -> Balance {
    Balances::balance_on_hold(&reason.into(), &who)
}

/// An account's free balance.
pub fn free(who: AccountId) -> Balance {
    Balances::balance(&who)
}

/// Everything that an account owns, held or free.
pub fn wealth(who: AccountId) -> Balance {
    Balances::total_balance(&who)
}

/// Changes the parameters, as root.
pub fn reparametrise(change: impl FnOnce(&mut Parameters)) {
    let mut parameters = MarketParameters::<Test>::get().parameters;
    change(&mut parameters);
    assert_ok!(Inference::set_parameters(RuntimeOrigin::root(), parameters));
}

/// The market's events since the last look.
pub fn events() -> Vec<Event<Test>> {
    let events = System::read_events_for_pallet::<Event<Test>>();
    System::reset_events();
    events
}

/// What a call that failed gives back.
pub trait Refusal {
    /// Why it failed.
    fn reason(self) -> DispatchError;
}

impl Refusal for DispatchError {
    fn reason(self) -> DispatchError {
        self
    }
}

impl Refusal for DispatchErrorWithPostInfo {
    fn reason(self) -> DispatchError {
        self.error
    }
}

/// Asserts that a call is refused before it touches anything.
#[track_caller]
pub fn refuses<R, E: Refusal>(call: impl FnOnce() -> Result<R, E>, error: Error<Test>) {
    let before = state_root();
    assert_eq!(call().err().map(E::reason), Some(error.into()));
    assert_eq!(state_root(), before, "a refused call touched something");
}

/// Asserts that a dispatched call fails. What it did on the way is undone, as in every block.
#[track_caller]
pub fn undoes<R, E: Refusal>(call: impl FnOnce() -> Result<R, E>, error: Error<Test>) {
    let before = state_root();
    let call = || call().map_err(E::reason);
    let refusal = frame_support::storage::with_storage_layer(call).err();
    assert_eq!(refusal, Some(error.into()));
    assert_eq!(state_root(), before, "a failed call was not undone");
}

/// A hash over all storage.
pub fn state_root() -> Vec<u8> {
    sp_io::storage::root(sp_runtime::StateVersion::V1)
}
