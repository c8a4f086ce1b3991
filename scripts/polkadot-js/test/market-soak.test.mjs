// A worker and its node under load for a long time: memory and open files stay
// flat, and no job is late.
//
// GENESISFLOW_TEST_SOAK_SECONDS says for how long (7200 for two hours); without
// it the test is skipped.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
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
import { cheaplyAudited } from './stage.mjs';

const SECONDS = Number(process.env.GENESISFLOW_TEST_SOAK_SECONDS ?? 0);
const SAMPLE_MS = 5_000;
const AT_ONCE = 4;
const MIB = 2 ** 20;
/** What memory may grow by after the warm-up: noise of the allocator. */
const SLACK_BYTES = 16 * MIB;
const SLACK_FILES = 8;

after(stopAll);

/** Memory and open files of a process. */
function usage(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const resident = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1_024;
  return { resident, files: readdirSync(`/proc/${pid}/fd`).length };
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Slope of a line through the points, by least squares: units a second. */
function slope(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [at, value] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const above = points.reduce((sum, [x, y]) => sum + (x - at) * (y - value), 0);
  return above / points.reduce((sum, [x]) => sum + (x - at) ** 2, 0);
}

test('under load for long, memory and open files stay flat and no job is late', { skip: SECONDS === 0, timeout: 1_000 * (2 * SECONDS + 600) }, async () => {
  const node = await startNode('development node', ['--dev', '--tmp']);
  const api = await connect(node.url);
  const keyring = new Keyring({ type: 'sr25519' });
  const [requester, bob] = [keyring.addFromUri('//Alice'), keyring.addFromUri('//Bob')];
  const data = temporaryFolder();
  const folder = cheaplyAudited();
  const command = (...args) => runWorker(node.url, '//Bob', data, args);
  await command('register', '--stake', '100000');
  await command('model', 'register', folder);
  const prices = ['--price-input', '0.000002', '--price-output', '0.000003'];
  await command('offer', '--model', folder, ...prices, '--capacity', String(AT_ONCE));
  const model = (await command('model', 'id', folder)).trim();
  const worker = startWorker(node.url, '//Bob', data, ['run', '--model', folder]);
  await withLogs(
    () => [node, worker],
    async () => {
      await eventually('the worker to be ready', 120, () => worker.stdout.includes('ready'));

      const samples = [];
      const start = Date.now();
      let posted = 0;
      const posting = (async () => {
        while (Date.now() - start < 1_000 * SECONDS) {
          // As many as are missing for two loads to be open.
          const open = await api.call.inferenceApi.openJobs(model, null, 64);
          const wanted = 2 * AT_ONCE - open.length;
          if (wanted > 0) {
            const calls = Array.from({ length: wanted }, (_, turn) =>
              api.tx.inference.submitJob(model, `Comment écrit-on ${((posted + turn) % 699) + 300} en lettres ?`, 24, parseGen('0.01')),
            );
            await signAndFinalize(api, api.tx.utility.batchAll(calls), requester);
            posted += wanted;
          }
          await sleep(500);
        }
      })();
      const sampling = (async () => {
        while (Date.now() - start < 1_000 * SECONDS) {
          await sleep(SAMPLE_MS);
          samples.push({ at: (Date.now() - start) / 1_000, worker: usage(worker.pid), node: usage(node.pid) });
        }
      })();
      await Promise.all([posting, sampling]);

      // The first third fills caches.
      const steady = samples.slice(Math.floor(samples.length / 3));
      for (const who of ['worker', 'node']) {
        const of = (key) => steady.map((sample) => [sample.at, sample[who][key]]);
        const perHour = (key) => slope(of(key)) * 3_600;
        console.log(
          `${who}: ${(median(of('resident').map(([, value]) => value)) / MIB).toFixed(1)} MiB, ` +
            `${(perHour('resident') / MIB).toFixed(2)} MiB an hour; ` +
            `${median(of('files').map(([, value]) => value))} files, ${perHour('files').toFixed(2)} an hour`,
        );
      }
      const { at } = await finalized(api);
      const record = (await at.call.inferenceApi.worker(bob.address)).unwrap();
      console.log(`${posted} jobs posted, ${record.settled} paid in ${SECONDS} s`);
      assert.equal(record.late.toNumber(), 0);
      assert.equal(record.rejected.toNumber(), 0);
      assert.ok(record.settled.toNumber() > 0, 'jobs were paid');
      const half = Math.floor(steady.length / 2);
      const growth = (key) =>
        median(steady.slice(half).map((sample) => sample.worker[key])) -
        median(steady.slice(0, half).map((sample) => sample.worker[key]));
      assert.ok(growth('resident') < SLACK_BYTES, `memory grew by ${growth('resident') / MIB} MiB`);
      assert.ok(growth('files') < SLACK_FILES, `open files grew by ${growth('files')}`);
    },
  );
  await api.disconnect();
});
