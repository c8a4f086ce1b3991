//! A market at its dearest: a state in which the largest audits, pools and results are one call
//! away from their next step. It is made natively, with the runtime's own calls where they lead
//! there, so that the compiled runtime can then be timed on it.

use codec::Encode;
use genesisflow_primitives::{
    audit::{ballot_commitment, Ballot, MaxPoolSize},
    FileRole, JobId, ModelFile, ModelId, ModelLimits, ModelManifest, ModelTerms, Parameters,
    ResultClaim, Task, Usage, H256,
};
use genesisflow_runtime::{
    currency::GEN, AccountId, Address, Inference, InferenceConfig, Runtime, RuntimeCall,
    RuntimeGenesisConfig, RuntimeOrigin, Signature, SignedPayload, System, TxExtension,
    UncheckedExtrinsic,
};
use pallet_inference::{
    agenda::{DueKey, JobKey},
    audits::{Audit, Auditor, Bond, Phase, Round, RoundKind, Said},
    jobs::{Job, JobState},
    Agenda, Audits, Call, Config, HoldReason, Jobs, Seats, Workers,
};
use sp_core::{sr25519, Get, Pair};
use sp_runtime::{generic::Era, BoundedVec, BuildStorage, Percent};

/// Accounts, each with money: the first ones work, those from [`Stage::REQUESTERS`] on request.
const ACCOUNTS: usize = 2_000;
/// The block in which calls are timed, less one. It is long after the slash delay.
const NOW: u32 = 60_000;
const BALLOT: Ballot = Ballot {
    digest: H256([7; 32]),
    valid: true,
};
const WRONG: Ballot = Ballot {
    digest: H256([7; 32]),
    valid: false,
};
const SALT: H256 = H256([9; 32]);

/// A state, and who can sign in it.
pub struct Stage {
    /// The state.
    pub state: sp_io::TestExternalities,
    pairs: Vec<sr25519::Pair>,
    nonces: Vec<u32>,
    model: ModelId,
}

impl Stage {
    /// First account that is no worker.
    pub const REQUESTERS: usize = 1_000;
    /// The worker of all jobs.
    const WORKER: usize = 999;

    /// A market with one model, a full pool of workers, and a runtime's `code`.
    pub fn new(code: &[u8]) -> anyhow::Result<Self> {
        let pairs: Vec<_> = (0..ACCOUNTS).map(pair).collect();
        let mut storage = RuntimeGenesisConfig {
            balances: genesisflow_runtime::BalancesConfig {
                balances: pairs
                    .iter()
                    .map(|pair| (id(pair), 1_000_000_000 * GEN))
                    .collect(),
                ..Default::default()
            },
            inference: InferenceConfig {
                parameters: Parameters::default(),
                ..Default::default()
            },
            ..Default::default()
        }
        .build_storage()
        .map_err(|error| anyhow::anyhow!("the genesis is unsound: {error}"))?;
        storage.top.insert(b":code".to_vec(), code.to_vec());
        let manifest = manifest();
        let mut stage = Self {
            state: sp_io::TestExternalities::new(storage),
            nonces: vec![0; pairs.len()],
            pairs,
            model: manifest.id(),
        };
        let pool = <MaxPoolSize as Get<u32>>::get() as usize;
        let model = stage.model;
        let workers: Vec<_> = (0..pool - 1)
            .chain([Self::WORKER])
            .map(|n| stage.who(n))
            .collect();
        let owner = stage.who(Self::REQUESTERS);
        stage.state.execute_with(|| {
            System::set_block_number(1);
            done(Inference::register_model(signed(&owner), manifest.encode()));
            for worker in &workers {
                done(Inference::register_worker(
                    signed(worker),
                    1_000_000 * GEN,
                    vec![b'a'; 256],
                ));
                let most = <Runtime as Config>::MaxCapacity::get();
                done(Inference::set_offer(signed(worker), model, 1, 1, most));
            }
            System::set_block_number(NOW);
        });
        Ok(stage)
    }

    /// The account of a number.
    pub fn who(&self, number: usize) -> AccountId {
        id(&self.pairs[number])
    }

