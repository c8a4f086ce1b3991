// What a pallet's metadata must be like, so that a person can use the pallet in
// the Polkadot.js Apps UI: argument types that Apps renders as fields one can
// fill in, and a sentence of documentation wherever Apps shows one.
//
// The functions take plain JSON (metadata.toJSON()), so that a test can hand
// them types that no runtime has.

import { readFileSync } from 'node:fs';
import { Metadata, TypeRegistry } from '@polkadot/types';

/** Above six arguments the form no longer fits a screen. */
export const MAX_ARGUMENTS = 6;

/** Composite types that Apps knows by name and shows as one field. */
const ATOMS = ['AccountId32', 'MultiAddress', 'H256', 'H160', 'Era'];
const MAPS = ['BTreeMap', 'BoundedBTreeMap', 'HashMap'];
const SETS = ['BTreeSet', 'BoundedBTreeSet', 'HashSet'];
/** With these type names Apps shows an amount with a unit picker. */
const BALANCE_ARGUMENT = /^(BalanceOf<|T::Balance$|Compact<BalanceOf<)/;
const BALANCE_FIELD = /^(BalanceOf<.*|(T::)?Balance)$/;

/**
 * Reads a metadata file: the bytes as `state_getMetadata` gives them, or as a
 * runtime call returns them, with a length or an `Option` in front.
 *
 * @returns {{lookup: (id: number) => object, pallets: object[], apis: object[]}}
 */
export function readMetadata(path) {
  const bytes = readFileSync(path);
  const start = bytes.subarray(0, 16).indexOf('meta');
  if (start < 0) {
    throw new Error(`${path} is no metadata file: "meta" is missing at its start`);
  }
  return plainMetadata(new Metadata(new TypeRegistry(), new Uint8Array(bytes.subarray(start))));
}

/** Turns decoded metadata into the plain form that the rules work on. */
export function plainMetadata(metadata) {
  const { lookup, pallets, apis } = metadata.asLatest.toJSON();
  const types = new Map(lookup.types.map(({ id, type }) => [id, type]));
  return { lookup: (id) => types.get(id), pallets, apis };
}

/** The last part of a type's path: `H256` of `primitive_types::H256`. */
const nameOf = (type) => type.path.at(-1) ?? '';

/** What a type that only wraps another one wraps; the type itself otherwise. */
function unwrapped(lookup, type) {
  const fields = type.def.composite?.fields;
  const wraps = fields?.length === 1 && (!fields[0].name || nameOf(type).startsWith('Bounded'));
  return wraps && !ATOMS.includes(nameOf(type)) ? unwrapped(lookup, lookup(fields[0].type)) : type;
}

const isByte = (lookup, id) => lookup(id).def.primitive === 'U8';

function isBytes(lookup, type) {
  const { sequence } = unwrapped(lookup, type).def;
  return sequence !== undefined && isByte(lookup, sequence.type);
}

/** One field's worth: a primitive, a name, a hash, an account, an enum without payload. */
function isSmall(lookup, id) {
  const type = unwrapped(lookup, lookup(id));
  const { primitive, compact, variant } = type.def;
  return (
    primitive !== undefined ||
    compact !== undefined ||
    ATOMS.includes(nameOf(type)) ||
    isBytes(lookup, type) ||
    (variant !== undefined && variant.variants.every(({ fields }) => fields.length === 0))
  );
}

