// The whole market at work: a chain, a worker with the model that ships with
// the project, questions posted through the example, and every base unit
// accounted for.

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compactFromU8a, stringToU8a, u8aConcat } from '@polkadot/util';
import { blake2AsHex, encodeAddress } from '@polkadot/util-crypto';
import {
  balanceOf,
  connect,
  everyFinalizedBlock,
  finalized,
  formatGen,
  questionOf,
  textOf,
} from '../connect.mjs';
import { wrongHashes } from '../attestation.mjs';
import {
  eventually,
  runWorker,
  startExample,
  startNode,
  startWorker,
  stopAll,
  temporaryFolder,
  withLogs,
} from './processes.mjs';

const MODELS = fileURLToPath(new URL('../../../worker/models', import.meta.url));
const WORKER_KEY = '//Bob';
/** The treasury has no key: its address is made from the pallet id `gf/trsry`. */
const TREASURY = encodeAddress(u8aConcat(stringToU8a('modlgf/trsry'), new Uint8Array(20)), 42);

/** Questions for the shipped model, with the only right answer. */
const QUESTIONS = [
  { key: '//Charlie', question: 'Comment écrit-on 342 en lettres ?', answer: 'trois cent quarante-deux' },
  { key: '//Dave', question: 'Was ist siebenundzwanzig plus fünfunddreißig?', answer: 'zweiundsechzig' },
  { key: '//Eve', question: 'Which number is three hundred and forty-two?', answer: '342' },
];

let node;
let worker;
let api;
let start;

before(async () => {
  node = await startNode('development node', ['--dev', '--tmp']);
  api = await connect(node.url);
  const data = temporaryFolder();
  const [name] = readdirSync(MODELS).filter((entry) => existsSync(join(MODELS, entry, 'config.json')));
  assert.ok(name, `there is a model in ${MODELS}`);
  const model = join(MODELS, name);
  const command = (...args) => runWorker(node.url, WORKER_KEY, data, args);
  await command('register', '--stake', '10000');
  await command('model', 'register', model);
  await command(
    'offer',
    '--model',
    model,
    '--price-input',
    '0.000005',
    '--price-output',
    '0.00001',
    '--capacity',
    '2',
  );
  start = await finalized(api);
  worker = startWorker(node.url, WORKER_KEY, data, ['run', '--model', model]);
  await withLogs(
    () => [node, worker],
    () => eventually('the worker to be ready', 60, () => worker.stdout.includes('ready')),
  );
});
after(async () => {
  await api?.disconnect();
  await stopAll();
});

/** Everything every account has, in base units, and what has been issued altogether. */
async function ledger(at) {
  const entries = await at.query.system.account.entries();
  const totals = entries.map(([{ args }, { data }]) => [
    args[0].toString(),
    data.free.toBigInt() + data.reserved.toBigInt(),
  ]);
  return { totals: new Map(totals), issued: (await at.query.balances.totalIssuance()).toBigInt() };
}

/**
 * Reads the blocks until `count` jobs are settled: each job as delivered, with
 * its evidence, which is dropped later; what each job paid; who paid which
 * transaction fees; and the state right after the last settlement.
 */
async function transcript(count) {
  const jobs = new Map();
  const fees = new Map();
  let end;
  const { inference, transactionPayment } = api.events;
  const watch = everyFinalizedBlock(api, start.number + 1, async (number, at) => {
    const events = (await at.query.system.events()).map(({ event }) => event);
    for (const event of events) {
      if (transactionPayment.TransactionFeePaid.is(event)) {
        const who = event.data.who.toString();
        fees.set(who, (fees.get(who) ?? 0n) + event.data.actualFee.toBigInt());
      } else if (inference.ResultDelivered.is(event)) {
        const id = event.data.job;
        const [input, result, view] = await Promise.all([
          questionOf(at, id),
          at.call.inferenceApi.result(id),
          at.call.inferenceApi.job(id),
        ]);
        const delivered = { input, result: result.unwrap(), view: view.unwrap(), event: event.data };
        jobs.set(id.toNumber(), delivered);
      } else if (inference.JobSettled.is(event)) {
        jobs.get(event.data.job.toNumber()).paid = event.data;
      }
    }
    const settled = [...jobs.values()].filter(({ paid }) => paid).length;
    end = at;
    return settled === count;
  });
  const timer = setTimeout(watch.stop, 120_000);
  await watch.done;
  clearTimeout(timer);
  assert.equal(
    [...jobs.values()].filter(({ paid }) => paid).length,
    count,
    'all jobs are settled within two minutes',
  );
  return { jobs: [...jobs.values()], fees, end };
}

function checkAttestation({ input, result, event, view }) {
  const { output, evidence, attestation, attestationHash } = result;
  const hash = (bytes) => blake2AsHex(bytes, 256);
  assert.equal(attestation.inputHash.toHex(), hash(input.toU8a(true)));
  assert.equal(attestation.outputHash.toHex(), hash(output.toU8a(true)));
  assert.equal(attestation.evidenceHash.toHex(), hash(evidence.unwrap().toU8a(true)));
  const whole = u8aConcat(stringToU8a('genesisflow/attestation/v1'), attestation.toU8a());
  assert.equal(attestationHash.toHex(), hash(whole));
  assert.equal(event.attestation.toHex(), hash(whole));
  assert.equal(attestation.worker.toString(), view.worker.unwrap().toString());
  assert.ok(attestation.fault.isNone);
  assert.notEqual(BigInt(attestation.trace.toHex()), 0n, 'a trace');

  let [rest, count] = [evidence.unwrap().toU8a(true), 0];
  for (; rest.length > 0; count += 1) {
    rest = rest.subarray(compactFromU8a(rest)[0]);
  }
  assert.equal(count, attestation.usage.output.toNumber(), 'one token id for each unit of output');

  assert.deepEqual(wrongHashes(result, input.toU8a(true)), []);
  assert.deepEqual(wrongHashes(result, stringToU8a('another question')), ['input']);
}

