//! A story: blocks on the development chain, one after another, each made by one number.

use crate::{
    calls::{self, any_in, World},
    chain::{signed, Block, Chain, Gap, Signing, Snapshot},
    complaints,
    coverage::{count, Coverage},
    dice::Dice,
    market::{self, Wish},
    people::{person, Person, PEOPLE},
    promises,
};
use codec::{Decode, Encode};
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    traits::GetCallMetadata,
};
use genesisflow_primitives::{
    audit::{ballot_commitment, Ballot},
    views::SeatStatus,
    JobId, JobStatus,
};
use genesisflow_runtime::{
    currency::GEN, AccountId, Inference, Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin, System,
    UncheckedExtrinsic,
};
use pallet_inference::{Agenda, Call, Jobs, Models, Offers, Workers};
use sp_runtime::{
    transaction_validity::{InvalidTransaction, TransactionValidityError},
    ApplyExtrinsicResult,
};
use std::{cell::RefCell, sync::LazyLock};

/// The chain on which every story begins: three models, eight workers that offer them all, and
/// audit pools that hold these workers.
static BEGINNING: LazyLock<Snapshot> = LazyLock::new(|| {
    let mut chain = Chain::development();
    let inference = RuntimeCall::Inference;
    chain.block(Gap::default(), |block| {
        for which in 0..3 {
            let manifest = market::manifest(which).encode();
            must(
                block,
                &PEOPLE[9],
                inference(Call::register_model { manifest }),
            );
        }
        for (index, worker) in PEOPLE[1..9].iter().enumerate() {
            let stake = GEN * [150, 200, 300, 400, 500, 700, 1_000, 2_500][index];
            let endpoint = Vec::new();
            must(
                block,
                worker,
                inference(Call::register_worker { stake, endpoint }),
            );
            for which in 0..3 {
                must(
                    block,
                    worker,
                    inference(Call::set_offer {
                        model: market::manifest(which).id(),
                        price_input: 1 << (4 * index),
                        price_output: 1 << (4 * index),
                        capacity: 4,
                    }),
                );
            }
        }
    });
    for _ in 0..30 {
        chain.block(Gap::default(), |_| ());
    }
    chain.into_snapshot()
});

/// The chain on which every story begins.
pub fn beginning() -> Chain {
    complaints::listen();
    Chain::from_snapshot(&BEGINNING)
}

fn must(block: &mut Block, who: &Person, call: RuntimeCall) {
    let extrinsic = signed(who, call.clone(), Signing::default());
    assert_eq!(block.apply(extrinsic), Ok(Ok(())), "{call:?}");
}

/// Most blocks after the last step in which the jobs end by themselves; after them the clock skips
/// to the next deadline.
const REST: u32 = 60;
/// Most deadlines after that.
const DEADLINES: u32 = 2_000;

/// Plays a story to its end, and checks every promise after every block.
pub fn play(steps: &[u64], coverage: &RefCell<Coverage>, aloud: bool) {
    let mut story = Story {
        chain: beginning(),
        seen: coverage,
        aloud,
    };
    for step in steps {
        story.step(*step);
    }
    story.finish();
}

struct Story<'a> {
    chain: Chain,
    seen: &'a RefCell<Coverage>,
    /// Whether what happens is told on standard output.
    aloud: bool,
}

