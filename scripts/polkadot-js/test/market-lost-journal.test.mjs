// A worker delivers a right result, is killed, and loses its whole data
// directory. Started anew, it finds the result on the chain, hears that auditors
// call it wrong, appeals with a bond, and is paid in the end.
//
// The auditors are played from here: first they are mistaken, then, under the
// appeal, they are not. The worker is the real one, and replays by itself.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { balanceOf, connect, eventOf, finalized, parseGen, signAndFinalize } from '../connect.mjs';
import { offerAsAuditors, playAuditors } from './auditors.mjs';
import { eventually, runWorker, startNode, startWorker, stopAll, temporaryFolder, withLogs } from './processes.mjs';
import { cheaplyAudited, question, setParameters } from './stage.mjs';

const WORKER = '//Bob';
const AUDITORS = ['//Charlie', '//Dave', '//Eve'];
const STAKE = '1000';
const PRICES = ['0.000002', '0.000003'];

let node;
let api;
let keyring;
let model;
let modelFolder;
let data;
let worker;
let auditors;

const pair = (name) => keyring.addFromUri(name);
const command = (...args) => runWorker(node.url, WORKER, data, args);
const standing = async (at) => (await at.call.inferenceApi.worker(pair(WORKER).address)).unwrap();

/** Starts the worker; `said` has every line that it writes. */
async function start() {
  worker = startWorker(node.url, WORKER, data, ['run', '--model', modelFolder]);
  const said = [];
  worker.onLine((line) => said.push(line));
  await eventually('the worker to be ready', 120, () => {
    assert.ok(worker.isRunning, worker.log);
    return worker.stdout.includes('ready');
  });
  return said;
}

before(async () => {
  modelFolder = cheaplyAudited();
  data = temporaryFolder();
  node = await startNode('development node', ['--dev', '--tmp']);
  api = await connect(node.url);
  keyring = new Keyring({ type: 'sr25519' });
  await setParameters(api, pair('//Alice'), {
    probationJobs: 0,
    leastAuditChance: 1_000_000,
    // Time for a worker that starts anew, on a busy machine.
    commitWindow: 60,
    revealWindow: 30,
    appealWindow: 60,
  });
  await Promise.all([
    command('register', '--stake', STAKE),
    runWorker(node.url, '//Ferdie', temporaryFolder(), ['model', 'register', modelFolder]),
  ]);
  model = (await command('model', 'id', modelFolder)).trim();
  const [priceInput, priceOutput] = PRICES.map(parseGen);
  await Promise.all([
    command('offer', '--model', modelFolder, '--price-input', PRICES[0], '--price-output', PRICES[1]),
    offerAsAuditors(api, AUDITORS.map(pair), model, { stake: parseGen(STAKE), priceInput, priceOutput }),
  ]);
  await eventually('everyone to be in the audit pool', 120, async () => {
    const pool = await api.call.inferenceApi.auditPool(model);
    return pool.length === AUDITORS.length + 1;
  });
});
after(async () => {
  await auditors?.stop();
  await api?.disconnect();
  await stopAll();
});

test('a result lost with the journal is taken back from the chain and defended', () =>
  withLogs(
    () => [node, worker],
    async () => {
      await start();
      const initial = await balanceOf((await finalized(api)).at, pair(WORKER).address);
      const { events } = await signAndFinalize(
        api,
        question(api, model, 42, parseGen('0.01'), pair(WORKER).address),
        pair('//Ferdie'),
      );
      const { job } = eventOf(events, api.events.inference.JobSubmitted);
      const jobAt = async (at) => (await at.call.inferenceApi.job(job)).unwrap();
      const status = async () => (await jobAt((await finalized(api)).at)).status;
      await eventually('the result to be under audit', 120, async () => (await status()).isAudit);

      await worker.kill();
      rmSync(data, { recursive: true });
      const said = await start();
      await eventually('the result to be found on the chain', 60, () =>
        said.some((line) => line.includes('a result delivered before: it is watched from now on')),
      );
      assert.ok((await status()).isAudit, 'nothing is decided yet');

      const pairs = new Map(AUDITORS.map((name) => [name, pair(name)]));
      auditors = playAuditors(api, pairs, ({ round }) => round.toNumber() > 0);
      await eventually('an appeal', 120, async () => {
        const audit = await (await finalized(api)).at.call.inferenceApi.audit(job);
        return audit.isSome && audit.unwrap().appeal.isSome;
      });
      // The auditors' slashes come later, and do not concern the worker.
      await eventually('the result to be final', 240, async () => {
        const now = await status();
        return now.isSlashing || now.isSettled;
      });

      const { at } = await finalized(api);
      const audit = (await at.call.inferenceApi.audit(job)).unwrap();
      assert.equal(audit.appeal.unwrap().who.toString(), pair(WORKER).address);
      assert.deepEqual(
        audit.rounds.map(({ verdict, appeal }) => [verdict.unwrap().valid.isTrue, appeal.isTrue]),
        [
          [false, false],
          [true, true],
        ],
      );
      const record = await standing(at);
      assert.equal(record.stake.toBigInt(), parseGen(STAKE), 'no stake is lost');
      assert.equal(record.exposure.toBigInt(), 0n);
      assert.equal(record.settled.toNumber(), 1);
      assert.equal(record.rejected.toNumber(), 0);
      const now = await balanceOf(at, pair(WORKER).address);
      assert.equal(now.held, initial.held, 'the bond came back');
      assert.ok(now.total > initial.total, `${initial.total} -> ${now.total}`);

      await eventually('the worker to hear of it', 60, () => said.some((line) => line.includes('the result is paid')));
      assert.equal(said.filter((line) => line.includes('appealing with a bond')).length, 1);
      assert.ok(!said.some((line) => line.includes('computed (tokens)')), 'nothing was computed twice');
      assert.equal(await worker.stop(), 0);
      assert.match(await command('status'), /1 result\(s\) paid/);
    },
  ));
