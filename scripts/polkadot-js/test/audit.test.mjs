// Audits with everybody's part played from here: a worker that lies and one
// that does not, auditors who replay by looking at the answer, and disputes
// through the example. What the chain does with their words is the chain's own.
//
// The auditors know the right answer instead of running a model; worker/tests
// has the same with real workers, which do.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { compactToU8a, stringToHex, u8aConcat, u8aToHex } from '@polkadot/util';
import { blake2AsHex } from '@polkadot/util-crypto';
import { seatsOf } from '../audits.mjs';
import {
  balanceOf,
  connect,
  eventOf,
  finalized,
  formatGen,
  parseGen,
  signAndFinalize,
  textOf,
} from '../connect.mjs';
import { offerAsAuditors, playAuditors } from './auditors.mjs';
import { manifest, TERMS } from './manifest.mjs';
import { eventually, startExample, startNode, stopAll, withLogs } from './processes.mjs';

const MODEL = manifest('audited');
const WORKERS = ['//Bob', '//Charlie', '//Dave', '//Eve', '//Bob//stash'];
const STAKE = parseGen('1000');
const QUESTION = 'what is one and one?';
const RIGHT = 'two';
const WRONG = 'three';
const MAX_OUTPUT = 10;
const NO_CAP = 2n ** 128n - 1n;

let node;
let api;
let keyring;
let auditors;

const pair = (name) => keyring.addFromUri(name);
const address = (name) => pair(name).address;
const send = (name, transaction) => signAndFinalize(api, transaction, pair(name));
const balance = async (name) => balanceOf((await finalized(api)).at, address(name));
const stakeOf = async (name) => (await api.call.inferenceApi.worker(address(name))).unwrap().stake.toBigInt();
const jobView = async (job) => (await (await finalized(api)).at.call.inferenceApi.job(job)).unwrap();

before(async () => {
  node = await startNode('development node', ['--dev', '--tmp']);
  api = await connect(node.url);
  keyring = new Keyring({ type: 'sr25519' });
  const { parameters } = await api.call.inferenceApi.parameters();
  // So small a chance that only what is disputed is audited.
  const rare = {
    ...parameters.toJSON(),
    probationJobs: 0,
    leastAuditChance: 1,
    auditChanceFactorMilli: 1_001,
    exposureFactor: 50_000,
  };
  const { events } = await send('//Alice', api.tx.sudo.sudo(api.tx.inference.setParameters(rare)));
  assert.ok(eventOf(events, api.events.sudo.Sudid).sudoResult.isOk);
  await send('//Alice', api.tx.inference.registerModel(MODEL.bytes));
  const pairs = new Map(WORKERS.map((name) => [name, pair(name)]));
  await offerAsAuditors(api, [...pairs.values()], MODEL.id, {
    stake: STAKE,
    priceInput: TERMS.minPriceInput,
    priceOutput: TERMS.minPriceOutput,
  });
  await eventually('all workers to be in the audit pool', 120, async () => {
    const pool = await api.call.inferenceApi.auditPool(MODEL.id);
    return pool.length === WORKERS.length;
  });
  auditors = playAuditors(api, pairs, ({ output }) => textOf(output) === RIGHT);
});
after(async () => {
  await auditors?.stop();
  await api?.disconnect();
  await stopAll();
});

/** A job for one worker, answered by it in these words; returned once it can be disputed. */
async function delivered(requester, worker, answer) {
  const { events } = await send(
    requester,
    api.tx.inference.submitJobWith(
      MODEL.id,
      QUESTION,
      MAX_OUTPUT,
      parseGen('0.01'),
      { format: 'Text', temperatureMilli: 0, topK: 1, topPMilli: 1_000 },
      {
        maxPriceInput: NO_CAP,
        maxPriceOutput: NO_CAP,
        claimBy: null,
        deliverWithin: null,
        worker: address(worker),
        minAuditors: 3,
      },
    ),
  );
  const { job } = eventOf(events, api.events.inference.JobSubmitted);
  await send(worker, api.tx.inference.claimJob(job));
  const evidence = u8aToHex(u8aConcat(...[1, 70, 2].map((id) => compactToU8a(id))));
  const { fee } = await send(
    worker,
    api.tx.inference.deliver(job, stringToHex(answer), evidence, {
      usage: { input: 9, output: 3 },
      fault: null,
      trace: blake2AsHex('a trace'),
      engineVersion: 1,
    }),
  );
  assert.equal(fee, 0n, 'a delivery that is taken costs nothing');
  await eventually('the draw to miss the job', 60, async () => (await jobView(job)).status.isReview);
  return job.toNumber();
}

/** Runs the example that disputes. */
const dispute = (job, key) =>
  startExample('dispute-result.mjs', [String(job), '--key', key, '--url', node.url]);

const issued = async () => (await (await finalized(api)).at.query.balances.totalIssuance()).toBigInt();

