// Two validators: neither finalises alone, and one that was cut off in the
// middle of its work finds back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  eventually,
  freePort,
  rpc,
  sleep,
  startNode,
  stopAll,
  temporaryFolder,
  withLogs,
} from './processes.mjs';

const ALICE_NODE_KEY = '0'.repeat(63) + '1';
const BOB_NODE_KEY = '0'.repeat(63) + '2';
/** The name that goes with Alice's node key. */
const ALICE_PEER = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp';

const height = async ({ rpcPort }, hash) =>
  Number((await rpc(rpcPort, 'chain_getHeader', hash ? [hash] : [])).number);
const finalizedHeight = async (node) => height(node, await rpc(node.rpcPort, 'chain_getFinalizedHead'));
const blockHash = (node, number) => rpc(node.rpcPort, 'chain_getBlockHash', [number]);

/** Waits until both have finalised `number`, and checks that it is the same block. */
async function finalizeTogether(nodes, number, seconds) {
  await eventually(`both validators to finalise block ${number}`, seconds, async () =>
    (await Promise.all(nodes.map(finalizedHeight))).every((finalized) => finalized >= number),
  );
  const [one, other] = await Promise.all(nodes.map((node) => blockHash(node, number)));
  assert.equal(one, other, `both finalised the same block ${number}`);
}

let alice;
let bob;
let startBob;

before(async () => {
  const alicePorts = { rpcPort: await freePort(), port: await freePort() };
  const bobPorts = { rpcPort: await freePort(), port: await freePort() };
  const bobData = temporaryFolder();
  const startAlice = () =>
    startNode(
      'alice',
      [
        ...['--chain', 'local', '--alice', '--node-key', ALICE_NODE_KEY, '--base-path', temporaryFolder()],
        // A validator without peers makes no blocks, unless it is told to.
        '--force-authoring',
      ],
      alicePorts,
    );
  startBob = () =>
    startNode(
      'bob',
      [
        ...['--chain', 'local', '--bob', '--node-key', BOB_NODE_KEY, '--base-path', bobData],
        ...['--bootnodes', `/ip4/127.0.0.1/tcp/${alicePorts.port}/p2p/${ALICE_PEER}`],
      ],
      bobPorts,
    );
  [alice, bob] = await Promise.all([startAlice(), startBob()]);
});
after(stopAll);

const both = () => [alice, bob];

test('two validators finalise together', () =>
  withLogs(both, async () => {
    await finalizeTogether([alice, bob], 3, 60);
  }));

test('a killed validator is missed, catches up on its data, and finality goes on', () =>
  withLogs(both, async () => {
    await bob.kill();
    // Votes that were on their way may still finalise a block or two.
    await sleep(2_000);
    const stuck = await finalizedHeight(alice);
    const best = await height(alice);
    await eventually('alice to make three blocks alone', 30, async () => (await height(alice)) >= best + 3);
    assert.equal(await finalizedHeight(alice), stuck, 'one of two validators finalises nothing');

    const known = await height(alice);
    bob = await startBob();
    await eventually('bob to catch up', 60, async () => (await height(bob)) >= known);
    await finalizeTogether([alice, bob], known + 2, 90);
  }));
