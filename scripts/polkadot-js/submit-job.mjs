// Posts a question to the market, waits for the answer, and shows what it cost.
//
//   node submit-job.mjs "Comment écrit-on 342 en lettres ?" --key //Alice

import { parseArgs } from 'node:util';
import { stringToU8a } from '@polkadot/util';
import { wrongHashes } from './attestation.mjs';
import {
  balanceOf,
  connect,
  CONNECTION_OPTIONS,
  eventOf,
  everyFinalizedBlock,
  Explained,
  finalized,
  formatGen,
  KEY_OPTIONS,
  keyFrom,
  parseGen,
  questionOf,
  Refused,
  run,
  signAndFinalize,
  textOf,
} from './connect.mjs';

const USAGE = `Usage: node submit-job.mjs QUESTION [options]
       node submit-job.mjs --job NUMBER [options]     go on waiting for an earlier job

  --key //NAME       development key that pays; else --key-file FILE or GENESISFLOW_KEY
  --model ID         which model to ask; can be left out if there is only one
  --max-output N     longest answer in the model's units, for text tokens [default: 64]
  --max-fee GEN      most that you pay [default: what the cheapest worker may ask for this job]
  --accept           pay as soon as the chain allows it, without the time for review
  --timeout SECONDS  how long to wait for the answer [default: 300]
  --url URL          node to use [default: ${CONNECTION_OPTIONS.url.default}]

The question is public, and stays so. Exit codes: 0 answered, 1 refused or ended without
an answer, 3 no answer in time, 4 auditors found the answer wrong: you have everything back.`;

/** With all its rounds an audit may take hours on a real network; on a development chain minutes. */
const LONGEST_AUDIT_SECONDS = 6 * 3_600;
const DEFAULT_MAX_OUTPUT = 64;

/** The models that take jobs, as `[id, view]`. */
async function models(api) {
  const ids = (await api.query.inference.models.keys()).map(({ args: [id] }) => id.toHex());
  const views = await Promise.all(ids.map((id) => api.call.inferenceApi.model(id)));
  return ids.map((id, index) => [id, views[index].unwrap()]).filter(([, { retired }]) => retired.isFalse);
}

/** The model that was asked for, or the only one there is. */
async function chooseModel(api, wanted) {
  if (wanted !== undefined) {
    if (!/^0x[0-9a-f]{64}$/i.test(wanted)) {
      throw new Explained(`--model ${wanted} is no model id: it is 0x and 64 hexadecimal digits`);
    }
    const view = await api.call.inferenceApi.model(wanted);
    if (view.isNone || view.unwrap().retired.isTrue) {
      throw new Explained(`model ${wanted} is ${view.isNone ? 'not registered' : 'retired'}: choose another`);
    }
    return [wanted, view.unwrap()];
  }
  const all = await models(api);
  if (all.length === 1) {
    return all[0];
  }
  const list = all.map(([id, { name }]) => `  ${id}  ${textOf(name)}`).join('\n');
  throw new Explained(all.length ? `choose a model with --model:\n${list}` : 'no model is registered yet');
}

/** The most to pay: what was said, else what the cheapest worker may ask for this job. */
async function chooseMaxFee(api, model, inputLength, maxOutput, wanted) {
  if (wanted !== undefined) {
    return parseGen(wanted);
  }
  const quote = await api.call.inferenceApi.quote(model, inputLength, maxOutput);
  if (quote.isNone) {
    throw new Explained(
      'no worker could take this job now. Try a smaller --max-output, or post it all the same ' +
        'with --max-fee: it stays open for a while, and you get the money back if nobody takes it',
    );
  }
  return quote.unwrap().fee.toBigInt();
}

/** Posts the question. Returns the job's number and the block that it is in. */
async function submit(api, question, values, signer) {
  const input = stringToU8a(question);
  const most = api.consts.inference.maxInputLen.toNumber();
  if (input.length === 0 || input.length > most) {
    throw new Explained(`the question has ${input.length} bytes: 1 to ${most} are possible`);
  }
  const [model, { name, limits }] = await chooseModel(api, values.model);
  const maxOutput =
    values['max-output'] === undefined
      ? Math.min(DEFAULT_MAX_OUTPUT, limits.maxOutput.toNumber())
      : Number(values['max-output']);
  if (!Number.isInteger(maxOutput) || maxOutput < 1 || maxOutput > limits.maxOutput.toNumber()) {
    throw new Explained(`--max-output ${values['max-output']}: this model takes 1 to ${limits.maxOutput}`);
  }
  const maxFee = await chooseMaxFee(api, model, input.length, maxOutput, values['max-fee']);

  // A string would do for the text, but one that starts with 0x would be taken for bytes.
  const text = `0x${Buffer.from(input).toString('hex')}`;
  const transaction = api.tx.inference.submitJob(model, text, maxOutput, maxFee);
  const { events, blockNumber, fee } = await signAndFinalize(api, transaction, signer);
  const { job } = eventOf(events, api.events.inference.JobSubmitted);
  console.log(`model        ${textOf(name)} ${model}`);
  console.log(`job          ${job}, in block ${blockNumber}; pays at most ${formatGen(maxFee)}`);
  return { job: job.toNumber(), block: blockNumber, transactionFee: fee };
}

