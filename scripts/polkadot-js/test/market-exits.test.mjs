// A market on which no worker runs a model: every way in which a job ends
// without an answer gives the money back, and bad input is refused before any
// money moves. Ends also checked through the examples as a person runs them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import {
  balanceOf,
  connect,
  eventOf,
  everyFinalizedBlock,
  finalized,
  parseGen,
  Refused,
  signAndFinalize,
} from '../connect.mjs';
import { LIMITS, manifest, TERMS } from './manifest.mjs';
import { eventually, startExample, startNode, stopAll, withLogs } from './processes.mjs';

const MODEL = manifest('used');
const RETIRED = manifest('retired while a job is open');
const MAX_OUTPUT = 10;
const QUESTION = 'what is one and one?';
const MAX_FEE = parseGen('0.5');
const GREEDY = { format: 'Text', temperatureMilli: 0, topK: 1, topPMilli: 1_000 };
const NO_CAP = 2n ** 128n - 1n;

let node;
let api;
let keyring;
let parameters;

before(async () => {
  node = await startNode('development node', ['--dev', '--tmp']);
  api = await connect(node.url);
  keyring = new Keyring({ type: 'sr25519' });
  ({ parameters } = await api.call.inferenceApi.parameters());
  await Promise.all([
    send('//Alice', api.tx.inference.registerModel(MODEL.bytes)),
    send('//Bob//stash', api.tx.inference.registerModel(RETIRED.bytes)),
  ]);
});
after(async () => {
  await api?.disconnect();
  await stopAll();
});

const address = (name) => keyring.addFromUri(name).address;
const balance = async (name) => balanceOf((await finalized(api)).at, address(name));
const send = (name, transaction) => signAndFinalize(api, transaction, keyring.addFromUri(name));
const withNode = (body) => withLogs(() => [node], body);

/** `submit_job_with` in which only what matters for a test is said. */
function submission({
  model = MODEL.id,
  input = QUESTION,
  maxOutput = MAX_OUTPUT,
  maxFee = MAX_FEE,
  ...conditions
}) {
  return api.tx.inference.submitJobWith(model, input, maxOutput, maxFee, GREEDY, {
    maxPriceInput: NO_CAP,
    maxPriceOutput: NO_CAP,
    claimBy: null,
    deliverWithin: null,
    worker: null,
    minAuditors: 0,
    ...conditions,
  });
}

/** Submits and returns the job's number and the transaction fee. */
async function submit(name, transaction) {
  const { events, fee } = await send(name, transaction);
  return { job: eventOf(events, api.events.inference.JobSubmitted).job.toNumber(), fee };
}

/** Waits for an event about a job. Returns its fields, its block and whether no transaction made it. */
async function eventAbout(kind, job, from) {
  let found;
  const watch = everyFinalizedBlock(api, from, async (number, at) => {
    for (const { event, phase } of await at.query.system.events()) {
      if (kind.is(event) && event.data.job.eq(job)) {
        found = { data: event.data, block: number, byTheChain: phase.isFinalization };
      }
    }
    return found !== undefined;
  });
  const timer = setTimeout(watch.stop, 60_000);
  await watch.done;
  clearTimeout(timer);
  assert.ok(found, `no ${kind.meta.name} about job ${job} within 60 s`);
  return found;
}

