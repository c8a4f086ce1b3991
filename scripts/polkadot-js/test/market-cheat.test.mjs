// Four workers on one chain, one of which cheats in every way that there is:
// as an auditor it votes against the truth or stays silent; as a worker it
// alters a token, serves another model, inflates the usage, delivers garbage,
// claims a fault that did not happen. Every cheat is caught, by the draw or by
// a dispute, and costs stake; nobody else loses any; every requester has its
// money; and everything adds up to the base unit.
//
// Needs a worker with the Cargo feature `cheats`, named by GENESISFLOW_CHEAT
// (scripts/test.sh builds one). GENESISFLOW_TEST_JOBS says how many jobs.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import {
  balanceOf,
  connect,
  everyFinalizedBlock,
  finalized,
  formatGen,
  parseGen,
  signAndFinalize,
  textOf,
} from '../connect.mjs';
import {
  eventually,
  Program,
  runWorker,
  sleep,
  startNode,
  startWorker,
  stopAll,
  temporaryFolder,
  withLogs,
} from './processes.mjs';
import { cheaplyAudited, ledger, question, setParameters } from './stage.mjs';

const PROGRAM = process.env.GENESISFLOW_CHEAT;
const CHEAT = '//Bob';
const HONEST = ['//Charlie', '//Dave', '//Eve'];
const REQUESTERS = ['//Ferdie', '//Alice//stash', '//Bob//stash', '//Charlie//stash', '//Dave//stash'];
const STAKE = '1000';
const MAX_FEE = parseGen('0.01');

/** Jobs of others, to some of which the cheat is drawn as an auditor. */
const TO_BE_MISJUDGED = 20;
/** What it does then, in turn. Silence ends it, for it chills the account. */
const WRONG_BALLOTS = ['vote-wrong', 'vote-wrong', 'stay-silent'];
/** Jobs that are the cheat's alone: each kind of wrong result at least twice. */
const TO_BE_FAKED = 10;
const WRONG_RESULTS = ['alter-token', 'other-model', 'inflate-usage', 'garbage', 'false-fault'];
/** All others: anybody's, and audited by chance. */
const JOBS = Number(process.env.GENESISFLOW_TEST_JOBS ?? 40);
const BY_CHANCE = Math.max(0, JOBS - TO_BE_MISJUDGED - TO_BE_FAKED);

let node;
let api;
let keyring;
let model;
let modelFolder;
let otherModel;
let questions = 300;
const data = new Map();
const running = new Map();
const addresses = new Map();

const pair = (name) => keyring.addFromUri(name);
const address = (name) => addresses.get(name) ?? addresses.set(name, pair(name).address).get(name);
/** The last transaction of each account: the next one waits for it, or they would take the same nonce. */
const sent = new Map();
const send = (name, transaction) => {
  const next = (sent.get(name) ?? Promise.resolve()).then(() => signAndFinalize(api, transaction, pair(name)));
  sent.set(
    name,
    next.catch(() => undefined),
  );
  return next;
};
const command = (name, ...args) => runWorker(node.url, name, data.get(name), args);
const workerOf = async (at, name) => (await at.call.inferenceApi.worker(address(name))).unwrap();

/** The same shape with other weights: what a worker might serve to save memory. */
function withOtherWeights(folder) {
  const copy = join(temporaryFolder(), 'other');
  cpSync(folder, copy, { recursive: true });
  const file = join(copy, 'model.safetensors');
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString());
  for (const [name, tensor] of Object.entries(header)) {
    if (name === '__metadata__') {
      continue;
    }
    const [from, to] = tensor.data_offsets.map((offset) => start + offset);
    const width = { F32: 4, F16: 2, BF16: 2 }[tensor.dtype];
    assert.ok(width, `a tensor of ${tensor.dtype}`);
    // A high bit of the mantissa of every third weight.
    for (let at = from; at < to; at += 3 * width) {
      bytes[at + (tensor.dtype === 'F16' ? 1 : width - 2)] ^= tensor.dtype === 'F16' ? 0x01 : 0x20;
    }
  }
  writeFileSync(file, bytes);
  return copy;
}

