// Everything is killed at random, again and again, while jobs are under way:
// workers and the node, with SIGKILL, each started again soon. Every job is
// delivered once and paid once, or refunded; no stake is lost; the money adds
// up.
//
// GENESISFLOW_TEST_CHAOS_JOBS says how many jobs, GENESISFLOW_TEST_SEED makes a
// run's kills come in the same order again.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { connect, finalized, parseGen, signAndFinalize } from '../connect.mjs';
import {
  eventually,
  runWorker,
  sleep,
  startNode,
  startWorker,
  stopAll,
  temporaryFolder,
  withLogs,
} from './processes.mjs';
import { cheaplyAudited, ledger, question, setParameters } from './stage.mjs';

const WORKERS = ['//Bob', '//Charlie', '//Dave'];
const REQUESTERS = ['//Eve', '//Ferdie'];
const STAKE = '1000';
const JOBS = Number(process.env.GENESISFLOW_TEST_CHAOS_JOBS ?? 16);
const SEED = Number(process.env.GENESISFLOW_TEST_SEED ?? Date.now() % 1_000_000);
const MAX_FEE = parseGen('0.01');
/** Between two kills; and how long the victim stays dead. */
const BETWEEN_MS = [3_000, 8_000];
const DEAD_MS = [500, 4_000];

/** Numbers from 0 to 1 that follow from a seed alone (mulberry32). */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

let api;
let keyring;
let model;
let modelFolder;
let node;
/** What is started again whenever it ends. */
const kept = [];
const data = new Map();
const present = new Map();
const pair = (name) => keyring.addFromUri(name);

/** Keeps a program running, as a service manager does: whenever it ends it is started again. */
function keep(name, begin) {
  let going = true;
  let deadFor = 1_000;
  let kills = 0;
  const done = (async () => {
    while (going) {
      const program = await begin();
      present.set(name, program);
      if (!going) {
        await program.stop();
      }
      await program.exited;
      await sleep(deadFor);
    }
  })();
  return {
    kill: async (ms) => {
      const program = present.get(name);
      if (program?.isRunning) {
        deadFor = ms;
        kills += 1;
        await program.kill();
      }
    },
    stop: async () => {
      going = false;
      await present.get(name)?.stop();
      await done;
    },
    get kills() {
      return kills;
    },
  };
}

before(async () => {
  const chain = ['--dev', '--base-path', join(temporaryFolder(), 'chain'), '--state-pruning', 'archive'];
  const first = await startNode('development node', chain);
  node = { url: first.url, ports: { rpcPort: first.rpcPort, port: first.port }, chain };
  present.set('node', first);
  api = await connect(node.url);
  keyring = new Keyring({ type: 'sr25519' });
  modelFolder = cheaplyAudited();
  await setParameters(api, pair('//Alice'), {
    probationJobs: 0,
    leastAuditChance: 250_000,
    openWindow: 300,
    retention: 5_000,
    // Longer than any of the crashes.
    commitWindow: 60,
    revealWindow: 60,
    unbondingPeriod: 20_000,
    finedAudits: 64,
  });
  for (const name of WORKERS) {
    data.set(name, temporaryFolder());
  }
  const command = (name, ...args) => runWorker(node.url, name, data.get(name), args);
  await command(WORKERS[0], 'model', 'register', modelFolder);
  await Promise.all(
    WORKERS.map(async (name) => {
      await command(name, 'register', '--stake', STAKE);
      const prices = ['--price-input', '0.000002', '--price-output', '0.000003', '--capacity', '4'];
      await command(name, 'offer', '--model', modelFolder, ...prices);
    }),
  );
  model = (await command(WORKERS[0], 'model', 'id', modelFolder)).trim();
  await eventually('all workers to be in the audit pool', 120, async () => {
    const pool = await api.call.inferenceApi.auditPool(model);
    return pool.length === WORKERS.length;
  });
});
after(async () => {
  await Promise.all(kept.map((one) => one.stop()));
  await api?.disconnect();
  await stopAll();
});

