// Shows what happens on the market, one line an event, until Ctrl-C.
//
//   node watch-market.mjs

import { parseArgs } from 'node:util';
import {
  connect,
  CONNECTION_OPTIONS,
  everyFinalizedBlock,
  finalized,
  formatGen,
  run,
  textOf,
} from './connect.mjs';

const USAGE = `Usage: node watch-market.mjs [options]

  --from BLOCK  first block to show [default: the next one that is finalised]
  --url URL     node to use [default: ${CONNECTION_OPTIONS.url.default}]`;

const PAGE = 256;
/** Fields of events that are amounts in base units; their type does not say so. */
const AMOUNTS = ['Balance', 'BalanceOf<T>', 'T::Balance'];

/** One field of an event as a person reads it. */
function readable(value, typeName) {
  if (AMOUNTS.includes(typeName)) {
    return formatGen(value.toBigInt());
  }
  if (value.isNone) {
    return 'none';
  }
  const human = value.toHuman();
  return typeof human === 'object' ? Object.entries(human).flat().join(' ') : String(human);
}

/** `JobClaimed  job 3, worker 5FHn…, price_input 0.000001 GEN, …` */
function describe(event) {
  const fields = event.meta.fields.map(
    ({ name, typeName }, index) =>
      `${name.unwrap()} ${readable(event.data[index], typeName.unwrapOr('').toString())}`,
  );
  return `${event.method.padEnd(16)} ${fields.join(', ')}`;
}

/** Every open job on every model, page by page. */
async function showOpenJobs({ number, at }) {
  console.log(`open jobs at block ${number}`);
  const models = (await at.query.inference.models.keys()).map(({ args: [id] }) => id);
  let count = 0;
  for (const model of models) {
    const { name } = (await at.call.inferenceApi.model(model)).unwrap();
    for (let after = null, page = []; after === null || page.length === PAGE; after = page.at(-1)?.id ?? 0) {
      page = await at.call.inferenceApi.openJobs(model, after, PAGE);
      for (const { id, requester, inputLen, maxOutputUnits, maxFee, claimBy } of page) {
        console.log(
          `  job ${id} on ${textOf(name)}, by ${requester}: ${inputLen} bytes in, at most ` +
            `${maxOutputUnits} units out, at most ${formatGen(maxFee)}, until block ${claimBy}`,
        );
      }
      count += page.length;
    }
  }
  console.log(`  ${count} in all; models: ${models.length}\n`);
}

await run(async () => {
  const { values } = parseArgs({ options: { ...CONNECTION_OPTIONS, from: { type: 'string' } } });
  if (values.help || (values.from !== undefined && !/^\d+$/.test(values.from))) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const api = await connect(values.url);
  const head = await finalized(api);
  await showOpenJobs(head);

  const from = values.from === undefined ? head.number + 1 : Number(values.from);
  const watch = everyFinalizedBlock(api, from, async (number, at) => {
    const events = await at.query.system.events();
    for (const { event } of events) {
      if (event.section === 'inference') {
        console.log(`${String(number).padStart(7)}  ${describe(event)}`);
      }
    }
    return false;
  });
  process.once('SIGINT', watch.stop);
  await watch.done;
  await api.disconnect();
  return 0;
});
