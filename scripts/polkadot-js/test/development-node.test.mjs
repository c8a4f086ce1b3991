// A development chain: one command, blocks every two seconds, finality.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { connect } from '../connect.mjs';
import { eventually, rpc, startNode, stopAll } from './processes.mjs';

const SLOT_MS = 2_000;
const METADATA = new URL('../../../worker/artifacts/genesisflow.scale', import.meta.url);

let node;
before(async () => {
  node = await startNode('development node', ['--dev', '--tmp']);
});
after(stopAll);

const height = async (hash) =>
  Number((await rpc(node.rpcPort, 'chain_getHeader', hash ? [hash] : [])).number);
const finalizedHeight = async () => height(await rpc(node.rpcPort, 'chain_getFinalizedHead'));

test('a block is made every two seconds, and finalised soon after', async () => {
  const api = await connect(node.url);
  try {
    const arrivals = [];
    await new Promise((resolve, reject) => {
      api.rpc.chain
        .subscribeNewHeads((header) => {
          arrivals.push([header.number.toNumber(), Date.now()]);
          if (arrivals.length === 9) {
            resolve();
          }
        })
        .catch(reject);
    });
    const [[first, start], [last, end]] = [arrivals[0], arrivals.at(-1)];
    assert.equal(last - first, 8, `heights ${arrivals.map(([number]) => number)}`);
    const mean = (end - start) / 8;
    // One scheduling hiccup at either end is forgiven, a missed slot is not.
    assert.ok(Math.abs(mean - SLOT_MS) < 150, `a block every ${mean} ms`);
    const lag = (await height()) - (await finalizedHeight());
    assert.ok(lag <= 4, `finality is ${lag} blocks behind`);
  } finally {
    await api.disconnect();
  }
});

test('wallets learn the token and how many decimals it has', async () => {
  const properties = await rpc(node.rpcPort, 'system_properties');
  assert.deepEqual(properties, { ss58Format: 42, tokenDecimals: 12, tokenSymbol: 'GEN' });
});

test('a proof of finality can be had for a finalised block', async () => {
  // A justification is kept every 16 blocks, so the first proof may take that long.
  const proof = await eventually('a proof of finality', 45, () =>
    rpc(node.rpcPort, 'grandpa_proveFinality', [1]).catch(() => null),
  );
  // SCALE: the block that the justification is for, then the justification, then headers.
  const block = proof.slice(0, 66);
  const target = await height(block);
  assert.equal(await rpc(node.rpcPort, 'chain_getBlockHash', [target]), block);
  assert.ok(target >= 1 && target <= (await finalizedHeight()), `proof is for block ${target}`);
});

test('the metadata that the worker is built from is that of this chain', async () => {
  const file = readFileSync(METADATA);
  const start = file.subarray(0, 16).indexOf('meta');
  const version = file[start + 4];
  const argument = `0x${Buffer.from([version, 0, 0, 0]).toString('hex')}`;
  const answer = await rpc(node.rpcPort, 'state_call', ['Metadata_metadata_at_version', argument]);
  const served = Buffer.from(answer.slice(2), 'hex');
  assert.ok(
    served.subarray(served.indexOf('meta')).equals(file.subarray(start)),
    'the runtime has changed: run scripts/update-metadata.sh',
  );
});