test('a wrong answer that is disputed is rejected: bond and escrow come back, stake is slashed', () =>
  withLogs(
    () => [node],
    async () => {
      const [requester, liar] = ['//Ferdie', '//Bob'];
      const [initial, supply] = [await balance(requester), await issued()];
      const job = await delivered(requester, liar, WRONG);
      const view = await jobView(job);
      const { worstCaseFee, terms } = view;
      const exposure = worstCaseFee.unwrap().toBigInt() * terms.exposureFactor.toBigInt();

      const example = dispute(job, requester);
      // The read API has all that an auditor needs, and the example shows it.
      const auditor = await eventually('a seat to wait for somebody', 60, async () => {
        const { at } = await finalized(api);
        const found = await Promise.all(
          WORKERS.map(async (name) => ((await seatsOf(at, address(name))).length > 0 ? name : undefined)),
        );
        return found.find((name) => name !== undefined);
      });
      assert.notEqual(auditor, liar, 'nobody judges its own result');
      const shown = startExample('audits.mjs', ['--auditor', address(auditor), '--url', node.url]);
      assert.equal(await shown.exited, 0, shown.log);
      assert.match(shown.stdout, new RegExp(`^job ${job}, round 0: `, 'm'));
      assert.ok(shown.stdout.includes(`question   ${QUESTION}\n`), shown.stdout);
      assert.ok(shown.stdout.includes(`answer     ${WRONG}, by ${address(liar)}\n`), shown.stdout);

      assert.equal(await example.exited, 0, example.log);
      // The rest of the escrow came back with the delivery.
      const refund = formatGen(view.fee.unwrap().toBigInt() + terms.deliveryFee.toBigInt());
      assert.ok(example.stdout.includes(`REJECTED for good; the requester has ${refund} back`), example.log);
      assert.match(example.stdout, /your bond came back/);
      const said = auditors.ballots.filter(([about]) => about === job);
      assert.ok(said.length >= 2, 'a verdict needs two auditors');
      assert.ok(said.every(([, , valid]) => valid === false));

      // Stake follows after the delay, and the requester's compensation with it.
      assert.ok((await jobView(job)).status.isSlashing);
      assert.equal(await stakeOf(liar), STAKE);
      await eventually('the slash', 60, async () => (await jobView(job)).status.isRejected);
      assert.equal(await stakeOf(liar), STAKE - exposure);
      const record = (await api.call.inferenceApi.worker(address(liar))).unwrap();
      assert.equal(record.rejected.toNumber(), 1);
      assert.ok(record.chilled.isTrue, 'it takes no more jobs until it says so');
      assert.equal(record.exposure.toBigInt(), 0n);
      for (const name of WORKERS.filter((other) => other !== liar)) {
        assert.equal(await stakeOf(name), STAKE, `${name} was honest`);
      }

      const end = await jobView(job);
      assert.equal(end.escrow.toBigInt(), 0n);
      const now = await balance(requester);
      const spent = initial.total + worstCaseFee.unwrap().toBigInt() - now.total;
      // Two transactions; nothing of what was held.
      assert.ok(spent > 0n && spent < view.fee.unwrap().toBigInt(), `${requester} paid ${formatGen(spent)}`);
      assert.equal(now.held, end.deposit.toBigInt(), 'neither bond nor escrow is held');
      assert.equal(await issued(), supply, 'nothing was made or burnt');

      const waiting = startExample('submit-job.mjs', ['--job', String(job), '--url', node.url]);
      assert.equal(await waiting.exited, 4, waiting.log);
      assert.match(waiting.log, new RegExp(`the answer to job ${job} WRONG: its escrow was returned`));
    },
  ));

test('a right answer that is disputed is paid, and the bond pays auditors and worker', () =>
  withLogs(
    () => [node],
    async () => {
      const [requester, worker, disputer] = ['//Ferdie', '//Charlie', '//Alice//stash'];
      const job = await delivered(requester, worker, RIGHT);
      const before = await balance(disputer);
      const view = await jobView(job);

      const example = dispute(job, disputer);
      assert.equal(await example.exited, 4, example.log);
      assert.match(example.stdout, /your bond is lost/);
      const bond = parseGen(/with a bond of ([\d.]+) GEN/.exec(example.stdout)[1]);
      const [pay, seats] = [(view.fee.unwrap().toBigInt() * 50n) / 100n, 3n];
      assert.equal(bond, pay * seats + parseGen('0.1'), 'pay of three seats and the floor');

      const settled = await jobView(job);
      assert.ok(settled.status.isSettled || settled.status.isSlashing, settled.status.type);
      const now = await balance(disputer);
      assert.equal(now.held, before.held, 'the bond is not held any more');
      assert.ok(before.total - now.total >= bond, 'it is gone');
      for (const name of WORKERS.slice(1)) {
        assert.equal(await stakeOf(name), STAKE, `${name} was honest`);
      }
      const audits = startExample('audits.mjs', ['--job', String(job), '--url', node.url]);
      assert.equal(await audits.exited, 0, audits.log);
      assert.match(audits.stdout, /^round \d: right$/m);
    },
  ));

test('what cannot be disputed is refused with a reason', () =>
  withLogs(
    () => [node],
    async () => {
      const none = dispute(999, '//Alice');
      assert.equal(await none.exited, 1, none.log);
      assert.match(none.log, /there is no job 999/);

      const own = dispute(await delivered('//Ferdie', '//Dave', RIGHT), '//Dave');
      assert.equal(await own.exited, 1, own.log);
      assert.match(own.log, /inference\.OwnResult\. \w+/);

      const nobody = startExample('audits.mjs', ['--auditor', address('//Ferdie'), '--url', node.url]);
      assert.equal(await nobody.exited, 3, nobody.log);
      assert.match(nobody.stdout, /no audit waits for/);
    },
  ));
