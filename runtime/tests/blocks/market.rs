//! What the market's people want to do next: lives of jobs, with audits and all their ends.
//!
//! Nobody here remembers anything. What an account is like follows from its number and the job's,
//! so a story can be cut anywhere and the rest still makes sense.

use crate::{
    calls::World,
    dice::{mixed, Dice},
    people::{root, PEOPLE},
};
use codec::Encode;
use genesisflow_primitives::{
    audit::{ballot_commitment, Ballot},
    content_hash, evidence, FaultCode, FileRole, JobConditions, JobId, JobOptions, ModelFile,
    ModelLimits, ModelManifest, ModelTerms, Parameters, ResultClaim, Task, Usage, H256,
};
use genesisflow_runtime::{
    configs::ProxyType,
    currency::{GEN, MILLIGEN},
    AccountId, Runtime, RuntimeCall, System,
};
use pallet_inference::{
    audits::{Audit, Phase, Said},
    jobs::{Job, JobState},
    Audits, Call, Jobs, Models, Offers, Seats, Workers,
};
use sp_runtime::{Percent, Permill};

/// Somebody who wants something.
pub struct Wish {
    pub who: AccountId,
    pub call: RuntimeCall,
}

fn wish(who: &AccountId, call: Call<Runtime>) -> Wish {
    Wish {
        who: who.clone(),
        call: RuntimeCall::Inference(call),
    }
}

fn by_root(call: RuntimeCall) -> Wish {
    let call = Box::new(call);
    Wish {
        who: root().account.clone(),
        call: RuntimeCall::Sudo(pallet_sudo::Call::sudo { call }),
    }
}

fn bytes<B: TryFrom<Vec<u8>, Error: core::fmt::Debug>>(text: &str) -> B {
    text.as_bytes().to_vec().try_into().expect("short enough")
}

/// One of a few models, which differ in terms and limits.
pub fn manifest(which: usize) -> ModelManifest {
    let file = |role, path: &str| ModelFile {
        role,
        path: bytes(path),
        sha256: H256::repeat_byte(7),
        size: 1_000,
    };
    ModelManifest {
        name: bytes(&format!("tiny {which}")),
        task: Task::TextGeneration,
        architecture: bytes("llama"),
        canonical_version: 1,
        files: vec![
            file(FileRole::Config, "config.json"),
            file(FileRole::Weights, "model.safetensors"),
            file(FileRole::Tokenizer, "tokenizer.json"),
        ]
        .try_into()
        .expect("few files"),
        stop_tokens: vec![2].try_into().expect("few tokens"),
        limits: ModelLimits {
            context: 200 + 2_000 * which as u32,
            max_output: 100 + 900 * which as u32,
            prompt_overhead: 5,
        },
        sources: vec![bytes("https://example.org/tiny")]
            .try_into()
            .expect("few sources"),
        terms: ModelTerms {
            min_price_input: 1,
            min_price_output: 1,
            min_fee: 2 * MILLIGEN,
            replay_rate: 1_000,
            seat_pay: Percent::from_percent(10 + 45 * which as u8),
        },
    }
}

const MODELS: usize = 3;

fn number_of(who: &AccountId) -> u64 {
    let bytes: &[u8; 32] = who.as_ref();
    bytes.iter().fold(0, |number: u64, byte| {
        number.rotate_left(8) ^ u64::from(*byte)
    })
}

/// Whether a result is wrong: it says so itself, so that honest auditors know.
fn is_wrong(job: &Job<AccountId>) -> bool {
    let delivery = job.state.delivery();
    delivery.is_some_and(|delivery| delivery.trace.as_bytes()[0] == WRONG)
}

const RIGHT: u8 = 3;
const WRONG: u8 = 0xbd;

/// How the auditors of a job are in a round.
fn ballot(
    id: JobId,
    job: &Job<AccountId>,
    round: u8,
    seed: H256,
    who: &AccountId,
) -> Option<Ballot> {
    let truth = !is_wrong(job);
    let digest = |word: u64| content_hash(&(seed, id, word).encode());
    let mood = mixed(&[id, u64::from(round), 17]) % 10;
    let nature = mixed(&[id, u64::from(round), number_of(who)]) % 10;
    let honest = Ballot {
        digest: digest(1),
        valid: truth,
    };
    let lie = Ballot {
        digest: digest(2),
        valid: !truth,
    };
    match (mood, nature) {
        // An outage.
        (0, _) => None,
        // Everybody lies.
        (1, _) => Some(lie),
        // Everybody says something else.
        (2, _) => Some(Ballot {
            digest: digest(number_of(who)),
            valid: truth,
        }),
        (_, 0) => None,
        (_, 1) => Some(lie),
        _ => Some(honest),
    }
}

