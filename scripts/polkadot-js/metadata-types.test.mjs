// Walks over all calls of the inference pallet and refuses argument types that
// the Polkadot.js Apps UI renders badly; everything Apps shows must have docs.
// Reads the metadata file that the worker is built from: no node is needed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  complaintsAboutCall,
  namelessEventFields,
  readMetadata,
  undocumented,
  variantsOf,
} from './metadata-types.mjs';

const FILE = fileURLToPath(new URL('../../worker/artifacts/genesisflow.scale', import.meta.url));

// Read when first needed, so that the tests of the rules themselves run without the file.
const market = () => {
  const metadata = readMetadata(FILE);
  return { metadata, pallet: metadata.pallets.find(({ name }) => name === 'Inference') };
};

test('Apps renders the arguments of every call of the market', () => {
  const { metadata, pallet } = market();
  const calls = variantsOf(metadata, pallet, 'calls');
  assert.ok(
    calls.some(({ name }) => name === 'submit_job'),
    'submit_job is among the calls',
  );
  const complaints = calls.flatMap((call) => complaintsAboutCall(metadata.lookup, call));
  assert.deepEqual(complaints, []);
});

test('every call, event, error, storage item and constant of the market has docs', () => {
  const { metadata, pallet } = market();
  assert.deepEqual(undocumented(metadata, pallet), []);
});

test('every event field of the market has a name', () => {
  const { metadata, pallet } = market();
  assert.deepEqual(namelessEventFields(metadata, pallet), []);
});

test('every function of the read API has docs and is there as a runtime call', () => {
  const { metadata } = market();
  const api = metadata.apis.find(({ name }) => name === 'InferenceApi');
  assert.ok(api, 'InferenceApi is in the metadata');
  const bare = api.methods.filter(({ docs }) => docs.join('').trim() === '');
  assert.deepEqual(
    bare.map(({ name }) => name),
    [],
  );
});

// ---- The rules themselves: each refuses what it should, and nothing else ----

/** A made-up set of types: every type gets the next free id. */
function types() {
  const all = [];
  const add = (def, path = []) => all.push({ path, params: [], def, docs: [] }) - 1;
  const field = (type, name = null, typeName = null) => ({ type, name, typeName, docs: [] });
  const u8 = add({ primitive: 'U8' });
  const u32 = add({ primitive: 'U32' });
  const u128 = add({ primitive: 'U128' });
  const bytes = add({ sequence: { type: u8 } });
  const array32 = add({ array: { len: 32, type: u8 } });
  const option = (some) =>
    add(
      {
        variant: {
          variants: [
            { name: 'None', fields: [], index: 0, docs: [] },
            { name: 'Some', fields: [field(some)], index: 1, docs: [] },
          ],
        },
      },
      ['Option'],
    );
  const struct = (path, ...fields) => add({ composite: { fields } }, path);
  const choice = (...fields) =>
    add({ variant: { variants: [{ name: 'One', fields, index: 0, docs: [] }] } }, ['made', 'up', 'Choice']);
  return { lookup: (id) => all[id], add, field, u8, u32, u128, bytes, array32, option, struct, choice };
}

/** Complaints about a call with these arguments. */
const judge = ({ lookup }, ...fields) => complaintsAboutCall(lookup, { name: 'made_up', fields, docs: [] });

test('types that Apps renders well are accepted', () => {
  const t = types();
  const hash = t.struct(['primitive_types', 'H256'], t.field(t.array32));
  const account = t.struct(['sp_core', 'crypto', 'AccountId32'], t.field(t.array32));
  const bounded = t.struct(['bounded_collections', 'bounded_vec', 'BoundedVec'], t.field(t.bytes));
  const options = t.struct(
    ['made', 'up', 'Options'],
    t.field(t.choice(), 'format'),
    t.field(hash, 'seed'),
    t.field(t.u128, 'price', 'Balance'),
    t.field(t.option(account), 'worker'),
  );
  assert.deepEqual(
    judge(
      t,
      t.field(hash, 'model'),
      t.field(bounded, 'input'),
      t.field(t.u128, 'max_fee', 'BalanceOf<T>'),
      t.field(t.add({ compact: { type: t.u128 } }), 'value', 'BalanceOf<T, I>'),
      t.field(t.choice(t.field(t.u32)), 'small_payload'),
      t.field(options, 'options'),
    ),
    [],
  );
});