impl Story<'_> {
    /// One block, or a stretch of time and a block.
    fn step(&mut self, seed: u64) {
        let dice = &mut Dice::new(seed);
        let mut gap = Gap {
            imported: dice.percent(12),
            slots: match dice.below(100) {
                0 => 300 + dice.below(900) as u64,
                1..=10 => dice.below(5) as u64,
                _ => 0,
            },
            numbers: 0,
        };
        match dice.below(200) {
            // Long enough for stake to get out.
            0 => gap.numbers = 12_000 + dice.below(1_000) as u32,
            1 => gap.numbers = dice.below(200) as u32,
            2..=8 => {
                for _ in 0..dice.below(30) {
                    self.block(Gap::default(), |_| ());
                }
            }
            _ => {}
        }
        let (seen, aloud) = (self.seen, self.aloud);
        let is_full = dice.percent(3);
        self.block(gap, |block| {
            let mut actor = Actor {
                block,
                dice,
                seen,
                aloud,
                world: World::look(),
            };
            if is_full {
                actor.fill_up();
            }
            actor.live();
        });
    }

    fn block(&mut self, gap: Gap, fill: impl FnOnce(&mut Block)) {
        if self.aloud {
            println!("block after {} numbers, {} slots", gap.numbers, gap.slots);
        }
        let extrinsics = self.chain.block(gap, |block| {
            fill(block);
            block.extrinsics.clone()
        });
        let mut seen = self.seen.borrow_mut();
        seen.blocks += 1;
        seen.imported += u64::from(gap.imported);
        self.chain.read(|| look(&mut seen, &extrinsics));
    }

    /// Everything ends: first jobs, then the workers' and owners' business.
    fn finish(&mut self) {
        for _ in 0..REST {
            self.block(Gap::default(), |_| ());
        }
        for _ in 0..DEADLINES {
            let Some((due, _)) = self.chain.read(|| Agenda::<Runtime>::iter_keys().next()) else {
                break;
            };
            let now = self.chain.read(System::block_number);
            self.skip(due.block().saturating_sub(now));
        }
        let parameters = self.chain.read(Inference::parameters).parameters;
        // What unbonds already may have begun under a longer period, and fill the list.
        let longest = self.chain.read(|| {
            let now = System::block_number();
            let workers = Workers::<Runtime>::iter_values();
            workers
                .flat_map(|worker| worker.unbonding.into_inner())
                .map(|part| part.from.saturating_sub(now))
                .max()
        });
        self.skip(longest.unwrap_or(0));
        self.block(Gap::default(), |_| leave());
        self.skip(parameters.unbonding_period);
        self.block(Gap::default(), |_| {
            for who in Workers::<Runtime>::iter_keys().collect::<Vec<_>>() {
                let outcome = Inference::withdraw_unbonded(RuntimeOrigin::signed(who));
                assert_eq!(outcome, Ok(()), "a worker cannot get its stake back");
            }
            for (id, model) in Models::<Runtime>::iter().collect::<Vec<_>>() {
                let outcome = Inference::retire_model(RuntimeOrigin::signed(model.owner), id);
                assert_eq!(outcome, Ok(()), "a model cannot be retired");
            }
        });
        self.chain.read(promises::check_nothing_is_left);
    }

    fn skip(&mut self, numbers: u32) {
        let gap = Gap {
            numbers,
            ..Gap::default()
        };
        self.block(gap, |_| ());
    }
}

/// All workers withdraw what they can, take their offers back and unbond the rest.
fn leave() {
    for (who, worker) in Workers::<Runtime>::iter().collect::<Vec<_>>() {
        let origin = || RuntimeOrigin::signed(who.clone());
        // Refused if nothing has matured.
        let _ = Inference::withdraw_unbonded(origin());
        for (model, offerer) in Offers::<Runtime>::iter_keys().collect::<Vec<_>>() {
            if offerer == who {
                assert_eq!(Inference::remove_offer(origin(), model), Ok(()));
            }
        }
        let bonded = worker.bonded();
        if bonded > 0 {
            assert_eq!(Inference::unbond(origin(), bonded), Ok(()));
        }
    }
}

/// Counts what a block has shown.
fn look(seen: &mut Coverage, extrinsics: &[UncheckedExtrinsic]) {
    for record in System::read_events_no_consensus() {
        match record.event {
            RuntimeEvent::Inference(event) => {
                let text = format!("{event:?}");
                let name = text.trim_start_matches("Event::");
                let name = name.split(|c: char| !c.is_alphanumeric()).next();
                count(&mut seen.events, name.unwrap_or_default());
            }
            RuntimeEvent::System(
                frame_system::Event::ExtrinsicSuccess { .. }
                | frame_system::Event::ExtrinsicFailed { .. },
            ) => {
                let frame_system::Phase::ApplyExtrinsic(index) = record.phase else {
                    continue;
                };
                let call = &extrinsics[index as usize].function;
                let name = match call {
                    RuntimeCall::Sudo(pallet_sudo::Call::sudo { call }) => name_of(call),
                    call => name_of(call),
                };
                let counts = match record.event {
                    RuntimeEvent::System(frame_system::Event::ExtrinsicSuccess { .. }) => {
                        &mut seen.succeeded
                    }
                    _ => &mut seen.failed,
                };
                count(counts, &name);
            }
            _ => {}
        }
    }
    for job in Jobs::<Runtime>::iter_values() {
        count(&mut seen.states, &format!("{:?}", job.state.status()));
    }
    let keys = promises::market_keys().len() as u64;
    seen.most_keys = seen.most_keys.max(keys);
}

fn name_of(call: &RuntimeCall) -> String {
    let metadata = call.get_call_metadata();
    format!("{}::{}", metadata.pallet_name, metadata.function_name)
}

/// Fills one block.
struct Actor<'a> {
    block: &'a mut Block,
    dice: &'a mut Dice,
    seen: &'a RefCell<Coverage>,
    aloud: bool,
    world: World,
}