/** Complaints about one type, wherever in an argument it stands. */
function complaintsAboutType(lookup, id, place, seen = []) {
  const type = lookup(id);
  const name = nameOf(type);
  if (ATOMS.includes(name) || seen.includes(id)) {
    return [];
  }
  const inner = (innerId, where) => complaintsAboutType(lookup, innerId, where, [...seen, id]);
  const fieldsOf = (fields, where) =>
    fields.flatMap((field, index) => {
      const at = `${where}.${field.name ?? index}`;
      return [...complaintsAboutBalance(lookup, field, BALANCE_FIELD, at), ...inner(field.type, at)];
    });
  if (MAPS.includes(name) || SETS.includes(name)) {
    return [`${place}: ${name}. Apps cannot fill in maps and sets; take a list`];
  }
  const { composite, variant, sequence, array, tuple, compact, bitSequence } = type.def;
  if (bitSequence !== undefined) {
    return [`${place}: BitVec. Apps has no field for it; take bytes or a list of bool`];
  }
  if (array !== undefined) {
    const raw = isByte(lookup, array.type);
    return raw && array.len === 32
      ? [`${place}: [u8; 32]. Take H256, which Apps shows as one hash field`]
      : inner(array.type, `${place}[]`);
  }
  if (sequence !== undefined) {
    return inner(sequence.type, `${place}[]`);
  }
  if (tuple !== undefined) {
    return tuple.flatMap((part, index) => inner(part, `${place}.${index}`));
  }
  if (compact !== undefined) {
    return inner(compact.type, place);
  }
  if (composite !== undefined) {
    return fieldsOf(composite.fields, place);
  }
  if (variant !== undefined && name === 'Option') {
    const [{ type: some }] = variant.variants.find((one) => one.name === 'Some').fields;
    const optional = lookup(some);
    if (nameOf(optional) === 'Option') {
      return [`${place}: an option in an option. Apps cannot tell the two kinds of nothing apart`];
    }
    if (isBytes(lookup, optional)) {
      return [`${place}: Option<Bytes>. Apps encodes it wrongly; let empty bytes mean none`];
    }
    return inner(some, place);
  }
  if (variant !== undefined) {
    return variant.variants.flatMap(({ name: chosen, fields }) => {
      const small = fields.length === 0 || (fields.length === 1 && isSmall(lookup, fields[0].type));
      const where = `${place}.${chosen}`;
      return [
        ...(small ? [] : [`${where}: an enum with a big payload. Give it one small value or none`]),
        ...fieldsOf(fields, where),
      ];
    });
  }
  return [];
}

/** A u128 is taken for an amount of money, and must be named like one. */
function complaintsAboutBalance(lookup, { type: id, typeName }, allowed, place) {
  const { primitive, compact } = lookup(id).def;
  const isU128 = primitive === 'U128' || (compact && lookup(compact.type).def.primitive === 'U128');
  return isU128 && !allowed.test(typeName ?? '')
    ? [`${place}: a balance under the name ${typeName}. With BalanceOf<T>, Apps shows a unit picker`]
    : [];
}

/**
 * Complaints about the arguments of one call.
 *
 * @param lookup type of an id
 * @param call a variant of the pallet's call type
 * @returns {string[]} one sentence each; empty if Apps renders the call well
 */
export function complaintsAboutCall(lookup, { name, fields }) {
  const many =
    fields.length > MAX_ARGUMENTS
      ? [`${name}: ${fields.length} arguments. Apps shows at most ${MAX_ARGUMENTS} well; group them`]
      : [];
  const each = fields.flatMap((field) => {
    const place = `${name}.${field.name}`;
    return [
      ...complaintsAboutBalance(lookup, field, BALANCE_ARGUMENT, place),
      ...complaintsAboutType(lookup, field.type, place),
    ];
  });
  return [...many, ...each];
}

/** The variants of a pallet's `calls`, `events` or `errors`. */
export function variantsOf({ lookup }, pallet, kind) {
  return pallet[kind] ? lookup(pallet[kind].type).def.variant.variants : [];
}

/** Everything of a pallet that Apps shows documentation of and that has none. */
export function undocumented(metadata, pallet) {
  const items = [
    ...['calls', 'events', 'errors'].flatMap((kind) =>
      variantsOf(metadata, pallet, kind).map((item) => ({ ...item, kind })),
    ),
    ...(pallet.storage?.items ?? []).map((item) => ({ ...item, kind: 'storage' })),
    ...pallet.constants.map((item) => ({ ...item, kind: 'constants' })),
    ...(pallet.viewFunctions ?? []).map((item) => ({ ...item, kind: 'view functions' })),
  ];
  return items.filter(({ docs }) => docs.join('').trim() === '').map(({ kind, name }) => `${kind}: ${name}`);
}

/** Events with a field that has no name: Apps shows such fields as numbers. */
export function namelessEventFields(metadata, pallet) {
  return variantsOf(metadata, pallet, 'events')
    .filter(({ fields }) => fields.some(({ name }) => !name))
    .map(({ name }) => name);
}
