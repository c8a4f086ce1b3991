// What needs no chain: amounts, and what a person is told when something at
// this end is wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatGen, parseGen } from '../connect.mjs';
import { freePort, startExample } from './processes.mjs';

test('amounts are written and read exactly', () => {
  const pairs = [
    ['0', 0n],
    ['1', 10n ** 12n],
    ['1.5', 1_500_000_000_000n],
    ['0.000000000001', 1n],
    ['1000000.000000000001', 10n ** 18n + 1n],
  ];
  for (const [text, units] of pairs) {
    assert.equal(formatGen(units), `${text} GEN`);
    assert.equal(parseGen(text), units);
  }
  assert.equal(formatGen(-1n), '-0.000000000001 GEN');
  assert.equal(parseGen('2.50'), 2_500_000_000_000n);
});

test('what is no amount is refused, and the text is repeated', () => {
  for (const text of ['', '-1', '1e3', '.5', '1.', '1,5', '0x10', '0.0000000000001', ' 1']) {
    assert.throws(() => parseGen(text), { message: new RegExp('is no amount in GEN') }, text);
  }
});

/** Runs an example that must fail, and returns what it said. */
async function failing(code, file, ...args) {
  const example = startExample(file, args);
  assert.equal(await example.exited, code, example.log);
  return example.log;
}

test('a node that does not answer is named, with what to do', async () => {
  const url = `ws://127.0.0.1:${await freePort()}`;
  const commands = [['submit-job.mjs', 'a question'], ['cancel-job.mjs', '1'], ['watch-market.mjs']];
  const logs = await Promise.all(commands.map(([file, ...args]) => failing(1, file, ...args, '--url', url)));
  for (const log of logs) {
    assert.match(log, new RegExp(`cannot use the node at ${url}: .*ECONNREFUSED.*Is it running\\?`));
  }
  assert.match(await failing(1, 'watch-market.mjs', '--url', 'localhost'), /localhost is no node address/);
});

test('wrong arguments are named, and the usage is shown', async () => {
  const wrong = [
    [/--maxfee.*--help/, 'submit-job.mjs', 'a question', '--maxfee', '1'],
    [/Usage: node submit-job\.mjs QUESTION/, 'submit-job.mjs'],
    [/Usage/, 'submit-job.mjs', 'a question', '--job', '1'],
    [/Usage/, 'submit-job.mjs', 'a question', '--timeout', 'soon'],
    [/Usage: node cancel-job\.mjs NUMBER/, 'cancel-job.mjs', 'seven'],
    [/Usage: node watch-market\.mjs/, 'watch-market.mjs', '--from', 'start'],
  ];
  const logs = await Promise.all(wrong.map(([, ...command]) => failing(2, ...command)));
  wrong.forEach(([message], index) => assert.match(logs[index], message));
});
