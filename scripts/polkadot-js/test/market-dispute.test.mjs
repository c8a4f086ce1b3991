// A wrong result that the draw of auditors misses: a worker that looks at
// others' results unasked finds it, disputes it because that pays, and is
// rewarded out of the cheat's stake.
//
// Needs a worker with the Cargo feature `cheats`, named by GENESISFLOW_CHEAT
// (scripts/test.sh builds one).

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Keyring } from '@polkadot/api';
import { connect, eventOf, finalized, parseGen, signAndFinalize } from '../connect.mjs';
import {
  eventually,
  runWorker,
  startNode,
  startWorker,
  stopAll,
  temporaryFolder,
  withLogs,
} from './processes.mjs';
import { cheaplyAudited, question, setParameters } from './stage.mjs';

const PROGRAM = process.env.GENESISFLOW_CHEAT;
const CHEAT = '//Bob';
const CURIOUS = '//Charlie';
const WORKERS = [CHEAT, CURIOUS, '//Dave', '//Eve'];
const STAKE = '1000';

after(stopAll);

test(
  'a wrong result that nobody was drawn to check is found and disputed by a worker',
  { skip: PROGRAM ? false : 'GENESISFLOW_CHEAT names no worker with the feature `cheats`' },
  async () => {
    const node = await startNode('development node', ['--dev', '--tmp']);
    const api = await connect(node.url);
    const keyring = new Keyring({ type: 'sr25519' });
    const address = (name) => keyring.addFromUri(name).address;
    // So small a chance that only what is disputed is audited.
    await setParameters(api, keyring.addFromUri('//Alice'), {
      probationJobs: 0,
      leastAuditChance: 1,
      auditChanceFactorMilli: 1_001,
      exposureFactor: 500,
      // Time to replay and to dispute on a busy machine.
      reviewWindow: 40,
      commitWindow: 30,
      revealWindow: 20,
      appealWindow: 4,
      slashDelay: 4,
    });
    const folder = cheaplyAudited();
    const data = new Map(WORKERS.map((name) => [name, temporaryFolder()]));
    writeFileSync(join(data.get(CURIOUS), 'worker.toml'), 'dispute-sample-rate = 1.0\n');
    const command = (name, ...args) => runWorker(node.url, name, data.get(name), args);
    await command(CHEAT, 'model', 'register', folder);
    await Promise.all(
      WORKERS.map(async (name) => {
        await command(name, 'register', '--stake', STAKE);
        const prices = ['--price-input', '0.0001', '--price-output', '0.02'];
        await command(name, 'offer', '--model', folder, ...prices);
      }),
    );
    const model = (await command(CHEAT, 'model', 'id', folder)).trim();
    const running = new Map(
      WORKERS.map((name) => {
        const cheat = { program: PROGRAM, environment: { GENESISFLOW_TEST_CHEAT: 'alter-token' } };
        const options = name === CHEAT ? cheat : {};
        return [name, startWorker(node.url, name, data.get(name), ['run', '--model', folder, '--no-appeal'], options)];
      }),
    );
    await withLogs(
      () => [node, ...running.values()],
      async () => {
        await eventually('all workers to be ready and in the audit pool', 180, async () => {
          const pool = await api.call.inferenceApi.auditPool(model);
          return pool.length === WORKERS.length && [...running.values()].every(({ stdout }) => stdout.includes('ready'));
        });
        // The curious one has seen the chain before the job is there.
        const { number } = await finalized(api);
        await eventually('two more blocks', 60, async () => (await finalized(api)).number > number + 2);

        const asked = question(api, model, 342, parseGen('2'), address(CHEAT));
        const { events } = await signAndFinalize(api, asked, keyring.addFromUri('//Ferdie'));
        const { job } = eventOf(events, api.events.inference.JobSubmitted);
        const view = async () => (await (await finalized(api)).at.call.inferenceApi.job(job)).unwrap();
        await eventually('the result to be rejected', 300, async () => (await view()).status.isRejected);

        const { at } = await finalized(api);
        const audit = (await at.call.inferenceApi.audit(job)).unwrap();
        assert.equal(audit.dispute.unwrap().who.toString(), address(CURIOUS));
        const { worstCaseFee, terms } = await view();
        const exposure = worstCaseFee.unwrap().toBigInt() * terms.exposureFactor.toBigInt();
        for (const name of WORKERS) {
          const worker = (await at.call.inferenceApi.worker(address(name))).unwrap();
          const lost = name === CHEAT ? exposure : 0n;
          assert.equal(worker.stake.toBigInt(), parseGen(STAKE) - lost, `the stake of ${name}`);
        }
        assert.match(running.get(CURIOUS).log, /looked at unasked, is wrong/);
      },
    );
    await api.disconnect();
  },
);