impl Actor<'_> {
    /// What waits for somebody, ideas, and arbitrary calls of anybody, in any order.
    fn live(&mut self) {
        let mut wishes = market::due(self.dice);
        for _ in 0..self.dice.below(7) {
            wishes.push(market::idea(self.dice, &self.world));
        }
        for _ in 0..self.dice.below(7) {
            wishes.extend(self.arbitrary());
        }
        while !wishes.is_empty() {
            let at = self.dice.below(wishes.len());
            let mut wish = wishes.swap_remove(at);
            if self.dice.percent(5) {
                let thief = self.dice.pick(&PEOPLE).expect("there are people");
                wish.who = thief.account.clone();
            }
            if self.dice.percent(4) {
                if let Some(call) = calls::mutated(self.dice, &wish.call) {
                    self.seen.borrow_mut().mutated += 1;
                    wish.call = call;
                }
            }
            if self.dice.percent(12) {
                wish = market::wrapped(self.dice, wish);
            }
            if self.dice.percent(3) {
                wish = market::wrapped(self.dice, wish);
            }
            self.submit(wish);
        }
        calls::ask(self.dice, &self.world);
    }

    fn arbitrary(&mut self) -> Option<Wish> {
        let call = calls::arbitrary(self.dice, &self.world);
        let mut seen = self.seen.borrow_mut();
        seen.written += 1;
        seen.decoded += u64::from(call.is_some());
        let who = self.dice.pick(&PEOPLE)?.account.clone();
        call.map(|call| Wish { who, call })
    }

    /// Ordinary transactions until no more go in.
    fn fill_up(&mut self) {
        let by_length = self.dice.percent(50);
        for round in 0..2_000 {
            let call = if by_length {
                let remark = vec![0; 400_000 >> (round / 8).min(12)];
                RuntimeCall::System(frame_system::Call::remark { remark })
            } else {
                let job = JobId::MAX;
                RuntimeCall::Inference(Call::progress_job { job })
            };
            let who = &PEOPLE[round % 9];
            let outcome = self.block.apply(signed(who, call, Signing::default()));
            match outcome {
                Ok(_) => {}
                Err(error) if error.exhausted_resources() => {
                    // Length is left for shorter ones.
                    if !by_length || round > 100 {
                        self.seen.borrow_mut().full += 1;
                        return;
                    }
                }
                // Somebody has run out of money.
                Err(_) => {}
            }
        }
    }

    /// Sends a transaction as its sender would, and checks what becomes of it.
    fn submit(&mut self, wish: Wish) {
        let Wish { who, call } = wish;
        let Some(person) = person(&who) else {
            return;
        };
        let is_sudo = |call: &RuntimeCall| matches!(call, RuntimeCall::Sudo(_));
        if any_in(&call, &is_sudo) && any_in(&call, &calls::is_for_root_alone) {
            return;
        }
        let dice = &mut *self.dice;
        let how = Signing {
            tip: if dice.percent(5) { dice.number(40) } else { 0 },
            nonce_offset: if dice.percent(2) {
                dice.number(32) as u32
            } else {
                0
            },
            mortal: dice.percent(20),
        };
        let extrinsic = signed(person, call.clone(), how);
        self.send_broken(&extrinsic);
        let class = call.get_dispatch_info().class;
        // Calls of this class, in a wrapper too, have no limit of weight: only a block's author
        // could put them in.
        if class == DispatchClass::Mandatory {
            let validity = self.block.validate(extrinsic);
            assert!(validity.is_err(), "the pool takes an inherent: {call:?}");
            return;
        }
        let is_operational = class == DispatchClass::Operational;
        let standings: Vec<bool> = free_calls(&who, &call)
            .iter()
            .map(|(who, call)| has_standing(who, call))
            .collect();
        let validity = self
            .dice
            .percent(25)
            .then(|| self.block.validate(extrinsic.clone()));
        let outcome = self.block.apply(extrinsic);
        if self.aloud {
            println!("  {} {call:?}: {outcome:?}", Name(&who));
        }
        let mut seen = self.seen.borrow_mut();
        match &outcome {
            Ok(_) => seen.included += 1,
            Err(_) => seen.refused += 1,
        }
        if is_operational && outcome.is_ok() && !any_in(&call, &is_sudo) {
            assert!(
                standings.iter().all(|standing| *standing),
                "an operational call without standing was included: {call:?} of {who}"
            );
        }
        if let RuntimeCall::Inference(call) = &call {
            check_free_call(call, standings.first() == Some(&true), &outcome);
        }
        if let (Some(Ok(_)), 0, Err(error)) = (&validity, how.nonce_offset, &outcome) {
            assert!(
                error.exhausted_resources(),
                "the pool takes what a block refuses with {error:?}: {call:?} of {who}"
            );
        }
    }

    /// The same bytes with errors in them: nothing that they decode to may be taken.
    fn send_broken(&mut self, extrinsic: &UncheckedExtrinsic) {
        if !self.dice.percent(4) {
            return;
        }
        let mut bytes = extrinsic.encode();
        calls::mutate(self.dice, &mut bytes);
        let Ok(broken) = UncheckedExtrinsic::decode(&mut &bytes[..]) else {
            return;
        };
        if broken.encode() == extrinsic.encode() {
            return;
        }
        let outcome = self.block.validate(broken);
        assert!(
            outcome.is_err(),
            "a transaction that nobody signed is valid"
        );
    }
}

