// How much time a job takes beyond its computation: from signing the claim to
// the finalised delivery, less what the engine took; and how many transactions
// of the worker a job costs.
//
//   node overhead.mjs [JOBS] [AT_ONCE]
//
// Starts a development node and a worker with the model that ships with the
// project, and ends them.

import { cpus } from 'node:os';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Keyring } from '@polkadot/api';
import { connect, finalized, parseGen, signAndFinalize } from './connect.mjs';
import { eventually, runWorker, startNode, startWorker, stopAll, temporaryFolder } from './test/processes.mjs';

const JOBS = Number(process.argv[2] ?? 40);
const AT_ONCE = Number(process.argv[3] ?? 4);
const MODELS = fileURLToPath(new URL('../../worker/models', import.meta.url));
const WORKER = '//Bob';

/** The value below which a share of the sorted values lies. */
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
const seconds = (value) => `${value.toFixed(2)} s`;

function report(name, values) {
  const sorted = [...values].sort((a, b) => a - b);
  console.log(
    `${name.padEnd(34)} p50 ${seconds(quantile(sorted, 0.5)).padStart(8)}   p99 ${seconds(quantile(sorted, 0.99)).padStart(8)}`,
  );
}

/** How often each call was signed by an account in blocks `from` to `to`. */
async function callsOf(api, address, from, to) {
  const calls = new Map();
  for (let number = from; number <= to; number += 1) {
    const { block } = await api.rpc.chain.getBlock(await api.rpc.chain.getBlockHash(number));
    for (const { isSigned, signer, method } of block.extrinsics) {
      if (isSigned && signer.toString() === address) {
        const name = `${method.section}.${method.method}`;
        calls.set(name, (calls.get(name) ?? 0) + 1);
      }
    }
  }
  return calls;
}

try {
  const node = await startNode('development node', ['--dev', '--tmp', '--state-pruning', 'archive']);
  const api = await connect(node.url);
  const keyring = new Keyring({ type: 'sr25519' });
  const [name] = readdirSync(MODELS).filter((entry) => existsSync(join(MODELS, entry, 'config.json')));
  const folder = join(MODELS, name);
  const data = temporaryFolder();
  const command = (...args) => runWorker(node.url, WORKER, data, args);
  await command('register', '--stake', '10000');
  await command('model', 'register', folder);
  const prices = ['--price-input', '0.000005', '--price-output', '0.00001'];
  await command('offer', '--model', folder, ...prices, '--capacity', String(AT_ONCE));
  const model = (await command('model', 'id', folder)).trim();

  const delivered = [];
  const worker = startWorker(node.url, WORKER, data, ['--log-json', 'run', '--model', folder]);
  worker.onLine((line) => {
    if (line.startsWith('{') && line.includes('"delivered"')) {
      const { fields } = JSON.parse(line);
      if (fields.message === 'delivered' && fields.seconds !== undefined) {
        delivered.push(fields);
      }
    }
  });
  await eventually('the worker to be ready', 120, () => worker.stdout.includes('ready'));

  const start = (await finalized(api)).number;
  const began = Date.now();
  const alice = keyring.addFromUri('//Alice');
  for (let posted = 0; posted < JOBS; posted += AT_ONCE) {
    const count = Math.min(AT_ONCE, JOBS - posted);
    const calls = Array.from({ length: count }, (_, turn) =>
      api.tx.inference.submitJob(model, `Comment écrit-on ${300 + posted + turn} en lettres ?`, 24, parseGen('0.1')),
    );
    await signAndFinalize(api, api.tx.utility.batchAll(calls), alice);
    await eventually(`${posted + count} jobs to be delivered`, 240, () => {
      if (!worker.isRunning) {
        throw new Error(worker.log);
      }
      return delivered.length >= posted + count;
    });
  }
  const took = (Date.now() - began) / 1_000;
  const end = (await finalized(api)).number;
  const calls = await callsOf(api, keyring.addFromUri(WORKER).address, start + 1, end);

  console.log(`${delivered.length} jobs, ${AT_ONCE} at a time, in ${took.toFixed(0)} s; ${cpus().length} processors (${cpus()[0].model})`);
  report('claim to finalised delivery', delivered.map((job) => job.seconds));
  report('computation', delivered.map((job) => job.computing));
  report('overhead: the one less the other', delivered.map((job) => job.seconds - job.computing));
  const all = [...calls.values()].reduce((sum, count) => sum + count, 0);
  const each = [...calls].map(([call, count]) => `${call} ${(count / delivered.length).toFixed(2)}`).sort();
  console.log(`${'transactions per job'.padEnd(34)} ${(all / delivered.length).toFixed(2)}: ${each.join(', ')}`);
  await api.disconnect();
} finally {
  await stopAll();
}