async function start(name, cheats) {
  const environment = cheats && {
    GENESISFLOW_TEST_CHEAT: cheats.join(','),
    GENESISFLOW_TEST_OTHER_MODEL: otherModel,
  };
  const worker = startWorker(
    node.url,
    name,
    data.get(name),
    ['run', '--model', modelFolder, '--no-appeal'],
    { program: cheats && PROGRAM, environment },
  );
  running.set(name, worker);
  await eventually(`worker ${name} to be ready`, 120, () => {
    assert.ok(worker.isRunning, worker.log);
    return worker.stdout.includes('ready');
  });
}

/** Posts `count` questions, some for each requester. Returns the jobs' numbers. */
async function submit(count, directedTo) {
  const posted = await Promise.all(
    REQUESTERS.map(async (name, index) => {
      const own = Math.floor(count / REQUESTERS.length) + (index < count % REQUESTERS.length ? 1 : 0);
      const calls = Array.from({ length: own }, (_, turn) => {
        questions += 1;
        const worker = directedTo === undefined ? null : address(directedTo(index + turn));
        return question(api, model, questions, MAX_FEE, worker);
      });
      if (calls.length === 0) {
        return [];
      }
      const { events } = await send(name, api.tx.utility.batchAll(calls));
      const submitted = events.filter((event) => api.events.inference.JobSubmitted.is(event));
      return submitted.map(({ data: fields }) => fields.job.toNumber());
    }),
  );
  return posted.flat();
}

/** Everything that happens, from the first block on. */
function chronicle() {
  const jobs = new Map();
  const slashes = [];
  const problems = [];
  let read = 0;
  const { inference } = api.events;
  const watch = everyFinalizedBlock(api, 1, async (number, at) => {
    for (const { event } of await at.query.system.events()) {
      if (inference.ResultDelivered.is(event)) {
        const { job, worker, fee } = event.data;
        const id = job.toNumber();
        if (jobs.has(id)) {
          problems.push(`job ${id} was delivered twice`);
        }
        const result = (await at.call.inferenceApi.result(job)).unwrap();
        const input = (await at.call.inferenceApi.jobInput(job)).unwrap();
        jobs.set(id, {
          worker: worker.toString(),
          fee: fee.toBigInt(),
          question: textOf(input.bytes),
          answer: textOf(result.output),
        });
      } else if (inference.Slashed.is(event)) {
        const { job, who, amount } = event.data;
        slashes.push({ job: job.toNumber(), who: who.toString(), amount: amount.toBigInt() });
      } else if (inference.JobLate.is(event)) {
        problems.push(`block ${number}: ${event.data.worker} was late with job ${event.data.job}`);
      }
    }
    read = number;
    return false;
  });
  /** Waits until it has everything up to a block: it may be behind what is asked elsewhere. */
  const upTo = (number) => eventually(`block ${number} to be in the chronicle`, 120, () => read >= number);
  return { jobs, slashes, problems, upTo, stop: watch.stop };
}

/** Waits until all `jobs` are in one of `states`. */
const reach = (jobs, states, seconds) =>
  eventually(`${jobs.length} jobs to be ${states.join(' or ')}`, seconds, async () => {
    const { at } = await finalized(api);
    const views = await Promise.all(jobs.map((job) => at.call.inferenceApi.job(job)));
    return views.every((view) => states.includes(view.unwrap().status.type));
  });