fn salt(id: JobId, round: u8, who: &AccountId) -> H256 {
    content_hash(&(b"salt", id, round, who).encode())
}

/// What waits for somebody: seats, claims, results, verdicts, deadlines.
pub fn due(dice: &mut Dice) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let seats: Vec<_> = Seats::<Runtime>::iter_keys().collect();
    for (who, key) in seats {
        let id = key.job();
        if let (Some(job), Some(audit)) = (Jobs::<Runtime>::get(id), Audits::<Runtime>::get(id)) {
            wishes.extend(vote(dice, id, &job, &audit, &who));
        }
    }
    let mut jobs: Vec<_> = Jobs::<Runtime>::iter().collect();
    jobs.sort_by_key(|(id, _)| *id);
    for (id, job) in jobs {
        wishes.extend(move_on(dice, id, &job));
    }
    wishes
}

/// What an auditor says next.
fn vote(
    dice: &mut Dice,
    id: JobId,
    job: &Job<AccountId>,
    audit: &Audit<AccountId>,
    who: &AccountId,
) -> Option<Wish> {
    let (number, round) = audit.last_round()?;
    let seat = round.auditors.iter().find(|seat| seat.who == *who)?;
    let ballot = ballot(id, job, number, round.seed?, who)?;
    let salt = salt(id, number, who);
    let call = match (audit.phase, seat.said) {
        (Phase::Commit, Said::Nothing) if dice.percent(60) => Call::commit_ballot {
            job: id,
            commitment: ballot_commitment(&System::block_hash(0), id, number, who, &ballot, &salt),
        },
        // Some hide what they have said.
        (Phase::Reveal, Said::Committed(_))
            if dice.percent(70) && !mixed(&[id, number_of(who), 5]).is_multiple_of(12) =>
        {
            Call::reveal_ballot {
                job: id,
                digest: ballot.digest,
                valid: ballot.valid,
                salt,
            }
        }
        _ => return None,
    };
    Some(wish(who, call))
}

fn move_on(dice: &mut Dice, id: JobId, job: &Job<AccountId>) -> Option<Wish> {
    let anybody = &dice.pick(&PEOPLE).expect("there are people").account;
    if job.state.due() <= System::block_number() && dice.percent(30) {
        return Some(wish(anybody, Call::progress_job { job: id }));
    }
    match &job.state {
        JobState::Open { .. } if dice.percent(4) => {
            Some(wish(&job.requester, Call::cancel_job { job: id }))
        }
        JobState::Open { .. } if dice.percent(50) => {
            let workers: Vec<_> = Offers::<Runtime>::iter_key_prefix(job.model).collect();
            Some(wish(dice.pick(&workers)?, Call::claim_job { job: id }))
        }
        // Some workers never deliver.
        JobState::Claimed(claim) if mixed(&[id, number_of(&claim.worker)]).is_multiple_of(8) => {
            None
        }
        JobState::Claimed(claim) if dice.percent(50) => {
            Some(wish(&claim.worker, delivery(dice, id, job)))
        }
        JobState::Delivered { .. } if dice.percent(10) => {
            Some(wish(&job.requester, Call::accept_result { job: id }))
        }
        JobState::Review { .. } if dice.percent(15) => {
            Some(wish(anybody, Call::dispute_result { job: id }))
        }
        JobState::Review { .. } if dice.percent(10) => {
            Some(wish(&job.requester, Call::accept_result { job: id }))
        }
        JobState::Decided { claim, .. } if dice.percent(25) => {
            let party = [&claim.worker, &job.requester, anybody][dice.below(3)];
            Some(wish(party, Call::appeal_verdict { job: id }))
        }
        JobState::Slashing { .. } if dice.percent(4) => {
            let slashes = Audits::<Runtime>::get(id)?.slashes;
            let who = dice.pick(&slashes)?.who.clone();
            Some(by_root(RuntimeCall::Inference(Call::cancel_slash {
                job: id,
                who,
            })))
        }
        _ => None,
    }
}

