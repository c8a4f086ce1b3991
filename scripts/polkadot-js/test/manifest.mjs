// Writes a model's manifest as the chain reads it, so that a test can register
// a model without its files. A worker makes manifests from the files themselves.

import { TypeRegistry } from '@polkadot/types';
import { stringToHex, u8aToHex } from '@polkadot/util';
import { blake2AsHex } from '@polkadot/util-crypto';

const registry = new TypeRegistry();
registry.register({
  ModelFile: {
    role: { _enum: ['Config', 'Weights', 'Tokenizer', 'ChatTemplate'] },
    path: 'Bytes',
    sha256: 'H256',
    size: 'u64',
  },
  ModelLimits: { context: 'u32', maxOutput: 'u32', promptOverhead: 'u32' },
  ModelTerms: {
    minPriceInput: 'u128',
    minPriceOutput: 'u128',
    minFee: 'u128',
    replayRate: 'u32',
    seatPay: 'u8',
  },
  ModelManifest: {
    name: 'Bytes',
    task: { _enum: ['TextGeneration'] },
    architecture: 'Bytes',
    canonicalVersion: 'u16',
    files: 'Vec<ModelFile>',
    stopTokens: 'Vec<u32>',
    limits: 'ModelLimits',
    sources: 'Vec<Bytes>',
    terms: 'ModelTerms',
  },
});

const file = (role, path) => ({ role, path: stringToHex(path), sha256: blake2AsHex(path), size: 1_000 });

/** Limits and terms of every manifest made here. */
export const LIMITS = { context: 512, maxOutput: 128, promptOverhead: 8 };
export const TERMS = {
  minPriceInput: 1_000_000n,
  minPriceOutput: 2_000_000n,
  minFee: 2_000_000_000n,
  replayRate: 1_000,
  seatPay: 50,
};

/** The bytes of a manifest of this name as hex, and the model's id. */
export function manifest(name) {
  const bytes = registry
    .createType('ModelManifest', {
      name: stringToHex(name),
      task: 'TextGeneration',
      architecture: stringToHex('llama'),
      canonicalVersion: 1,
      files: [
        file('Config', 'config.json'),
        file('Weights', 'model.safetensors'),
        file('Tokenizer', 'tokenizer.json'),
      ],
      stopTokens: [2],
      limits: LIMITS,
      sources: [],
      terms: TERMS,
    })
    .toU8a();
  return { bytes: u8aToHex(bytes), id: blake2AsHex(bytes, 256) };
}