/// An account by its number among the people.
struct Name<'a>(&'a AccountId);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match PEOPLE.iter().position(|person| person.account == *self.0) {
            Some(index) => write!(f, "person {index}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A free call of the market is in a block exactly if its sender has standing, whatever else is in
/// the block; and then a ballot is taken.
fn check_free_call(call: &Call<Runtime>, has_standing: bool, outcome: &ApplyExtrinsicResult) {
    let is_ballot = match call {
        Call::deliver { .. } => false,
        Call::commit_ballot { .. } | Call::reveal_ballot { .. } => true,
        _ => return,
    };
    match outcome {
        Ok(result) => {
            assert!(
                has_standing,
                "a free call without standing was included: {call:?}"
            );
            assert!(
                !is_ballot || result.is_ok(),
                "a ballot with standing was not taken: {call:?}: {result:?}"
            );
        }
        Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => assert!(
            !has_standing,
            "a free call with standing was refused with {code}: {call:?}"
        ),
        Err(error) => assert!(
            !error.exhausted_resources(),
            "no room was kept for a free call: {call:?}"
        ),
    }
}

/// The market's free calls in a call, each with the account in whose name it would run.
fn free_calls<'a>(who: &AccountId, call: &'a RuntimeCall) -> Vec<(AccountId, &'a Call<Runtime>)> {
    use pallet_utility::Call as UtilityCall;
    let all = |calls: &'a [RuntimeCall], who: &AccountId| {
        calls
            .iter()
            .flat_map(|call| free_calls(who, call))
            .collect()
    };
    match call {
        RuntimeCall::Inference(
            call @ (Call::deliver { .. } | Call::commit_ballot { .. } | Call::reveal_ballot { .. }),
        ) => vec![(who.clone(), call)],
        RuntimeCall::Utility(
            UtilityCall::batch { calls }
            | UtilityCall::batch_all { calls }
            | UtilityCall::force_batch { calls },
        ) => all(calls, who),
        RuntimeCall::Utility(UtilityCall::if_else { main, fallback }) => {
            let mut both = free_calls(who, main);
            both.extend(free_calls(who, fallback));
            both
        }
        RuntimeCall::Utility(UtilityCall::as_derivative { index, call }) => {
            let derivative = pallet_utility::derivative_account_id(who.clone(), *index);
            free_calls(&derivative, call)
        }
        RuntimeCall::Proxy(
            pallet_proxy::Call::proxy { real, call, .. }
            | pallet_proxy::Call::proxy_announced { real, call, .. },
        ) => match real {
            sp_runtime::MultiAddress::Id(real) => free_calls(real, call),
            _ => Vec::new(),
        },
        RuntimeCall::Multisig(pallet_multisig::Call::as_multi_threshold_1 {
            other_signatories,
            call,
        }) => {
            let mut signatories = other_signatories.clone();
            signatories.push(who.clone());
            signatories.sort();
            let account = genesisflow_runtime::Multisig::multi_account_id(&signatories, 1);
            free_calls(&account, call)
        }
        _ => Vec::new(),
    }
}

/// Whether an account may send this free call now, by what can be read.
fn has_standing(who: &AccountId, call: &Call<Runtime>) -> bool {
    let now = System::block_number();
    let seat = |job: JobId| {
        let seats = Inference::seats(who.clone(), job.checked_sub(1), 1);
        seats
            .into_iter()
            .find(|seat| seat.job == job && seat.until >= now)
    };
    match call {
        Call::deliver { job, .. } => Inference::job(*job).is_some_and(|job| {
            job.status == JobStatus::Claimed && job.worker.as_ref() == Some(who) && now <= job.until
        }),
        Call::commit_ballot { job, .. } => {
            seat(*job).is_some_and(|seat| seat.status == SeatStatus::ToCommit)
        }
        Call::reveal_ballot {
            job,
            digest,
            valid,
            salt,
        } => seat(*job).is_some_and(|seat| {
            let ballot = Ballot {
                digest: *digest,
                valid: *valid,
            };
            let genesis = System::block_hash(0);
            let commitment = ballot_commitment(&genesis, *job, seat.round, who, &ballot, salt);
            seat.status == SeatStatus::ToReveal && seat.commitment == Some(commitment)
        }),
        _ => true,
    }
}