/// A result: mostly one that the chain takes, and of these some that are wrong.
fn delivery(dice: &mut Dice, id: JobId, job: &Job<AccountId>) -> Call<Runtime> {
    let wrong = mixed(&[id, 3]).is_multiple_of(3);
    let terms = &job.terms;
    let beyond = usize::from(dice.percent(5));
    let tokens = dice.below(terms.max_output_units as usize + 1 + beyond) as u32;
    let ids: Vec<u32> = (0..tokens).map(|id| id * 37).collect();
    let fault = dice.percent(10).then(|| genesisflow_primitives::Fault {
        code: FaultCode::KeyValueOverflow,
        position: dice.number(32) as u32,
    });
    Call::deliver {
        job: id,
        output: vec![b'z'; dice.below(terms.max_output_bytes as usize + 1)],
        evidence: evidence::encode(&ids),
        claim: ResultClaim {
            usage: Usage {
                input: dice.below(terms.max_input_units as usize + 1 + beyond) as u32,
                output: tokens,
            },
            fault,
            trace: H256::repeat_byte(if wrong { WRONG } else { RIGHT }),
            engine_version: dice.number(32) as u32,
        },
    }
}

/// Something new: models, workers, offers, jobs, parameters, and who may act for whom.
pub fn idea(dice: &mut Dice, world: &World) -> Wish {
    let who = &dice.pick(&PEOPLE).expect("there are people").account;
    let mut workers: Vec<_> = Workers::<Runtime>::iter_keys().collect();
    workers.sort();
    let worker = dice.pick(&workers).unwrap_or(who).clone();
    let model = match dice.percent(95) {
        true => dice.pick(&world.models).copied(),
        false => None,
    }
    .unwrap_or_else(|| manifest(dice.below(MODELS)).id());
    match dice.below(34) {
        0 => wish(
            who,
            Call::register_model {
                manifest: manifest(dice.below(MODELS)).encode(),
            },
        ),
        1 => {
            let owner = Models::<Runtime>::get(model).map_or(who.clone(), |model| model.owner);
            wish(&owner, Call::retire_model { model })
        }
        2 | 3 => wish(
            who,
            Call::register_worker {
                stake: GEN * (90 + dice.below(400) as u128),
                endpoint: b"wss://example.org".to_vec(),
            },
        ),
        4 => wish(
            &worker,
            Call::bond_more {
                amount: dice.number(48),
            },
        ),
        5 => wish(
            &worker,
            Call::set_endpoint {
                endpoint: b"wss://example.net".to_vec(),
            },
        ),
        6 if dice.percent(30) => wish(&worker, Call::chill {}),
        6..=9 => {
            let chilled = |who: &&AccountId| {
                Workers::<Runtime>::get(who).is_some_and(|worker| worker.chilled)
            };
            let chilled = workers.iter().find(chilled).unwrap_or(&worker);
            wish(chilled, Call::activate {})
        }
        10 => {
            let bonded = Workers::<Runtime>::get(&worker).map_or(0, |worker| worker.bonded());
            let amount = bonded * dice.below(5) as u128 / 4;
            wish(&worker, Call::unbond { amount })
        }
        11 => wish(&worker, Call::withdraw_unbonded {}),
        12..=15 => wish(
            &worker,
            Call::set_offer {
                model,
                price_input: 1 + dice.number(32),
                price_output: 1 + dice.number(32),
                capacity: 1 + dice.below(4) as u32,
            },
        ),
        16 if dice.percent(30) => wish(&worker, Call::remove_offer { model }),
        16..=21 => wish(
            who,
            Call::submit_job {
                model,
                input: vec![b'a'; 1 + dice.below(80)],
                max_output: 1 + dice.below(100) as u32,
                max_fee: MILLIGEN * (2 + dice.below(2_000) as u128),
            },
        ),
        22..=26 => wish(
            who,
            Call::submit_job_with {
                model,
                input: vec![b'a'; 1 + dice.below(80)],
                max_output: 1 + dice.below(100) as u32,
                max_fee: MILLIGEN * (2 + dice.below(2_000) as u128),
                options: JobOptions::default(),
                conditions: conditions(dice, world, &worker),
            },
        ),
        27 => {
            let parameters = parameters(dice);
            by_root(RuntimeCall::Inference(Call::set_parameters { parameters }))
        }
        // Somebody leaves too little for an account to exist.
        28 if dice.percent(30) => {
            let left = dice.below(MILLIGEN as usize) as u128;
            let free = genesisflow_runtime::Balances::usable_balance(who);
            Wish {
                who: who.clone(),
                call: RuntimeCall::Balances(pallet_balances::Call::transfer_allow_death {
                    dest: root().account.clone().into(),
                    value: free.saturating_sub(MILLIGEN / 2).saturating_sub(left),
                }),
            }
        }
        28 | 29 => Wish {
            who: worker,
            call: RuntimeCall::Proxy(pallet_proxy::Call::add_proxy {
                delegate: who.clone().into(),
                proxy_type: [ProxyType::Any, ProxyType::WorkerOperation][dice.below(2)],
                delay: 0,
            }),
        },
        // Somebody goes, as far as holds let it; and somebody else is given a little.
        30 => Wish {
            who: who.clone(),
            call: RuntimeCall::Balances(pallet_balances::Call::transfer_all {
                dest: root().account.clone().into(),
                keep_alive: dice.percent(50),
            }),
        },
        _ => Wish {
            who: root().account.clone(),
            call: RuntimeCall::Balances(pallet_balances::Call::transfer_allow_death {
                dest: who.clone().into(),
                value: [MILLIGEN, GEN, 1_000 * GEN][dice.below(3)],
            }),
        },
    }
}