/** The fee by hand, from usage and prices; and what is left of the escrow. */
async function checkFee({ event, view, paid }) {
  const { terms } = (await api.call.inferenceApi.model(view.model)).unwrap();
  const { input, output } = view.prices.unwrap();
  const metered =
    event.usage.input.toBigInt() * input.toBigInt() + event.usage.output.toBigInt() * output.toBigInt();
  const fee = metered > terms.minFee.toBigInt() ? metered : terms.minFee.toBigInt();
  assert.equal(event.fee.toBigInt(), fee);
  assert.equal(event.refund.toBigInt(), view.maxFee.toBigInt() - fee);
  const protocol = (fee * view.terms.protocolShare.toBigInt()) / 1_000_000n;
  assert.equal(paid.protocol.toBigInt(), protocol);
  assert.equal(paid.paid.toBigInt(), fee - protocol);
}

test('questions are answered rightly, and the money adds up to the base unit', () =>
  withLogs(
    () => [node, worker],
    async () => {
      const before = await ledger(start.at);
      const examples = QUESTIONS.map(({ key, question }, index) =>
        startExample('submit-job.mjs', [
          ...[question, '--key', key, '--url', node.url, '--max-output', '24', '--timeout', '100'],
          // One waits for the end of the review, the others pay at once.
          ...(index === 0 ? [] : ['--accept']),
        ]),
      );
      const [{ jobs, fees, end }, ...codes] = await Promise.all([
        transcript(QUESTIONS.length),
        ...examples.map(({ exited }) => exited),
      ]);
      assert.deepEqual(
        codes,
        codes.map(() => 0),
        examples.map(({ log }) => log).join('\n'),
      );

      for (const job of jobs) {
        const asked = textOf(job.input);
        const index = QUESTIONS.findIndex(({ question }) => question === asked);
        assert.ok(index >= 0, `"${asked}" is none of the questions`);
        const { answer } = QUESTIONS[index];
        assert.equal(textOf(job.result.output).trim(), answer, `the answer to "${asked}"`);
        checkAttestation(job);
        await checkFee(job);

        const { stdout } = examples[index];
        assert.match(stdout, new RegExp(`^question +${asked.replace(/[.?+*()]/g, '\\$&')}$`, 'm'));
        assert.match(stdout, new RegExp(`^answer +${answer}\\s*$`, 'm'));
        assert.ok(stdout.includes(`fee          ${formatGen(job.event.fee)} for`), stdout);
        assert.ok(stdout.includes(`refund       ${formatGen(job.event.refund)} of`), stdout);
        assert.match(stdout, /its hashes are right/);
        assert.match(stdout, /^ {2}requester +1000000 GEN -> 999999\.\d+ GEN/m);
      }

      // What each account should have gained or lost since the worker started.
      const expected = new Map();
      const book = (who, amount) => expected.set(who, (expected.get(who) ?? 0n) + amount);
      for (const [who, fee] of fees) {
        book(who, -fee);
        book(TREASURY, fee);
      }
      for (const { view, paid } of jobs) {
        const [worked, protocol, delivery] = [paid.paid, paid.protocol, view.terms.deliveryFee].map((n) =>
          n.toBigInt(),
        );
        book(view.requester.toString(), -worked - protocol - delivery);
        book(view.worker.unwrap().toString(), worked);
        book(TREASURY, protocol + delivery);
      }
      const now = await ledger(end);
      for (const [who, total] of now.totals) {
        assert.equal(
          total - (before.totals.get(who) ?? 0n),
          expected.get(who) ?? 0n,
          `the balance of ${who}`,
        );
      }
      assert.equal(now.totals.size, before.totals.size, 'no account came or went');
      assert.equal(now.issued, before.issued, 'nothing was made or burnt');
      assert.equal(
        [...now.totals.values()].reduce((sum, total) => sum + total),
        now.issued,
      );

      for (const { view } of jobs) {
        const requester = view.requester.toString();
        const settled = (await end.call.inferenceApi.job(view.id)).unwrap();
        assert.equal(
          (await balanceOf(end, requester)).held,
          settled.deposit.toBigInt(),
          'only the record’s deposit is held',
        );
      }
      const record = (await end.call.inferenceApi.worker(jobs[0].view.worker.unwrap())).unwrap();
      assert.deepEqual([record.settled.toNumber(), record.late.toNumber()], [QUESTIONS.length, 0]);
      assert.equal(record.exposure.toBigInt(), 0n, 'no stake is reserved any more');
    },
  ));

test('a worker that is asked to stop, stops cleanly', async () => {
  assert.equal(await worker.stop(), 0, worker.log);
});
