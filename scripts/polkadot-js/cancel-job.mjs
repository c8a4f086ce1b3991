// Withdraws a job that nobody has claimed. The escrow comes back at once.
//
//   node cancel-job.mjs 7 --key //Alice

import { parseArgs } from 'node:util';
import {
  connect,
  CONNECTION_OPTIONS,
  eventOf,
  formatGen,
  KEY_OPTIONS,
  keyFrom,
  run,
  signAndFinalize,
} from './connect.mjs';

const USAGE = `Usage: node cancel-job.mjs NUMBER [options]

  --key //NAME  development key that posted the job; else --key-file FILE or GENESISFLOW_KEY
  --url URL     node to use [default: ${CONNECTION_OPTIONS.url.default}]`;

await run(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ...CONNECTION_OPTIONS, ...KEY_OPTIONS },
  });
  if (values.help || positionals.length !== 1 || !/^\d+$/.test(positionals[0])) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const api = await connect(values.url);
  try {
    const signer = await keyFrom(values, api);
    const transaction = api.tx.inference.cancelJob(positionals[0]);
    const { events, fee } = await signAndFinalize(api, transaction, signer);
    const { job, refund } = eventOf(events, api.events.inference.JobCancelled);
    console.log(`job ${job} is withdrawn; ${formatGen(refund)} of escrow came back`);
    console.log(`the transaction cost ${formatGen(fee)}`);
    return 0;
  } finally {
    await api.disconnect();
  }
});