    /// A transaction of an account, to be included in the next block.
    pub fn sign(&mut self, number: usize, call: RuntimeCall) -> Vec<u8> {
        let nonce = self.nonces[number];
        self.nonces[number] += 1;
        let pair = self.pairs[number].clone();
        let extension: TxExtension = (
            frame_system::CheckNonZeroSender::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            frame_system::CheckEra::from(Era::Immortal),
            frame_system::CheckNonce::from(nonce),
            Default::default(),
            frame_system::CheckWeight::new(),
            pallet_transaction_payment::ChargeTransactionPayment::from(0),
            frame_metadata_hash_extension::CheckMetadataHash::new(false),
            frame_system::WeightReclaim::new(),
        );
        self.state.execute_with(|| {
            let payload = SignedPayload::new(call, extension)
                .unwrap_or_else(|error| panic!("a payload that cannot be signed: {error:?}"));
            let signature = payload.using_encoded(|bytes| pair.sign(bytes));
            let (call, extension, _) = payload.deconstruct();
            UncheckedExtrinsic::new_signed(
                call,
                Address::Id(id(&pair)),
                Signature::Sr25519(signature),
                extension,
            )
            .encode()
        })
    }

    /// A transaction of a requester that submits a job with the longest input.
    pub fn submission(&mut self, number: usize) -> Vec<u8> {
        let call = Call::submit_job {
            model: self.model,
            input: vec![b'a'; 16_384],
            max_output: 16_384,
            max_fee: 10 * GEN,
        };
        self.sign(Self::REQUESTERS + number, call.into())
    }

    /// A new worker with more stake than a candidate of a full model, and its transaction that takes
    /// the candidate's place.
    pub fn newcomer(&mut self, number: usize) -> Vec<u8> {
        let who = 256 + number;
        let account = self.who(who);
        self.state.execute_with(|| {
            done(Inference::register_worker(
                signed(&account),
                (1_000_001 + number as u128) * GEN,
                vec![b'a'; 256],
            ));
        });
        let call = Call::set_offer {
            model: self.model,
            price_input: 1,
            price_output: 1,
            capacity: 1,
        };
        self.sign(who, call.into())
    }

    /// A job that waits for a claim, and the worker's transaction that claims it.
    pub fn claim(&mut self, number: usize) -> Vec<u8> {
        let job = self.open(number);
        self.sign(Self::WORKER, Call::claim_job { job }.into())
    }

    /// A claimed job, and the worker's transaction that delivers the largest result.
    pub fn delivery(&mut self, number: usize) -> Vec<u8> {
        let job = self.claimed(number);
        self.sign(Self::WORKER, delivery(job).into())
    }

    /// A result that waits for its requester, and the transaction that accepts it.
    pub fn acceptance(&mut self, number: usize) -> Vec<u8> {
        let job = self.delivered(number);
        self.set_state(job, NOW + 100, |job, until| match &job.state {
            JobState::Delivered {
                claim, delivery, ..
            } => JobState::Review {
                claim: claim.clone(),
                delivery: delivery.clone(),
                until,
            },
            other => other.clone(),
        });
        let call = Call::accept_result { job };
        self.sign(Self::REQUESTERS + number, call.into())
    }

    /// An appeal of as many auditors as there can be, in which one has still to reveal, and its
    /// transaction.
    pub fn last_reveal(&mut self, number: usize) -> Vec<u8> {
        let job = self.delivered(number);
        let seats = Parameters::default().appeal_seats as usize;
        let first = number * 7 % (255 - seats);
        let auditors: Vec<_> = (first..first + seats).map(|n| self.who(n)).collect();
        self.state.execute_with(|| {
            let genesis = H256(System::block_hash(0).0);
            let round = 1;
            let commitment = ballot_commitment(&genesis, job, round, &auditors[0], &BALLOT, &SALT);
            let said = |index| match index {
                0 => Said::Committed(commitment),
                _ => Said::Revealed(BALLOT),
            };
            let rounds = vec![
                seated(RoundKind::First, &auditors[..3], |_| Said::Revealed(WRONG)),
                seated(RoundKind::Appeal, &auditors, said),
            ];
            Audits::<Runtime>::insert(job, audit(Phase::Reveal, rounds));
            for who in &auditors {
                Seats::<Runtime>::insert(who, JobKey::from(job), ());
                Workers::<Runtime>::mutate(who, |worker| {
                    if let Some(worker) = worker {
                        worker.open_audits += 1;
                    }
                });
            }
        });
        self.set_state(job, NOW + 100, under_audit);
        let call = Call::reveal_ballot {
            job,
            digest: BALLOT.digest,
            valid: BALLOT.valid,
            salt: SALT,
        };
        self.sign(first, call.into())
    }

