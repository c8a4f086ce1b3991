// Auditors played from here: they run no model, but say what a test wants them
// to say, in the chain's own words.

import assert from 'node:assert/strict';
import { blake2AsHex, randomAsHex } from '@polkadot/util-crypto';
import { seatsOf } from '../audits.mjs';
import { ballotCommitment } from '../ballot.mjs';
import { everyFinalizedBlock, signAndFinalize } from '../connect.mjs';

/** Stakes and offers a model, for accounts that are to be drawn as auditors. */
export async function offerAsAuditors(api, pairs, model, { stake, priceInput, priceOutput }) {
  await Promise.all(
    pairs.map((pair) =>
      signAndFinalize(
        api,
        api.tx.utility.batchAll([
          api.tx.inference.registerWorker(stake, ''),
          api.tx.inference.setOffer(model, priceInput, priceOutput, 2),
        ]),
        pair,
      ),
    ),
  );
}

/**
 * Does whatever waits for these auditors at every block, until stopped.
 *
 * @param {object} api
 * @param {Map<string, object>} pairs the auditors' keys, by the names that `ballots` has them under
 * @param {(seat: object) => boolean} findsRight what they say about a result
 * @returns {{ballots: [number, string, boolean][], stop: () => Promise<void>}} what was revealed, as
 *   job, auditor and verdict
 */
export function playAuditors(api, pairs, findsRight) {
  const ballots = [];
  const salts = new Map();
  const busy = new Set();
  const act = async (name, pair, seat) => {
    const valid = findsRight(seat);
    // All of them agree on it; a replay would give another.
    const digest = blake2AsHex(seat.seed.toU8a());
    const key = `${name} ${seat.job} ${seat.round}`;
    const task = `${key} ${seat.status.type}`;
    if (!(seat.status.isToCommit || seat.status.isToReveal) || busy.has(task)) {
      return;
    }
    busy.add(task);
    if (seat.status.isToCommit) {
      salts.set(key, randomAsHex(32));
      const commitment = ballotCommitment(api, seat, pair.address, digest, valid, salts.get(key));
      const { fee } = await signAndFinalize(api, api.tx.inference.commitBallot(seat.job, commitment), pair);
      assert.equal(fee, 0n, 'a commitment that is taken costs nothing');
    } else {
      await signAndFinalize(api, api.tx.inference.revealBallot(seat.job, digest, valid, salts.get(key)), pair);
      ballots.push([seat.job.toNumber(), name, valid]);
    }
  };
  const pending = [];
  const watch = everyFinalizedBlock(api, 1, async (_, at) => {
    for (const [name, pair] of pairs) {
      const seats = await seatsOf(at, pair.address);
      pending.push(...seats.map((seat) => act(name, pair, seat)));
    }
    return false;
  });
  return {
    ballots,
    stop: async () => {
      watch.stop();
      await Promise.all(pending);
    },
  };
}