fn conditions(dice: &mut Dice, world: &World, worker: &AccountId) -> JobConditions<AccountId> {
    JobConditions {
        max_price_input: 1 << dice.below(40),
        max_price_output: 1 << dice.below(40),
        claim_by: dice.percent(50).then(|| world.now + dice.below(40) as u32),
        deliver_within: dice.percent(50).then(|| dice.below(20) as u32),
        worker: dice.percent(30).then(|| worker.clone()),
        min_auditors: dice.below(3) as u32,
    }
}

/// Parameters that keep their relations, mostly.
fn parameters(dice: &mut Dice) -> Parameters {
    let mut changed = pallet_inference::MarketParameters::<Runtime>::get().parameters;
    changed.review_window = 5 + dice.below(20) as u32;
    changed.commit_window = 5 + dice.below(10) as u32;
    changed.reveal_window = 5 + dice.below(10) as u32;
    changed.slash_delay = 2 + dice.below(20) as u32;
    changed.retention = 10 + dice.below(100) as u32;
    changed.pool_period = 5 + dice.below(10) as u32;
    changed.seed_interval = 1 + dice.below(4) as u32;
    changed.seed_blocks = dice.below(5) as u32;
    changed.protocol_share = Permill::from_percent(dice.below(20) as u32);
    changed.late_share = Permill::from_percent(dice.below(101) as u32);
    changed.exposure_factor = dice.below(60) as u32;
    changed.probation_jobs = dice.below(20) as u32;
    changed.wrong_fine = Permill::from_percent(1 + dice.below(60) as u32);
    changed.first_seats = 3 + 2 * dice.below(2) as u32;
    changed.job_deposit_per_byte = dice.number(20);
    changed
}

/// A call in the name of its sender in another way: in a batch, through a proxy, by root.
pub fn wrapped(dice: &mut Dice, wish: Wish) -> Wish {
    let Wish { who, call } = wish;
    let utility = RuntimeCall::Utility;
    let call = match dice.below(8) {
        0 => utility(pallet_utility::Call::batch { calls: vec![call] }),
        1 => {
            let remark = Vec::new();
            let remark = RuntimeCall::System(frame_system::Call::remark { remark });
            utility(pallet_utility::Call::batch_all {
                calls: vec![call, remark],
            })
        }
        2 => utility(pallet_utility::Call::force_batch {
            calls: vec![call.clone(), call],
        }),
        3 => utility(pallet_utility::Call::if_else {
            main: Box::new(call.clone()),
            fallback: Box::new(call),
        }),
        4 => {
            return Wish {
                who: root().account.clone(),
                call: RuntimeCall::Sudo(pallet_sudo::Call::sudo_as {
                    who: who.into(),
                    call: Box::new(call),
                }),
            }
        }
        _ => {
            let (delegates, _) = pallet_proxy::Proxies::<Runtime>::get(&who);
            let Some(proxy) = dice.pick(&delegates) else {
                return Wish { who, call };
            };
            return Wish {
                who: proxy.delegate.clone(),
                call: RuntimeCall::Proxy(pallet_proxy::Call::proxy {
                    real: who.into(),
                    force_proxy_type: None,
                    call: Box::new(call),
                }),
            };
        }
    };
    Wish { who, call }
}