before(async () => {
  if (!PROGRAM) {
    return;
  }
  modelFolder = cheaplyAudited();
  otherModel = withOtherWeights(modelFolder);
  node = await startNode('development node', ['--dev', '--tmp']);
  api = await connect(node.url);
  keyring = new Keyring({ type: 'sr25519' });
  for (const worker of [CHEAT, ...HONEST]) {
    data.set(worker, temporaryFolder());
  }
  await setParameters(api, pair('//Alice'), {
    probationJobs: 0,
    leastAuditChance: 1_000_000,
    // Some seats are drawn for the cheat at the same time, and all are to count.
    finedAudits: 64,
    // Each rejection costs the exposure of its job, not all that is left.
    repeatWindow: 1,
    openWindow: 300,
    retention: 5_000,
    // Time to replay and to dispute some results at once, on a busy machine.
    reviewWindow: 40,
    // Long enough for a busy machine; a silent seat makes the others wait for it.
    commitWindow: 30,
    revealWindow: 20,
    appealWindow: 4,
    slashDelay: 4,
  });
  await command(CHEAT, 'model', 'register', modelFolder);
  await Promise.all(
    [CHEAT, ...HONEST].map(async (worker) => {
      await command(worker, 'register', '--stake', STAKE);
      const prices = ['--price-input', '0.000002', '--price-output', '0.000003', '--capacity', '12'];
      await command(worker, 'offer', '--model', modelFolder, ...prices);
    }),
  );
  model = (await command(CHEAT, 'model', 'id', modelFolder)).trim();
  await Promise.all(HONEST.map((worker) => start(worker)));
  await start(CHEAT, WRONG_BALLOTS);
  await eventually('all workers to be in the audit pool', 120, async () => {
    const pool = await api.call.inferenceApi.auditPool(model);
    return pool.length === HONEST.length + 1;
  });
});
after(async () => {
  await api?.disconnect();
  await stopAll();
});

/** Whether anyone sees by a replay that the result is wrong; needs neither key nor stake. */
async function isWrong(job) {
  const replay = new Program('replay', process.env.GENESISFLOW_WORKER ?? PROGRAM, [
    ...['--url', node.url, '--data-dir', data.get(HONEST[0])],
    ...['replay', String(job), '--model', modelFolder],
  ]);
  const code = await replay.exited;
  assert.ok(code === 0 || code === 11, `${code}: ${replay.log}`);
  return code === 11;
}

/** Disputes every result of the cheat that the draw has missed, as its requester, until stopped. */
function disputeWrongResults(story) {
  let stopped = false;
  const disputed = [];
  const seen = new Set();
  const dispute = async (job, requester) => {
    assert.ok(await isWrong(job), `job ${job} of the cheat is wrong`);
    const name = REQUESTERS.find((one) => address(one) === requester);
    await send(name, api.tx.inference.disputeResult(job));
    disputed.push(job);
  };
  const work = (async () => {
    const under = [];
    while (!stopped) {
      const { at } = await finalized(api);
      const candidates = [...story.jobs].filter(([job, { worker }]) => worker === address(CHEAT) && !seen.has(job));
      for (const [job] of candidates) {
        const view = (await at.call.inferenceApi.job(job)).unwrap();
        if (view.status.isReview) {
          seen.add(job);
          under.push(dispute(job, view.requester.toString()));
        }
      }
      await sleep(1_000);
    }
    await Promise.all(under);
  })();
  // Who waits for `stop` hears of a failure; until then it is nobody's.
  work.catch(() => undefined);
  return {
    disputed,
    stop: () => {
      stopped = true;
      return work;
    },
  };
}

