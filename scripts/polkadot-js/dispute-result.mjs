// Disputes a result: puts up a bond, has auditors replay the job, and follows
// the audit to its end.
//
//   node dispute-result.mjs 7 --key //Alice

import { parseArgs } from 'node:util';
import {
  connect,
  CONNECTION_OPTIONS,
  eventOf,
  everyFinalizedBlock,
  Explained,
  finalized,
  formatGen,
  KEY_OPTIONS,
  keyFrom,
  run,
  signAndFinalize,
} from './connect.mjs';

const USAGE = `Usage: node dispute-result.mjs NUMBER [options]

  --key //NAME       development key that puts up the bond; else --key-file FILE or GENESISFLOW_KEY
  --timeout SECONDS  how long to follow the audit [default: 1800]
  --url URL          node to use [default: ${CONNECTION_OPTIONS.url.default}]

Replay the job before you dispute it: genesisflow-worker replay NUMBER --model DIR needs no
stake and no key. Found wrong, the result costs its worker stake and you get your bond back,
and more; found right, the bond is lost. Exit codes: 0 rejected, 1 refused or an error,
3 not decided in time, 4 the result stands.`;

/** Blocks until the chain has drawn: until then nothing can be disputed. */
async function waitForReview(api, job, seconds) {
  let view;
  const { number } = await finalized(api);
  const watch = everyFinalizedBlock(api, number, async (_, at) => {
    const seen = await at.call.inferenceApi.job(job);
    if (seen.isNone) {
      throw new Explained(`there is no job ${job}: it was never submitted, or its record was dropped`);
    }
    view = seen.unwrap();
    return !view.status.isDelivered;
  });
  const timer = setTimeout(watch.stop, seconds * 1_000);
  try {
    await watch.done;
  } finally {
    clearTimeout(timer);
  }
  return view;
}

/** Prints every step of a job's audit; ends when nothing can change the outcome. */
async function follow(api, job, from, seconds, account) {
  const { inference } = api.events;
  const say = (number, text) => console.log(`block ${String(number).padEnd(6)} ${text}`);
  const steps = [
    [inference.SeatsDrawn, ({ round, auditors, commitUntil }) =>
      `round ${round}: ${auditors.length} account(s) drawn, to commit by block ${commitUntil}`],
    [inference.BallotCommitted, ({ auditor }) => `${auditor} has committed`],
    [inference.RevealBegun, ({ until }) => `ballots are revealed until block ${until}`],
    [inference.BallotRevealed, ({ auditor, valid }) => `${auditor}: ${valid.isTrue ? 'right' : 'WRONG'}`],
    [inference.RoundEnded, ({ round, valid }) =>
      `round ${round} ${valid.isSome ? `finds it ${valid.unwrap().isTrue ? 'right' : 'WRONG'}` : 'has no verdict'}`],
    [inference.AuditDecided, ({ until }) => `decided; an appeal is possible until block ${until}`],
    [inference.VerdictAppealed, ({ appellant }) => `${appellant} appeals: a full round looks again`],
    [inference.JobRejected, ({ refund }) => `REJECTED for good; the requester has ${formatGen(refund)} back`],
    [inference.JobSettled, ({ paid }) => `stands; the worker is paid ${formatGen(paid)}`],
    [inference.SlashScheduled, ({ who, amount, after }) =>
      `${who} is to lose ${formatGen(amount)} of stake after block ${after}`],
  ];
  let outcome;
  const watch = everyFinalizedBlock(api, from, async (number, at) => {
    for (const { event } of await at.query.system.events()) {
      if (event.section !== 'inference') {
        continue;
      }
      const isBond = inference.BondReturned.is(event) || inference.BondLost.is(event);
      if (isBond && event.data.who.eq(account)) {
        say(number, `your bond ${inference.BondLost.is(event) ? 'is lost' : 'came back'}`);
      }
      const step = steps.find(([kind]) => kind.is(event));
      if (step && event.data.job.eq(job)) {
        say(number, step[1](event.data));
        if (inference.JobRejected.is(event)) {
          outcome = 'rejected';
        } else if (inference.JobSettled.is(event)) {
          outcome = 'stands';
        }
      }
    }
    return outcome !== undefined;
  });
  const timer = setTimeout(watch.stop, seconds * 1_000);
  try {
    await watch.done;
  } finally {
    clearTimeout(timer);
  }
  return outcome;
}

await run(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...CONNECTION_OPTIONS,
      ...KEY_OPTIONS,
      timeout: { type: 'string', default: '1800' },
    },
  });
  const seconds = Number(values.timeout);
  if (values.help || positionals.length !== 1 || !/^\d+$/.test(positionals[0]) || !(seconds > 0)) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const [job] = positionals;
  const api = await connect(values.url);
  try {
    const signer = await keyFrom(values, api);
    const view = await waitForReview(api, job, seconds);
    if (view.status.isAudit || view.status.isDecided) {
      console.log(`job ${job} is under audit already: a dispute is not needed`);
      const outcome = await follow(api, job, (await finalized(api)).number, seconds, signer.address);
      return outcome === undefined ? 3 : outcome === 'rejected' ? 0 : 4;
    }
    const { blockNumber, events, fee } = await signAndFinalize(
      api,
      api.tx.inference.disputeResult(job),
      signer,
    );
    const { bond } = eventOf(events, api.events.inference.ResultDisputed);
    console.log(`job ${job} is disputed, with a bond of ${formatGen(bond)}; the call cost ${formatGen(fee)}`);
    const outcome = await follow(api, job, blockNumber, seconds, signer.address);
    if (outcome === undefined) {
      console.error(`the audit of job ${job} goes on: node audits.mjs --job ${job} --url ${values.url}`);
      return 3;
    }
    return outcome === 'rejected' ? 0 : 4;
  } finally {
    await api.disconnect();
  }
});
