// What an auditor commits to before anyone reveals. The same hash as the
// chain's `ballot_commitment`: whoever computes it wrongly cannot reveal.

import { numberToU8a, stringToU8a, u8aConcat, u8aToU8a } from '@polkadot/util';
import { blake2AsHex, decodeAddress } from '@polkadot/util-crypto';

const DOMAIN = 'genesisflow/audit-commitment/v1';

/**
 * The commitment to a ballot, for `commitBallot`. Whoever runs a worker need
 * not know it: the worker replays, commits and reveals by itself.
 *
 * @param api a connection; its chain is part of the hash
 * @param seat one of `inferenceApi.seats`
 * @param {string} auditor address of the account that has the seat
 * @param {string} digest 0x hash that the replay gave under the seat's seed
 * @param {boolean} valid whether the result is right in every respect
 * @param {string} salt 0x and 32 random bytes; keep them, they are needed to reveal
 * @returns {string} 0x hash
 */
export function ballotCommitment(api, seat, auditor, digest, valid, salt) {
  return blake2AsHex(
    u8aConcat(
      stringToU8a(DOMAIN),
      api.genesisHash.toU8a(),
      numberToU8a(seat.job.toNumber(), 64).reverse(),
      numberToU8a(seat.round.toNumber(), 8),
      decodeAddress(auditor),
      u8aToU8a(digest),
      numberToU8a(valid ? 1 : 0, 8),
      u8aToU8a(salt),
    ),
    256,
  );
}