// Tests within a group run at the same time, each with accounts of its own.
describe('the market', { concurrency: true }, () => {
  describe('a job that nobody answers gives its money back', { concurrency: true }, () => {
    test('when the requester cancels it, with the example', () =>
      withNode(async () => {
        const initial = await balance('//Bob');
        const { job, fee } = await submit(
          '//Bob',
          api.tx.inference.submitJob(MODEL.id, QUESTION, MAX_OUTPUT, MAX_FEE),
        );
        const posted = await balance('//Bob');
        assert.equal(posted.total, initial.total - fee, 'posting costs the transaction fee only');
        const view = (await api.call.inferenceApi.job(job)).unwrap();
        assert.equal(view.escrow.toBigInt(), MAX_FEE);
        assert.equal(posted.held, view.escrow.toBigInt() + view.deposit.toBigInt());

        const from = (await finalized(api)).number;
        const example = startExample('cancel-job.mjs', [String(job), '--key', '//Bob', '--url', node.url]);
        assert.equal(await example.exited, 0, example.log);
        assert.match(example.stdout, new RegExp(`job ${job} is withdrawn; 0\\.5 GEN of escrow came back`));

        const { data } = await eventAbout(api.events.inference.JobCancelled, job, from);
        assert.equal(data.refund.toBigInt(), MAX_FEE);
        const cancelled = (await api.call.inferenceApi.job(job)).unwrap();
        const end = await balance('//Bob');
        assert.equal(end.held, cancelled.deposit.toBigInt(), 'only the deposit for the record is held');
        assert.ok(
          end.total < posted.total && end.total > posted.total - parseGen('0.01'),
          'and a fee was paid',
        );

        const waiting = startExample('submit-job.mjs', ['--job', String(job), '--url', node.url]);
        assert.equal(await waiting.exited, 1, waiting.log);
        assert.match(waiting.log, /ended without an answer: it was withdrawn/);

        const again = startExample('cancel-job.mjs', [String(job), '--key', '//Bob', '--url', node.url]);
        assert.equal(await again.exited, 1, again.log);
        assert.match(again.log, /inference\.JobIsFinal\. \w+/);
      }));

    test('when the time for claims passes, without anybody doing anything', () =>
      withNode(async () => {
        const initial = await balance('//Charlie');
        const { number } = await finalized(api);
        const claimBy = number + 10;
        const { job, fee } = await submit('//Charlie', submission({ claimBy }));

        const { data, block, byTheChain } = await eventAbout(api.events.inference.JobExpired, job, number);
        assert.equal(data.refund.toBigInt(), MAX_FEE);
        assert.equal(block, claimBy + 1, 'the first block after the deadline');
        assert.ok(byTheChain, 'the chain did it by itself');

        const view = (await api.call.inferenceApi.job(job)).unwrap();
        assert.ok(view.status.isExpired);
        const end = await balance('//Charlie');
        assert.equal(end.total, initial.total - fee, 'a full refund');
        assert.equal(end.held, view.deposit.toBigInt());

        const waiting = startExample('submit-job.mjs', ['--job', String(job), '--url', node.url]);
        assert.equal(await waiting.exited, 1, waiting.log);
        assert.match(waiting.log, /ended without an answer: nobody answered it in time/);
      }));

    test('when its worker is late, who then pays for the delay', () =>
      withNode(async () => {
        const stake = parameters.minStake.toBigInt() + MAX_FEE * parameters.exposureFactor.toBigInt();
        await send(
          '//Dave',
          api.tx.utility.batchAll([
            api.tx.inference.registerWorker(stake, ''),
            api.tx.inference.setOffer(MODEL.id, TERMS.minPriceInput, TERMS.minPriceOutput, 1),
          ]),
        );
        const initial = await balance('//Eve');
        const { job, fee } = await submit(
          '//Eve',
          submission({ deliverWithin: 2, worker: address('//Dave') }),
        );
        const { events, blockNumber } = await send('//Dave', api.tx.inference.claimJob(job));
        const claim = eventOf(events, api.events.inference.JobClaimed);
        assert.equal(claim.deliverBy.toNumber(), blockNumber + 2);

        const late = await eventAbout(api.events.inference.JobLate, job, blockNumber);
        const worstCase = claim.worstCaseFee.toBigInt();
        const units = BigInt(QUESTION.length + LIMITS.promptOverhead);
        const metered = units * TERMS.minPriceInput + BigInt(MAX_OUTPUT) * TERMS.minPriceOutput;
        assert.equal(worstCase, metered > TERMS.minFee ? metered : TERMS.minFee);
        const compensation = (worstCase * parameters.lateShare.toBigInt()) / 1_000_000n;
        assert.equal(late.data.compensation.toBigInt(), compensation);
        assert.equal(
          (await balance('//Dave')).held - stake,
          parameters.offerDeposit.toBigInt() - compensation,
        );

        const view = (await api.call.inferenceApi.job(job)).unwrap();
        assert.ok(view.status.isOpen, 'open again');
        assert.equal(view.barred.unwrap().toString(), address('//Dave'));
        await assert.rejects(send('//Dave', api.tx.inference.claimJob(job)), {
          error: 'inference.BarredFromJob',
        });
        const cancelled = await send('//Eve', api.tx.inference.cancelJob(job));
        assert.equal((await balance('//Eve')).total, initial.total - fee - cancelled.fee + compensation);
      }));
  });

  describe(
    'bad input is refused with an error that names it, and no money moves',
    { concurrency: true },
    () => {
      /** The transaction is refused with `error` and a sentence, and costs its fee and nothing else. */
      const refused = (name, error, transaction) =>
        withNode(async () => {
          const initial = await balance(name);
          const refusal = await send(name, await transaction()).then(
            () => assert.fail(`${error} was expected, but the chain took it`),
            (reason) => reason,
          );
          assert.ok(refusal instanceof Refused, refusal.stack);
          assert.equal(refusal.error, `inference.${error}`);
          assert.match(refusal.docs, /^[A-Z].*\.$/, 'a sentence that helps');
          const end = await balance(name);
          assert.deepEqual(end, {
            ...initial,
            free: initial.free - refusal.fee,
            total: initial.total - refusal.fee,
          });
        });

      test('an escrow that is too small', () =>
        refused('//Ferdie', 'EscrowTooSmall', () => submission({ maxFee: TERMS.minFee - 1n })));

      test('an unknown model', () =>
        refused('//Alice//stash', 'ModelUnknown', () => submission({ model: `0x${'12'.repeat(32)}` })));

      test('a retired model', async () => {
        // A retired model with no job left is forgotten: one job keeps it.
        const { job } = await submit('//Bob//stash', submission({ model: RETIRED.id }));
        await send('//Bob//stash', api.tx.inference.retireModel(RETIRED.id));
        await refused('//Bob//stash', 'ModelRetired', () => submission({ model: RETIRED.id }));
        await send('//Bob//stash', api.tx.inference.cancelJob(job));
        await refused('//Bob//stash', 'ModelUnknown', () => submission({ model: RETIRED.id }));
      });

      test('a deadline in the past', () =>
        refused('//Charlie//stash', 'ClaimDeadlinePassed', async () =>
          submission({ claimBy: (await finalized(api)).number }),
        ));

      test('an empty input', () => refused('//Dave//stash', 'InputEmpty', () => submission({ input: '' })));

      test('an output limit above the model’s', () =>
        refused('//Eve//stash', 'OutputLimitTooHigh', () => submission({ maxOutput: LIMITS.maxOutput + 1 })));

      test('more escrow than the account has', () =>
        refused('//Ferdie//stash', 'BalanceTooLow', () => submission({ maxFee: parseGen('100000000') })));

      test('an input that is too long', async () => {
        const tooLong = 'x'.repeat(api.consts.inference.maxInputLen.toNumber() + 1);
        await refused('//Alice', 'InputTooLong', () => submission({ input: tooLong }));
        // The example does not even send it.
        const example = startExample('submit-job.mjs', [tooLong, '--key', '//Alice', '--url', node.url]);
        assert.equal(await example.exited, 1, example.log);
        assert.match(example.log, /the question has 16385 bytes: 1 to 16384 are possible/);
      });
    },
  );
});

