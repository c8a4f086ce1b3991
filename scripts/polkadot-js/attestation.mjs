// What a worker states by delivering, checked by hand: nothing here trusts the
// chain's or the worker's word for a hash.

import { stringToU8a, u8aConcat } from '@polkadot/util';
import { blake2AsHex } from '@polkadot/util-crypto';

const DOMAIN = 'genesisflow/attestation/v1';

/**
 * Recomputes the hashes of a delivered result.
 *
 * @param result what `inferenceApi.result` gives
 * @param {Uint8Array} [input] the question, if you have it
 * @returns {string[]} the names of the hashes that differ; empty if all are right
 */
export function wrongHashes({ output, evidence, attestation, attestationHash }, input) {
  const hashes = [
    ['input', attestation.inputHash, input],
    ['output', attestation.outputHash, output.toU8a(true)],
    // The chain drops the evidence when the job is final.
    ['evidence', attestation.evidenceHash, evidence.isSome ? evidence.unwrap().toU8a(true) : undefined],
    ['attestation', attestationHash, u8aConcat(stringToU8a(DOMAIN), attestation.toU8a())],
  ];
  return hashes
    .filter(([, stated, bytes]) => bytes && blake2AsHex(bytes, 256) !== stated.toHex())
    .map(([name]) => name);
}