test('types that Apps renders badly are refused, wherever they stand', () => {
  const bad = {
    'Option<Bytes>': (t) => t.option(t.bytes),
    'an option in an option': (t) => t.option(t.option(t.u32)),
    BTreeMap: (t) => t.struct(['BTreeMap'], t.field(t.u32)),
    BoundedBTreeSet: (t) => t.struct(['bounded_collections', 'BoundedBTreeSet'], t.field(t.u32)),
    BitVec: (t) => t.add({ bitSequence: { bitStoreType: t.u8, bitOrderType: t.u8 } }),
    '[u8; 32]': (t) => t.array32,
    'an enum with a big payload': (t) => t.choice(t.field(t.u32), t.field(t.u32)),
  };
  for (const [reason, make] of Object.entries(bad)) {
    const t = types();
    const type = make(t);
    const places = [
      type,
      t.struct(['made', 'up', 'Outer'], t.field(type, 'inner')),
      t.add({ sequence: { type } }),
      t.add({ tuple: [t.u32, type] }),
    ];
    for (const place of places) {
      const complaints = judge(t, t.field(place, 'argument'));
      assert.ok(complaints.length === 1 && complaints[0].includes(reason), `${reason}: ${complaints}`);
    }
  }
});

test('a payload that is itself a structure is a big one', () => {
  const t = types();
  const structure = t.struct(['made', 'up', 'Two'], t.field(t.u32, 'a'), t.field(t.u32, 'b'));
  assert.match(judge(t, t.field(t.choice(t.field(structure)), 'argument')).join(), /big payload/);
});

test('bounded bytes in an option are Option<Bytes> too', () => {
  const t = types();
  const bounded = t.struct(['bounded_collections', 'bounded_vec', 'BoundedVec'], t.field(t.bytes));
  assert.match(judge(t, t.field(t.option(bounded), 'argument')).join(), /Option<Bytes>/);
});

test('a balance that is not named as one is refused, in structures too', () => {
  const t = types();
  assert.match(judge(t, t.field(t.u128, 'fee', 'u128')).join(), /made_up\.fee: .*u128/);
  const prices = t.struct(['made', 'up', 'Prices'], t.field(t.u128, 'input', 'Amount128'));
  assert.match(judge(t, t.field(prices, 'prices')).join(), /made_up\.prices\.input/);
});

test('a seventh argument is refused', () => {
  const t = types();
  const fields = (count) => Array.from({ length: count }, (_, index) => t.field(t.u32, `a${index}`));
  assert.deepEqual(judge(t, ...fields(6)), []);
  assert.match(judge(t, ...fields(7)).join(), /7 arguments/);
});

test('missing docs and nameless event fields are found', () => {
  const t = types();
  const variants = [
    { name: 'Told', fields: [t.field(t.u32, 'named')], index: 0, docs: ['What it is.'] },
    { name: 'Untold', fields: [t.field(t.u32)], index: 1, docs: [' '] },
  ];
  const type = t.add({ variant: { variants } });
  const pallet = {
    calls: { type },
    events: { type },
    errors: null,
    storage: { items: [{ name: 'Stored', docs: [] }] },
    constants: [{ name: 'Constant', docs: [] }],
  };
  assert.deepEqual(undocumented(t, pallet), [
    'calls: Untold',
    'events: Untold',
    'storage: Stored',
    'constants: Constant',
  ]);
  assert.deepEqual(namelessEventFields(t, pallet), ['Untold']);
});