describe('people who use the examples', { concurrency: true }, () => {
  test('a watcher sees the open jobs and what happens', () =>
    withNode(async () => {
      const { job } = await submit('//Bob', submission({}));
      const watcher = startExample('watch-market.mjs', ['--url', node.url]);
      await eventually('the open job to be listed', 60, () => watcher.stdout.includes(`job ${job} on used`));
      await send('//Bob', api.tx.inference.cancelJob(job));
      await eventually('the event', 60, () =>
        watcher.stdout.includes(`JobCancelled     job ${job}, refund 0.5 GEN`),
      );
      watcher.signal('SIGINT');
      assert.equal(await watcher.exited, 0, watcher.log);
    }));

  test('without a worker, the example explains why it does not post', () =>
    withNode(async () => {
      const initial = await balance('//Alice//stash');
      await send('//Dave', api.tx.inference.removeOffer(MODEL.id));
      const example = startExample('submit-job.mjs', [
        QUESTION,
        '--key',
        '//Alice//stash',
        '--url',
        node.url,
      ]);
      assert.equal(await example.exited, 1, example.log);
      assert.match(example.log, /no worker could take this job now/);
      assert.deepEqual(await balance('//Alice//stash'), initial);
    }));

  test('who stops waiting learns the job’s number and how to go on', { concurrency: true }, async (t) => {
    const post = (key, ...options) =>
      startExample('submit-job.mjs', [
        QUESTION,
        '--key',
        key,
        '--max-fee',
        '0.5',
        '--url',
        node.url,
        ...options,
      ]);
    const goOn = /To go on waiting: node submit-job\.mjs --job \d+ --url ws:/;
    const outOfTime = t.test('when the time is over', () =>
      withNode(async () => {
        const example = post('//Charlie', '--timeout', '3');
        assert.equal(await example.exited, 3, example.log);
        assert.match(example.log, /no answer within 3 s; the job is open\. /);
        assert.match(example.log, goOn);
      }),
    );
    const interrupted = t.test('with Ctrl-C', () =>
      withNode(async () => {
        const example = post('//Charlie//stash');
        await eventually('the job to be open', 60, () => /^block \d+ +open$/m.test(example.stdout));
        example.signal('SIGINT');
        assert.equal(await example.exited, 130, example.log);
        assert.match(example.log, /stopped waiting; job \d+ goes on without this program/);
        assert.match(example.log, goOn);
      }),
    );
    await Promise.all([outOfTime, interrupted]);
  });

  test('a record is dropped after its retention, and the rest of its deposit comes back', () =>
    withNode(async () => {
      // Parameters change for later jobs only; these are forgotten after two blocks.
      const { job: earlier } = await submit('//Eve', submission({}));
      const shorter = { ...parameters.toJSON(), retention: 2 };
      const { events } = await send('//Alice', api.tx.sudo.sudo(api.tx.inference.setParameters(shorter)));
      assert.ok(eventOf(events, api.events.sudo.Sudid).sudoResult.isOk);
      const frozen = (await api.call.inferenceApi.job(earlier)).unwrap();
      assert.equal(frozen.terms.retention.toNumber(), parameters.retention.toNumber());

      const initial = await balance('//Ferdie');
      const { job, fee } = await submit('//Ferdie', submission({}));
      const cancelled = await send('//Ferdie', api.tx.inference.cancelJob(job));
      const dropped = await eventAbout(api.events.inference.JobDropped, job, cancelled.blockNumber);
      assert.equal(dropped.block, cancelled.blockNumber + 3);
      const end = await balance('//Ferdie');
      assert.deepEqual(end, {
        ...initial,
        free: initial.free - fee - cancelled.fee,
        total: initial.total - fee - cancelled.fee,
      });
      assert.ok((await api.call.inferenceApi.job(job)).isNone);
    }));
});