    /// An audit of every round that there can be, which rejected the result against every second of
    /// its seats: the first block finds it overdue for its slashes.
    pub fn due_slashes(&mut self, number: usize) {
        let job = self.delivered(number);
        let parameters = Parameters::default();
        let kinds = [
            (RoundKind::First, parameters.first_seats),
            (RoundKind::Second, parameters.second_seats),
            (RoundKind::Appeal, parameters.appeal_seats),
        ];
        let mut seat = number * 13;
        let mut rounds = Vec::new();
        for (kind, seats) in kinds.into_iter().flat_map(|kind| [kind, kind]) {
            let auditors: Vec<_> = (0..seats)
                .map(|_| {
                    seat += 1;
                    self.who(seat % 255)
                })
                .collect();
            let said = |index: usize| {
                Said::Revealed(if index.is_multiple_of(2) {
                    WRONG
                } else {
                    BALLOT
                })
            };
            rounds.push(seated(kind, &auditors, said));
        }
        if let Some(round) = rounds.last_mut() {
            round.verdict = Some(WRONG);
        }
        let bonds = [HoldReason::DisputeBond, HoldReason::AppealBond].map(|reason| {
            use frame_support::traits::fungible::MutateHold;
            let who = self.who(Self::REQUESTERS + number + 500);
            self.state.execute_with(|| {
                done(genesisflow_runtime::Balances::hold(
                    &reason.into(),
                    &who,
                    GEN,
                ));
            });
            Bond { who, held: GEN }
        });
        let [dispute, appeal] = bonds;
        self.state.execute_with(|| {
            let mut audit = audit(Phase::Over, rounds);
            audit.dispute = Some(dispute);
            audit.appeal = Some(appeal);
            Audits::<Runtime>::insert(job, audit);
        });
        let delay = parameters.slash_delay;
        self.set_state(job, NOW - delay - 2, |job, until| {
            match under_audit(job, until) {
                JobState::Audit {
                    claim,
                    delivery,
                    until,
                } => JobState::Decided {
                    claim,
                    delivery,
                    until,
                },
                other => other,
            }
        });
        let anyone = self.who(Self::REQUESTERS);
        let worker = self.who(Self::WORKER);
        self.state.execute_with(|| {
            // The outcome, natively; its slashes are due at the end of their delay.
            System::set_block_number(NOW - delay - 1);
            done(Inference::progress_job(signed(&anyone), job));
            System::set_block_number(NOW);
            // The rejection chilled the worker, which has more results to come.
            done(Inference::activate(signed(&worker)));
        });
    }

    fn open(&mut self, number: usize) -> JobId {
        let requester = self.who(Self::REQUESTERS + number);
        let model = self.model;
        self.state.execute_with(|| {
            let id = pallet_inference::NextJobId::<Runtime>::get();
            done(Inference::submit_job(
                signed(&requester),
                model,
                vec![b'a'; 16_384],
                16_384,
                10 * GEN,
            ));
            id
        })
    }

    fn claimed(&mut self, number: usize) -> JobId {
        let job = self.open(number);
        let worker = self.who(Self::WORKER);
        self.state
            .execute_with(|| done(Inference::claim_job(signed(&worker), job)));
        job
    }

    fn delivered(&mut self, number: usize) -> JobId {
        let job = self.claimed(number);
        let worker = self.who(Self::WORKER);
        self.state.execute_with(|| {
            use frame_support::traits::UnfilteredDispatchable;
            done(delivery(job).dispatch_bypass_filter(signed(&worker)));
        });
        job
    }

