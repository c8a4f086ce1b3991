//! Arbitrary calls of all pallets.
//!
//! The runtime describes the encoding of its calls in its own type information; bytes are written
//! along that description, so nearly all of them decode, new calls are met without a change here,
//! and wrappers hold calls that hold calls. Where a type has a meaning (an account, a model, a job)
//! a value that exists is likely.

use crate::{dice::Dice, people::PEOPLE};
use codec::{Compact, DecodeLimit, Encode};
use genesisflow_runtime::{AccountId, Inference, Runtime, RuntimeCall, System};
use scale_info::{
    form::PortableForm, MetaType, PortableRegistry, Registry, Type, TypeDef, TypeDefPrimitive,
};
use sp_core::H256;
use std::sync::LazyLock;

/// Calls inside of calls that are written at most; the chain itself decodes more.
const DEEPEST: u32 = 4;
/// Depth to which the chain decodes transactions.
const DECODED_DEPTH: u32 = 256;

struct Grammar {
    registry: PortableRegistry,
    call: u32,
}

static GRAMMAR: LazyLock<Grammar> = LazyLock::new(|| {
    let mut registry = Registry::new();
    let call = registry.register_type(&MetaType::new::<RuntimeCall>()).id;
    Grammar {
        registry: registry.into(),
        call,
    }
});

/// What there is to call about.
pub struct World {
    pub accounts: Vec<AccountId>,
    pub models: Vec<H256>,
    pub manifests: Vec<Vec<u8>>,
    pub jobs: u64,
    pub now: u32,
}

impl World {
    pub fn look() -> Self {
        Self {
            accounts: PEOPLE.iter().map(|person| person.account.clone()).collect(),
            models: pallet_inference::Models::<Runtime>::iter_keys().collect(),
            manifests: pallet_inference::Manifests::<Runtime>::iter_values()
                .map(|manifest| manifest.into_inner())
                .collect(),
            jobs: pallet_inference::NextJobId::<Runtime>::get(),
            now: System::block_number(),
        }
    }

    /// A job, mostly one of the last.
    pub fn job(&self, dice: &mut Dice) -> u64 {
        match dice.below(8) {
            0 => dice.number(64) as u64,
            1 => dice.below(self.jobs as usize + 1) as u64,
            _ => self.jobs.saturating_sub(dice.below(12) as u64),
        }
    }

    fn hash(&self, dice: &mut Dice) -> H256 {
        match self.models.get(dice.below(self.models.len() * 3 / 2 + 1)) {
            Some(model) => *model,
            None => H256::from_low_u64_be(dice.next() % 4),
        }
    }
}