/** All that happened from block 1 to `end`, read from the archive. */
async function chronicle(end) {
  const seen = { delivered: [], settled: [], refunded: [], lost: [] };
  const { inference } = api.events;
  for (let number = 1; number <= end; number += 1) {
    const at = await api.at(await api.rpc.chain.getBlockHash(number));
    for (const { event } of await at.query.system.events()) {
      const job = () => event.data.job.toNumber();
      if (inference.ResultDelivered.is(event)) {
        seen.delivered.push(job());
      } else if (inference.JobSettled.is(event)) {
        seen.settled.push(job());
      } else if (inference.JobExpired.is(event)) {
        seen.refunded.push(job());
      } else if (inference.Slashed.is(event) || inference.JobLate.is(event) || inference.JobRejected.is(event)) {
        seen.lost.push(`block ${number}: ${event.method} ${event.data}`);
      }
    }
  }
  return seen;
}

test('whatever is killed, every job is delivered once and paid once, and no stake is lost', () =>
  withLogs(
    () => [...present.values()],
    async () => {
      const start = await ledger((await finalized(api)).at);
      const posted = await Promise.all(
        REQUESTERS.map(async (name, index) => {
          const own = Math.floor(JOBS / REQUESTERS.length) + (index < JOBS % REQUESTERS.length ? 1 : 0);
          const calls = Array.from({ length: own }, (_, turn) =>
            question(api, model, 100 * index + turn, MAX_FEE),
          );
          const { events } = await signAndFinalize(api, api.tx.utility.batchAll(calls), pair(name));
          const submitted = events.filter((event) => api.events.inference.JobSubmitted.is(event));
          return submitted.map(({ data: fields }) => fields.job.toNumber());
        }),
      );
      const jobs = posted.flat();

      for (const name of WORKERS) {
        const command = ['run', '--model', modelFolder];
        kept.push(keep(name, async () => startWorker(node.url, name, data.get(name), command)));
      }
      let running = present.get('node');
      kept.push(
        keep('node', async () => {
          const program = running ?? (await startNode('development node', node.chain, node.ports));
          running = undefined;
          return program;
        }),
      );

      // Kills until every job is over.
      const random = randomFrom(SEED);
      const between = ([least, most]) => least + random() * (most - least);
      let over = false;
      const killing = (async () => {
        while (!over) {
          await sleep(between(BETWEEN_MS));
          const victim = kept[Math.floor(random() * kept.length)];
          await victim.kill(between(DEAD_MS));
        }
      })();
      try {
        await eventually(`${JOBS} jobs to be over (seed ${SEED})`, 400 + 8 * JOBS, async () => {
          try {
            const { at } = await finalized(api);
            const views = await Promise.all(jobs.map((job) => at.call.inferenceApi.job(job)));
            return views.every((view) => view.isSome && (view.unwrap().status.isSettled || view.unwrap().status.isExpired));
          } catch {
            // The node is being killed.
            return false;
          }
        });
      } finally {
        over = true;
        await killing;
      }
      const kills = kept.map((one) => one.kills);
      await eventually('the node to be back', 120, () => finalized(api).catch(() => undefined));

      const { at, number } = await finalized(api);
      const { delivered, settled, refunded, lost } = await chronicle(number);
      const sorted = (list) => [...list].sort((a, b) => a - b);
      assert.deepEqual(lost, [], `seed ${SEED}`);
      assert.deepEqual(sorted(delivered), sorted(settled), 'each delivery is paid once');
      assert.deepEqual(sorted([...settled, ...refunded]), sorted(jobs), 'each job has one end');
      assert.ok(settled.length > 0, 'something was delivered');
      for (const name of WORKERS) {
        const worker = (await at.call.inferenceApi.worker(pair(name).address)).unwrap();
        assert.equal(worker.stake.toBigInt(), parseGen(STAKE), `the stake of ${name}`);
        assert.equal(worker.exposure.toBigInt(), 0n, `the exposure of ${name}`);
      }
      const end = await ledger(at);
      assert.equal(end.issued, start.issued, 'nothing was made or burnt');
      assert.equal(end.total, end.issued, 'what accounts have is what there is');
      assert.ok(kills.reduce((sum, count) => sum + count) >= 3, `kills: ${kills}`);
      console.log(
        `${jobs.length} jobs, ${settled.length} delivered and paid, ${refunded.length} refunded; ` +
          `killed: ${WORKERS.map((name, index) => `${name} ${kills[index]}`).join(', ')}, node ${kills.at(-1)}; seed ${SEED}`,
      );
    },
  ));
