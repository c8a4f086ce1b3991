// A development chain: one command, blocks every two seconds, finality.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { u8aConcat, u8aToHex } from '@polkadot/util';
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
    // Block 0 has neither slot nor time.
    const first = await eventually('the first block', 20, height);
    await eventually('eight more blocks', 40, async () => (await height()) >= first + 8);
    const elapsed = async (query) => {
      const [start, end] = await Promise.all(
        [first, first + 8].map(async (number) =>
          query(await api.at(await api.rpc.chain.getBlockHash(number))),
        ),
      );
      return end.toNumber() - start.toNumber();
    };
    // On a busy machine one slot in eight may pass without a block.
    const slots = await elapsed((at) => at.query.babe.currentSlot());
    assert.ok(slots === 8 || slots === 9, `8 blocks took ${slots} slots`);
    const mean = (await elapsed((at) => at.query.timestamp.now())) / slots;
    assert.ok(Math.abs(mean - SLOT_MS) < 150, `a slot took ${mean} ms`);
    const lag = (await height()) - (await finalizedHeight());
    assert.ok(lag <= 5, `finality is ${lag} blocks behind`);
  } finally {
    await api.disconnect();
  }
});

test('wallets learn the token and how many decimals it has', async () => {
  const properties = await rpc(node.rpcPort, 'system_properties');
  assert.deepEqual(properties, { ss58Format: 42, tokenDecimals: 12, tokenSymbol: 'GEN' });
});

test('a proof of finality can be had for a finalised block, and checked with the validator’s key', async () => {
  const api = await connect(node.url);
  try {
    // There is none until a justification at or after the block is stored.
    const bytes = await eventually('a proof of finality', 45, () =>
      rpc(node.rpcPort, 'grandpa_proveFinality', [2]).catch(() => null),
    );
    api.registry.register({
      FinalityProof: { block: 'H256', justification: 'Bytes', unknownHeaders: 'Vec<Header>' },
    });
    const proof = api.createType('FinalityProof', bytes);
    assert.equal(proof.toHex(), bytes, 'nothing follows the proof');
    const { round, commit } = api.createType('GrandpaJustification', proof.justification.toU8a(true));
    const target = commit.targetNumber.toNumber();
    assert.equal(commit.targetHash.toHex(), proof.block.toHex());
    assert.equal((await api.rpc.chain.getBlockHash(target)).toHex(), proof.block.toHex());

    // The headers lead from the block that was asked for to the one that was voted for.
    assert.equal(proof.unknownHeaders.length, target - 2);
    let parent = (await api.rpc.chain.getBlockHash(2)).toHex();
    for (const header of proof.unknownHeaders) {
      assert.equal(header.parentHash.toHex(), parent);
      parent = header.hash.toHex();
    }
    assert.equal(parent, proof.block.toHex());

    // Alice is the only validator, and the set of validators is the first one.
    const alice = new Keyring({ type: 'ed25519' }).addFromUri('//Alice');
    const [{ precommit, signature, id }] = commit.precommits;
    const signed = u8aConcat([1], precommit.toU8a(), round.toU8a(), new Uint8Array(8));
    assert.equal(id.toHex(), u8aToHex(alice.publicKey));
    assert.ok(alice.verify(signed, signature.toU8a(), alice.publicKey), 'Alice signed the vote');
  } finally {
    await api.disconnect();
  }
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