/** Whether nothing can change any more who has the money for the job. */
const isOver = ({ status }) =>
  status.isSlashing || status.isSettled || status.isRejected || status.isCancelled || status.isExpired;

/** Whether the job has an answer, checked or not. */
const isAnswered = ({ status }) => !(
  status.isOpen || status.isClaimed || status.isCancelled || status.isExpired
);

/** What a state means to somebody who waits. */
const MEANING = {
  Delivered: 'delivered; the chain draws whether it is audited',
  Audit: 'audited',
  Decided: 'audited; an appeal is possible for a while',
  Slashing: 'decided for good; stake is slashed after a delay',
};

/** Tells what happens to a job after `status`, block by block, until `until(view)` holds or it is over. */
async function follow(api, job, fromBlock, seconds, until, status) {
  let worker;
  let last;
  const watch = everyFinalizedBlock(api, fromBlock, async (number, at) => {
    const view = await at.call.inferenceApi.job(job);
    if (view.isNone) {
      throw new Explained(`there is no job ${job}: it was never submitted, or its record was dropped`);
    }
    last = view.unwrap();
    if (last.worker.isSome && !worker) {
      const address = last.worker.unwrap().toString();
      // Its balance before the claim, unless the claim is older than this program.
      const unclaimed = status && (await api.at(await api.rpc.chain.getBlockHash(number - 1)));
      worker = { address, before: unclaimed && (await balanceOf(unclaimed, address)) };
    }
    if (last.status.type !== status) {
      status = last.status.type;
      const who = last.status.isClaimed ? ` by ${last.worker.unwrap()}` : '';
      const means = MEANING[status] ?? status.toLowerCase();
      console.log(`block ${String(number).padEnd(6)} ${means}${who}`);
    }
    return until(last) || isOver(last);
  });
  const timer = setTimeout(watch.stop, seconds * 1_000);
  try {
    await watch.done;
  } finally {
    clearTimeout(timer);
  }
  return { view: last, worker, reached: last !== undefined && until(last) };
}

function explainEnd(job, status) {
  const why = status.isCancelled ? 'it was withdrawn' : 'nobody answered it in time';
  return new Explained(`job ${job} ended without an answer: ${why}. Its escrow was returned in full`);
}

function showAnswer(view, result, question) {
  const { attestation, attestationHash, output } = result;
  const [fee, maxFee] = [view.fee.unwrap().toBigInt(), view.maxFee.toBigInt()];
  const wrong = wrongHashes(result, question && stringToU8a(question));
  console.log(`\nquestion     ${question ?? '(dropped by the chain, as the job is final)'}`);
  console.log(`answer       ${textOf(output)}`);
  if (attestation.fault.isSome) {
    const { code, position } = attestation.fault.unwrap();
    console.log(`fault        ${code} at position ${position}: no machine can go on from there`);
  }
  console.log(
    `\nfee          ${formatGen(fee)} for ${attestation.usage.input} units in, ${attestation.usage.output} out`,
  );
  console.log(`refund       ${formatGen(maxFee - fee)} of the ${formatGen(maxFee)} held`);
  const chance = view.auditChance.unwrapOr(undefined)?.toNumber() ?? 0;
  console.log(
    chance > 0
      ? `audit        by a chance of ${(chance / 1e7).toFixed(1)} %; ${formatGen(view.premium.unwrap())} of the fee pay auditors`
      : 'audit        none: fewer than two others can be drawn on this model',
  );
  console.log(
    `delivery     ${formatGen(view.terms.deliveryFee)}, as the worker delivers without a transaction fee`,
  );
  console.log(`attestation  ${attestationHash}, by ${attestation.worker}`);
  console.log(
    `             ${wrong.length ? `WRONG: ${wrong.join(', ')}` : 'its hashes are right'}; trace ${attestation.trace}`,
  );
}

/** Blocks that a transaction may take: a state that ends sooner is not acted on. */
const MARGIN = 6;
const RACES_LOST = ['inference.UnderAudit', 'inference.JobIsFinal', 'inference.ProgressFirst'];

/**
 * Accepts the result as soon as that is possible. Whether it is audited is not
 * the requester's to say: an audit ends the attempt.
 *
 * @returns {Promise<bigint>} the transaction fees
 */