test(
  'every cheat is caught and pays for it, and nobody else does',
  { skip: PROGRAM ? false : 'GENESISFLOW_CHEAT names no worker with the feature `cheats`' },
  () =>
    withLogs(
      () => [node, ...running.values()],
      async () => {
        const initial = await ledger((await finalized(api)).at);
        const story = chronicle();

        // As an auditor.
        const misjudged = await submit(TO_BE_MISJUDGED, (turn) => HONEST[turn % HONEST.length]);
        await reach(misjudged, ['Decided', 'Slashing', 'Settled'], 240);
        assert.equal(await running.get(CHEAT).stop(), 0, running.get(CHEAT).log);

        // As a worker. Silence has taken it off the market: it comes back.
        await reach(misjudged, ['Settled'], 120);
        await command(CHEAT, 'register', '--stake', '900');
        await start(CHEAT, WRONG_RESULTS);
        await setParameters(api, pair('//Alice'), { leastAuditChance: 300_000 });
        const disputes = disputeWrongResults(story);
        const faked = await submit(TO_BE_FAKED, () => CHEAT);
        const byChance = BY_CHANCE > 0 ? await submit(BY_CHANCE) : [];

        const all = [...misjudged, ...faked, ...byChance];
        await reach(all, ['Settled', 'Rejected'], 240 + 4 * JOBS);
        await disputes.stop();
        const { at, number } = await finalized(api);
        await story.upTo(number);
        story.stop();
        assert.equal(story.jobs.size, all.length);
        assert.deepEqual(story.problems, []);

        const views = new Map();
        for (const job of all) {
          views.set(job, (await at.call.inferenceApi.job(job)).unwrap());
        }
        const cheated = all.filter((job) => story.jobs.get(job).worker === address(CHEAT));
        assert.ok(faked.every((job) => cheated.includes(job)), 'what was directed to the cheat it ran');
        const kinds = new Set(cheated.map((job) => job % WRONG_RESULTS.length));
        assert.equal(kinds.size, WRONG_RESULTS.length, 'every kind of wrong result was delivered');

        // Results.
        for (const [job, view] of views) {
          const expected = cheated.includes(job) ? 'Rejected' : 'Settled';
          assert.equal(view.status.type, expected, `job ${job} of ${story.jobs.get(job).worker}`);
          assert.equal(view.escrow.toBigInt(), 0n, `job ${job}: escrow is released`);
        }

        // Stake.
        const lost = (name) => story.slashes.filter(({ who }) => who === address(name));
        const sum = (slashes) => slashes.reduce((total, { amount }) => total + amount, 0n);
        for (const name of HONEST) {
          assert.deepEqual(lost(name), [], `${name} was honest`);
        }
        const bySlash = new Map(lost(CHEAT).map(({ job, amount }) => [job, amount]));
        for (const job of cheated) {
          const { worstCaseFee, terms } = views.get(job);
          const exposure = worstCaseFee.unwrap().toBigInt() * terms.exposureFactor.toBigInt();
          assert.equal(bySlash.get(job), exposure, `the slash for job ${job}`);
        }
        const finedFor = (cheat) =>
          misjudged.filter((job) => WRONG_BALLOTS[job % WRONG_BALLOTS.length] === cheat && bySlash.has(job));
        assert.ok(finedFor('vote-wrong').length > 0, 'wrong ballots are fined');
        assert.ok(finedFor('stay-silent').length > 0, 'silence is fined');
        for (const name of [CHEAT, ...HONEST]) {
          const worker = await workerOf(at, name);
          assert.equal(worker.exposure.toBigInt(), 0n, `${name}: no stake is reserved any more`);
          assert.equal(worker.openAudits.toNumber(), 0, `${name}: no audit is open`);
          const bonded = worker.stake.toBigInt() + sum(lost(name));
          assert.equal(bonded, parseGen(STAKE), `${name}: stake and slashes`);
        }
        const cheat = await workerOf(at, CHEAT);
        assert.equal(cheat.rejected.toNumber(), cheated.length);
        assert.equal(cheat.settled.toNumber(), 0, 'it was paid for nothing');

        // Requesters: nothing is held but the deposits for records that are kept.
        for (const name of REQUESTERS) {
          const own = [...views.values()].filter((view) => view.requester.toString() === address(name));
          const deposits = own.reduce((total, view) => total + view.deposit.toBigInt(), 0n);
          assert.equal((await balanceOf(at, address(name))).held, deposits, `held of ${name}`);
        }
        const now = await ledger(at);
        assert.equal(now.issued, initial.issued, 'nothing was made or burnt');
        assert.equal(now.total, now.issued, 'what accounts have is what there is');

        console.log(
          `${all.length} jobs in ${number} blocks: ${cheated.length} wrong results, ` +
            `${disputes.disputed.length} of them disputed, all rejected; ` +
            `${finedFor('vote-wrong').length} wrong and ${finedFor('stay-silent').length} silent audits fined; ` +
            `the cheat lost ${formatGen(sum(lost(CHEAT)))}`,
        );
      },
    ),
);