/// Writes values along their types.
struct Writer<'a> {
    dice: &'a mut Dice,
    world: &'a World,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, id: u32, calls: u32) {
        let ty = GRAMMAR
            .registry
            .resolve(id)
            .expect("the registry is closed");
        let name = ty.path.segments.last().map_or("", |name| name.as_ref());
        match name {
            "AccountId32" => {
                let account = self.dice.pick(&self.world.accounts).cloned();
                account.expect("there are people").encode_to(&mut self.out);
            }
            "MultiAddress" if !self.dice.percent(5) => {
                let account = self.dice.pick(&self.world.accounts).cloned();
                let address: genesisflow_runtime::Address =
                    account.expect("there are people").into();
                address.encode_to(&mut self.out);
            }
            "H256" => self.world.hash(self.dice).encode_to(&mut self.out),
            "Permill" => {
                let parts = self.dice.number(21) as u32;
                parts.min(1_000_000).encode_to(&mut self.out)
            }
            "RuntimeCall" if calls >= DEEPEST => {
                let remark = Vec::new();
                RuntimeCall::System(frame_system::Call::remark { remark }).encode_to(&mut self.out);
            }
            "RuntimeCall" => self.describe(ty, calls + 1),
            _ => self.describe(ty, calls),
        }
    }

    fn describe(&mut self, ty: &Type<PortableForm>, calls: u32) {
        match &ty.type_def {
            TypeDef::Composite(fields) => {
                for field in &fields.fields {
                    self.write(field.ty.id, calls);
                }
            }
            TypeDef::Variant(variants) => {
                // A type without values, such as a proof that nobody can give, has no bytes either.
                if let Some(variant) = self.dice.pick(&variants.variants) {
                    self.out.push(variant.index);
                    for field in &variant.fields {
                        self.write(field.ty.id, calls);
                    }
                }
            }
            TypeDef::Sequence(items) => match self.primitive(items.type_param.id) {
                Some(TypeDefPrimitive::U8) => self.bytes().encode_to(&mut self.out),
                _ => {
                    let len = self.dice.below(5) as u32;
                    Compact(len).encode_to(&mut self.out);
                    for _ in 0..len {
                        self.write(items.type_param.id, calls);
                    }
                }
            },
            TypeDef::Array(items) => {
                for _ in 0..items.len {
                    self.write(items.type_param.id, calls);
                }
            }
            TypeDef::Tuple(items) => {
                for item in &items.fields {
                    self.write(item.id, calls);
                }
            }
            TypeDef::Primitive(primitive) => self.value(primitive),
            TypeDef::Compact(of) => match self.primitive(of.type_param.id) {
                Some(TypeDefPrimitive::U128) => {
                    Compact(self.dice.number(128)).encode_to(&mut self.out)
                }
                Some(TypeDefPrimitive::U64) => {
                    Compact(self.dice.number(64) as u64).encode_to(&mut self.out)
                }
                _ => Compact(self.dice.number(16) as u32).encode_to(&mut self.out),
            },
            TypeDef::BitSequence(_) => Compact(0u32).encode_to(&mut self.out),
        }
    }

    fn primitive(&self, id: u32) -> Option<&'static TypeDefPrimitive> {
        match &GRAMMAR.registry.resolve(id)?.type_def {
            TypeDef::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    }

    fn value(&mut self, primitive: &TypeDefPrimitive) {
        let (dice, out) = (&mut *self.dice, &mut self.out);
        match primitive {
            TypeDefPrimitive::Bool => dice.percent(50).encode_to(out),
            TypeDefPrimitive::U8 | TypeDefPrimitive::I8 => (dice.number(8) as u8).encode_to(out),
            TypeDefPrimitive::U16 | TypeDefPrimitive::I16 => {
                (dice.number(16) as u16).encode_to(out)
            }
            TypeDefPrimitive::U32 | TypeDefPrimitive::I32 | TypeDefPrimitive::Char => {
                let value = match dice.percent(30) {
                    true => self.world.now.wrapping_add(dice.below(64) as u32),
                    false => dice.number(32) as u32,
                };
                value.encode_to(out)
            }
            TypeDefPrimitive::U64 | TypeDefPrimitive::I64 => self.world.job(dice).encode_to(out),
            TypeDefPrimitive::U128 | TypeDefPrimitive::I128 => dice.number(128).encode_to(out),
            TypeDefPrimitive::Str => "text".encode_to(out),
            TypeDefPrimitive::U256 | TypeDefPrimitive::I256 => [0u8; 32].encode_to(out),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        let dice = &mut *self.dice;
        match dice.below(8) {
            0 => Vec::new(),
            1 => dice
                .pick(&self.world.manifests)
                .cloned()
                .unwrap_or_default(),
            2 => {
                let mut manifest = dice
                    .pick(&self.world.manifests)
                    .cloned()
                    .unwrap_or_default();
                mutate(dice, &mut manifest);
                manifest
            }
            // At and beyond the limits of inputs, outputs and evidence.
            3 => vec![b'a'; 16_384 + dice.below(2)],
            4 => {
                let len = dice.below(64);
                dice.bytes(len)
            }
            _ => vec![b'a'; dice.below(64)],
        }
    }
}

