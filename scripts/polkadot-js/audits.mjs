// Shows audits: what waits for an account, how the audit of a job stands, or
// who can be drawn to check a model's results.
//
//   node audits.mjs --auditor 5FHneW46…
//   node audits.mjs --job 7
//   node audits.mjs --pool

import { parseArgs } from 'node:util';
import { isAddress } from '@polkadot/util-crypto';
import { connect, CONNECTION_OPTIONS, Explained, finalized, formatGen, run, textOf } from './connect.mjs';

const USAGE = `Usage: node audits.mjs --auditor ADDRESS   seats that wait for an account
       node audits.mjs --job NUMBER        how the audit of a job stands
       node audits.mjs --pool [--model ID] who can be drawn for jobs submitted now

  --members N  with --pool: end with 3 if there are fewer
  --url URL    node to use [default: ${CONNECTION_OPTIONS.url.default}]

Exit codes: 0 there is something to show, 1 an error, 3 nothing.`;

/** The most seats that one call returns. */
const PAGE = 16;
const SECONDS_PER_BLOCK = 2;

/** What an auditor has to do now. */
const TO_DO = {
  ToCommit: 'replay and commit',
  Committed: 'wait until all have committed',
  ToReveal: 'reveal',
  Revealed: 'nothing: revealed',
  Missed: 'nothing any more: missed',
};

/** Every seat that waits for `auditor`, page by page. */
export async function seatsOf(at, auditor) {
  const seats = [];
  for (;;) {
    const page = await at.call.inferenceApi.seats(auditor, seats.at(-1)?.job ?? null, PAGE);
    seats.push(...page);
    if (page.length < PAGE) {
      return seats;
    }
  }
}

function showSeat(seat, block) {
  const { job, round, seats, status, until, pay, silentFine, wrongFine, excused } = seat;
  const left = Math.max(0, until.toNumber() - block) * SECONDS_PER_BLOCK;
  console.log(`job ${job}, round ${round}: ${TO_DO[status.type]}`);
  console.log(`  seats      ${seats}, each pays up to ${formatGen(pay)}`);
  console.log(`  until      block ${until} (${left} s)`);
  console.log(
    `  fines      ${excused.isTrue ? 'none' : formatGen(silentFine)} if silent, ${formatGen(wrongFine)} if wrong, per seat`,
  );
  console.log(`  model      ${seat.model}`);
  console.log(`  question   ${textOf(seat.input)}`);
  console.log(`  answer     ${textOf(seat.output)}, by ${seat.attestation.worker}`);
  console.log(`  seed       ${seat.seed}`);
}

/** `3 seats of 5FHn…: valid` for every account of a round. */
function showRound({ number, auditors, verdict, appeal, seed }) {
  const decided = verdict.isSome ? (verdict.unwrap().valid.isTrue ? 'right' : 'WRONG') : 'not decided';
  console.log(
    `round ${number}${appeal.isTrue ? ' (appeal)' : ''}: ${seed.isSome ? decided : 'its seed is to come'}`,
  );
  for (const { who, seats, vacant, commitment, ballot } of auditors) {
    const said = ballot.isSome
      ? `says ${ballot.unwrap().valid.isTrue ? 'right' : 'WRONG'}`
      : commitment.isSome
        ? 'has committed'
        : vacant.isTrue
          ? 'had left'
          : 'has not committed';
    console.log(`  ${who} (${seats} seat${seats.toNumber() === 1 ? '' : 's'}) ${said}`);
  }
}

/** Prints the audit of a job. False if there is none. */
export async function showAudit(at, job) {
  const audit = await at.call.inferenceApi.audit(job);
  if (audit.isNone) {
    return false;
  }
  const { rounds, dispute, appeal, slashes } = audit.unwrap();
  for (const [name, bond] of [
    ['disputed', dispute],
    ['appealed', appeal],
  ]) {
    if (bond.isSome) {
      const { who, amount } = bond.unwrap();
      console.log(`${name} by ${who}, ${formatGen(amount)} of bond held`);
    }
  }
  rounds.forEach(showRound);
  for (const { who, amount, at: block } of slashes) {
    console.log(`slash of ${formatGen(amount)} for ${who} after block ${block}`);
  }
  return true;
}

async function showPool(at, wanted, atLeast) {
  const ids = wanted ? [wanted] : (await at.query.inference.models.keys()).map(({ args: [id] }) => id.toHex());
  let members = 0;
  for (const id of ids) {
    const pool = await at.call.inferenceApi.auditPool(id);
    members += pool.length;
    console.log(`model ${id}: ${pool.length} account(s) can be drawn`);
    for (const { who, stake } of pool) {
      console.log(`  ${who} with ${formatGen(stake)}`);
    }
  }
  return members >= atLeast;
}

async function main() {
  const { values } = parseArgs({
    options: {
      ...CONNECTION_OPTIONS,
      auditor: { type: 'string' },
      job: { type: 'string' },
      pool: { type: 'boolean', default: false },
      model: { type: 'string' },
      members: { type: 'string', default: '1' },
    },
  });
  const chosen = [values.auditor !== undefined, values.job !== undefined, values.pool].filter(Boolean);
  if (values.help || chosen.length !== 1 || (values.job !== undefined && !/^\d+$/.test(values.job)) || !/^\d+$/.test(values.members)) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.auditor !== undefined && !isAddress(values.auditor)) {
    throw new Explained(`--auditor ${values.auditor} is no address`);
  }
  if (values.model !== undefined && !/^0x[0-9a-f]{64}$/i.test(values.model)) {
    throw new Explained(`--model ${values.model} is no model id: it is 0x and 64 hexadecimal digits`);
  }
  const api = await connect(values.url);
  try {
    const { at, number } = await finalized(api);
    if (values.pool) {
      return (await showPool(at, values.model, Number(values.members))) ? 0 : 3;
    }
    if (values.job !== undefined) {
      if (await showAudit(at, values.job)) {
        return 0;
      }
      console.log(`job ${values.job} is not, or not any more, under audit`);
      return 3;
    }
    const seats = await seatsOf(at, values.auditor);
    seats.forEach((seat) => showSeat(seat, number));
    if (seats.length === 0) {
      console.log(`no audit waits for ${values.auditor}`);
      return 3;
    }
    return 0;
  } finally {
    await api.disconnect();
  }
}

// Only when run by itself: others import the functions above.
if (process.argv[1] && import.meta.url === new URL(`file://${process.argv[1]}`).href) {
  await run(main);
}
