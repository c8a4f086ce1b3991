// What the tests with several workers have in common: the model on terms that
// suit them, parameters, submissions.

import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventOf, signAndFinalize } from '../connect.mjs';
import { temporaryFolder } from './processes.mjs';

const MODELS = fileURLToPath(new URL('../../../worker/models', import.meta.url));
const NO_CAP = 2n ** 128n - 1n;

/** A copy of the shipped model on terms that let a premium pay for an audit of every job. */
export function cheaplyAudited() {
  const [name] = readdirSync(MODELS).filter((entry) => existsSync(join(MODELS, entry, 'config.json')));
  assert.ok(name, `there is a model in ${MODELS}`);
  const copy = join(temporaryFolder(), 'model');
  cpSync(join(MODELS, name), copy, { recursive: true });
  const file = join(copy, 'manifest.toml');
  const text = readFileSync(file, 'utf8');
  assert.match(text, /^seat-pay = \d+$/m);
  writeFileSync(file, text.replace(/^seat-pay = \d+$/m, 'seat-pay = 10'));
  return copy;
}

/** Changes the parameters, as root, for jobs submitted from now on. */
export async function setParameters(api, root, changes) {
  const { parameters } = await api.call.inferenceApi.parameters();
  const call = api.tx.inference.setParameters({ ...parameters.toJSON(), ...changes });
  const { events } = await signAndFinalize(api, api.tx.sudo.sudo(call), root);
  const { sudoResult } = eventOf(events, api.events.sudo.Sudid);
  assert.ok(sudoResult.isOk, sudoResult.toString());
}

/** A question for the shipped model, for one worker or for anybody, that can be audited. */
export function question(api, model, number, maxFee, worker = null) {
  return api.tx.inference.submitJobWith(
    model,
    `Comment écrit-on ${(number % 699) + 300} en lettres ?`,
    24,
    maxFee,
    { format: 'Text', temperatureMilli: 0, topK: 1, topPMilli: 1_000 },
    {
      maxPriceInput: NO_CAP,
      maxPriceOutput: NO_CAP,
      claimBy: null,
      deliverWithin: 150,
      worker,
      minAuditors: 2,
    },
  );
}

/** What all accounts have together, and what has been issued, in base units. */
export async function ledger(at) {
  const entries = await at.query.system.account.entries();
  const total = entries.reduce(
    (sum, [, account]) => sum + account.data.free.toBigInt() + account.data.reserved.toBigInt(),
    0n,
  );
  return { total, issued: (await at.query.balances.totalIssuance()).toBigInt() };
}