/// Changes a few bytes: flips, inserts, removes, repeats.
pub fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(5) {
            0 => bytes.insert(at, dice.next() as u8),
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => {
                let again = bytes[at..].to_vec();
                bytes.extend(again);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
}

fn decode(bytes: &[u8]) -> Option<RuntimeCall> {
    RuntimeCall::decode_all_with_depth_limit(DECODED_DEPTH, &mut &bytes[..]).ok()
}

/// A call of any pallet; None if the bytes that were written are none.
pub fn arbitrary(dice: &mut Dice, world: &World) -> Option<RuntimeCall> {
    let mut writer = Writer {
        dice,
        world,
        out: Vec::new(),
    };
    writer.write(GRAMMAR.call, 0);
    decode(&writer.out)
}

/// A call of which some bytes were changed, if that is still one.
pub fn mutated(dice: &mut Dice, call: &RuntimeCall) -> Option<RuntimeCall> {
    let mut bytes = call.encode();
    mutate(dice, &mut bytes);
    decode(&bytes)
}

/// Whether root could break the chain with this call on purpose: by writing to storage, by another
/// runtime, by money out of nothing. Nobody else can make such a call succeed.
pub fn is_for_root_alone(call: &RuntimeCall) -> bool {
    use frame_system::Call as SystemCall;
    use pallet_balances::Call as BalancesCall;
    match call {
        RuntimeCall::System(call) => !matches!(
            call,
            SystemCall::remark { .. } | SystemCall::remark_with_event { .. }
        ),
        RuntimeCall::Balances(
            BalancesCall::force_set_balance { .. }
            | BalancesCall::force_adjust_total_issuance { .. }
            | BalancesCall::force_unreserve { .. },
        ) => true,
        RuntimeCall::Babe(_) | RuntimeCall::Grandpa(_) | RuntimeCall::Timestamp(_) => true,
        RuntimeCall::Sudo(
            pallet_sudo::Call::set_key { .. } | pallet_sudo::Call::remove_key { .. },
        ) => true,
        _ => false,
    }
}

/// Whether a condition holds for a call or for any call in it.
pub fn any_in(call: &RuntimeCall, holds: &dyn Fn(&RuntimeCall) -> bool) -> bool {
    use pallet_multisig::Call as MultisigCall;
    use pallet_proxy::Call as ProxyCall;
    use pallet_sudo::Call as SudoCall;
    use pallet_utility::Call as UtilityCall;
    let carried: Vec<&RuntimeCall> = match call {
        RuntimeCall::Utility(
            UtilityCall::batch { calls }
            | UtilityCall::batch_all { calls }
            | UtilityCall::force_batch { calls },
        ) => calls.iter().collect(),
        RuntimeCall::Utility(UtilityCall::if_else { main, fallback }) => vec![main, fallback],
        RuntimeCall::Utility(
            UtilityCall::as_derivative { call, .. }
            | UtilityCall::dispatch_as { call, .. }
            | UtilityCall::dispatch_as_fallible { call, .. }
            | UtilityCall::with_weight { call, .. },
        )
        | RuntimeCall::Proxy(
            ProxyCall::proxy { call, .. } | ProxyCall::proxy_announced { call, .. },
        )
        | RuntimeCall::Multisig(
            MultisigCall::as_multi_threshold_1 { call, .. } | MultisigCall::as_multi { call, .. },
        )
        | RuntimeCall::Sudo(
            SudoCall::sudo { call }
            | SudoCall::sudo_as { call, .. }
            | SudoCall::sudo_unchecked_weight { call, .. },
        ) => vec![call],
        _ => Vec::new(),
    };
    holds(call) || carried.into_iter().any(|call| any_in(call, holds))
}

/// Asks the read API about anything; no answer may be a panic.
pub fn ask(dice: &mut Dice, world: &World) {
    let (job, model) = (world.job(dice), world.hash(dice));
    let account = dice
        .pick(&world.accounts)
        .cloned()
        .expect("there are people");
    let limit = dice.number(32) as u32;
    let _ = Inference::job(job);
    let _ = Inference::result(job);
    let _ = Inference::audit(job);
    let _ = Inference::open_jobs(model, Some(job), limit);
    let _ = Inference::jobs_of_worker(account.clone());
    let _ = Inference::worker(account.clone());
    let _ = Inference::offers(model, Some(account.clone()), limit);
    let _ = Inference::quote(model, dice.number(32) as u32, dice.number(32) as u32);
    let _ = Inference::seats(account, None, limit);
    let _ = Inference::audit_pool(model);
}