    /// Gives a job another state, which ends with block `until`, and another place in the agenda.
    fn set_state(
        &mut self,
        id: JobId,
        until: u32,
        state: impl FnOnce(&Job<AccountId>, u32) -> JobState<AccountId>,
    ) {
        self.state.execute_with(|| {
            let Some(mut job) = Jobs::<Runtime>::get(id) else {
                panic!("job {id} is missing");
            };
            Agenda::<Runtime>::remove(DueKey::from(job.listed), JobKey::from(id));
            job.state = state(&job, until);
            job.listed = job.state.due();
            Agenda::<Runtime>::insert(DueKey::from(job.listed), JobKey::from(id), ());
            Jobs::<Runtime>::insert(id, job);
        });
    }
}

fn under_audit(job: &Job<AccountId>, until: u32) -> JobState<AccountId> {
    match (job.state.claim(), job.state.delivery()) {
        (Some(claim), Some(delivery)) => JobState::Audit {
            claim: claim.clone(),
            delivery: delivery.clone(),
            until,
        },
        _ => job.state.clone(),
    }
}

fn audit(phase: Phase, rounds: Vec<Round<AccountId>>) -> Audit<AccountId> {
    Audit {
        phase,
        rounds: BoundedVec::truncate_from(rounds),
        dispute: None,
        appeal: None,
        fund: 0,
        slashes: Default::default(),
    }
}

fn seated(
    kind: RoundKind,
    auditors: &[AccountId],
    said: impl Fn(usize) -> Said,
) -> Round<AccountId> {
    let auditors = auditors.iter().enumerate().map(|(index, who)| Auditor {
        who: who.clone(),
        seats: 1,
        excused: false,
        holds_majority: false,
        said: said(index),
    });
    Round {
        kind,
        seed: Some(H256::zero()),
        eligible: <MaxPoolSize as Get<u32>>::get(),
        auditors: BoundedVec::truncate_from(auditors.collect()),
        verdict: None,
    }
}

fn delivery(job: JobId) -> Call<Runtime> {
    Call::deliver {
        job,
        output: vec![b'a'; 16_384],
        evidence: vec![0; 16_384],
        claim: ResultClaim {
            usage: Usage {
                input: 1,
                output: 16_384,
            },
            fault: None,
            trace: H256::zero(),
            engine_version: 1,
        },
    }
}

fn manifest() -> ModelManifest {
    let file = |role, path: &str| ModelFile {
        role,
        path: bounded(path),
        sha256: H256::repeat_byte(1),
        size: 1,
    };
    ModelManifest {
        name: bounded("stage"),
        task: Task::TextGeneration,
        architecture: bounded("llama"),
        canonical_version: 1,
        files: vec![
            file(FileRole::Config, "config.json"),
            file(FileRole::Tokenizer, "tokenizer.json"),
            file(FileRole::Weights, "model.safetensors"),
        ]
        .try_into()
        .unwrap_or_default(),
        stop_tokens: Default::default(),
        limits: ModelLimits {
            context: 60_000,
            max_output: 20_000,
            prompt_overhead: 100,
        },
        sources: Default::default(),
        terms: ModelTerms {
            min_price_input: 1,
            min_price_output: 1,
            min_fee: GEN / 100,
            replay_rate: 1_000,
            seat_pay: Percent::from_percent(10),
        },
    }
}

fn bounded<B: TryFrom<Vec<u8>> + Default>(text: &str) -> B {
    text.as_bytes().to_vec().try_into().unwrap_or_default()
}

fn pair(number: usize) -> sr25519::Pair {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    sr25519::Pair::from_seed(&seed)
}

fn id(pair: &sr25519::Pair) -> AccountId {
    pair.public().into()
}

fn signed(who: &AccountId) -> RuntimeOrigin {
    RuntimeOrigin::signed(who.clone())
}

/// A step of the preparation, which cannot fail unless the market's rules have changed.
fn done<R, E: core::fmt::Debug>(outcome: Result<R, E>) {
    if let Err(error) = outcome {
        panic!("the stage does not fit the market's rules any more: {error:?}");
    }
}