async function accept(api, job, from, signer) {
  let fees = 0n;
  const watch = everyFinalizedBlock(api, from, async (number, at) => {
    const { status, until } = (await at.call.inferenceApi.job(job)).unwrap();
    if (!status.isDelivered && !status.isReview) {
      return true;
    }
    if (until.toNumber() < number + MARGIN) {
      // The draw comes first, or the payment by itself.
      return false;
    }
    try {
      fees += (await signAndFinalize(api, api.tx.inference.acceptResult(job), signer)).fee;
      return true;
    } catch (error) {
      if (error instanceof Refused && RACES_LOST.includes(error.error)) {
        fees += error.fee;
        return false;
      }
      throw error;
    }
  });
  await watch.done;
  return fees;
}

/** Whether auditors found the result wrong, once the job is over. */
async function isRejected(api, view) {
  if (!view.status.isSlashing) {
    return view.status.isRejected;
  }
  const audit = (await (await finalized(api)).at.call.inferenceApi.audit(view.id)).unwrap();
  return audit.valid.isSome && audit.valid.unwrap().isFalse;
}

function showBalances(rows) {
  console.log('\nbalances     before -> after');
  for (const { who, before, after } of rows) {
    const held = after.held > 0n ? `, of which ${formatGen(after.held)} held` : '';
    console.log(
      `  ${who.padEnd(10)} ${before ? formatGen(before.total) : '?'} -> ${formatGen(after.total)}${held}`,
    );
  }
}

await run(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...CONNECTION_OPTIONS,
      ...KEY_OPTIONS,
      model: { type: 'string' },
      job: { type: 'string' },
      'max-output': { type: 'string' },
      'max-fee': { type: 'string' },
      accept: { type: 'boolean', default: false },
      timeout: { type: 'string', default: '300' },
    },
  });
  const [question] = positionals;
  if (values.help || positionals.length + (values.job === undefined ? 0 : 1) !== 1) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  const seconds = Number(values.timeout);
  if (!(seconds > 0) || (values.job !== undefined && !/^\d+$/.test(values.job))) {
    console.log(USAGE);
    return 2;
  }

  const api = await connect(values.url);
  let job = values.job;
  const goOn = () => `To go on waiting: node submit-job.mjs --job ${job} --url ${values.url}`;
  process.once('SIGINT', () => {
    console.error(
      job === undefined
        ? '\nstopped. If a job was posted already, watch-market.mjs shows its number'
        : `\nstopped waiting; job ${job} goes on without this program. ${goOn()}`,
    );
    process.exit(130);
  });
  try {
    const signer = job === undefined || values.accept ? await keyFrom(values, api) : undefined;
    const start = await finalized(api);
    const before = signer && (await balanceOf(start.at, signer.address));
    let block = start.number;
    let transactionFees = 0n;
    if (job === undefined) {
      const posted = await submit(api, question, values, signer);
      ({ job, block } = posted);
      transactionFees += posted.transactionFee;
    }

    const answered = await follow(api, job, block, seconds, isAnswered);
    if (!answered.reached) {
      const status = answered.view?.status;
      if (status?.isCancelled || status?.isExpired) {
        throw explainEnd(job, status);
      }
      console.error(
        `no answer within ${seconds} s; the job is ${status?.type.toLowerCase() ?? 'unknown'}. ${goOn()}`,
      );
      return 3;
    }
    const { at, number } = await finalized(api);
    const kept = await questionOf(at, job);
    const result = (await at.call.inferenceApi.result(job)).unwrap();
    showAnswer(answered.view, result, question ?? (kept && textOf(kept)));

    let { view } = answered;
    if (!isOver(view)) {
      if (values.accept) {
        transactionFees += await accept(api, job, number, signer);
      } else {
        console.log('\nthe worker is paid when draw and review, or the audit, are over (--accept skips the review)');
      }
      const ended = await follow(api, job, number, LONGEST_AUDIT_SECONDS + seconds, isOver, view.status.type);
      if (!ended.reached) {
        console.error(`the job was not over in time. ${goOn()}`);
        return 3;
      }
      view = ended.view;
    }
    const rejected = await isRejected(api, view);

    const end = await finalized(api);
    const requester = view.requester.toString();
    const mine = signer?.address === requester;
    showBalances([
      { who: 'requester', before: mine ? before : undefined, after: await balanceOf(end.at, requester) },
      {
        who: 'worker',
        before: answered.worker.before,
        after: await balanceOf(end.at, answered.worker.address),
      },
    ]);
    if (view.deposit.toBigInt() > 0n) {
      const when = view.status.isSlashing ? '' : `, after block ${view.until}`;
      console.log(`  ${formatGen(view.deposit)} of the deposit come back when the record is dropped${when}`);
    }
    if (transactionFees > 0n) {
      console.log(`  ${formatGen(transactionFees)} were fees of your transactions`);
    }
    if (rejected) {
      console.error(`\nauditors found the answer to job ${job} WRONG: its escrow was returned in full`);
      return 4;
    }
    return 0;
  } finally {
    await api.disconnect();
  }
});
