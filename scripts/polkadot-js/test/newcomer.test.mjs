// A newcomer with nothing but the operator's guide: its commands are typed as
// they stand there, in a home and a copy of the project that have never seen
// any of this, and must print what the guide says. So the guide stays true.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  binary,
  eventually,
  Program,
  startNode,
  stopAll,
  temporaryFolder,
  withLogs,
} from './processes.mjs';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const GUIDE = 'docs/operate-a-worker.md';
const SECTION = '## The way to the first payment';
const HOME_IN_GUIDE = '/home/you';
/** From `init` to the payment, the node included, which the guide starts in a sentence. */
const MOST_COMMANDS = 10;
const COMMAND_SECONDS = 180;
/** What only some machines print, or print at length: these words are enough. */
const OF_THE_MACHINE = [/^ok +device /, /^\S+ +INFO loaded model \S+ from \S+ on /];
const ONLY_WITHOUT_A_CARD = /INFO no NVIDIA driver on this machine/;

/** The fenced blocks of the guide's section: language and lines of each. */
function blocks() {
  const [, section] = readFileSync(join(ROOT, GUIDE), 'utf8').split(`${SECTION}\n`);
  assert.ok(section, `${GUIDE} has a section "${SECTION}"`);
  const text = section.split(/^#{2,3} /m)[0];
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, body]) => ({
    language,
    lines: body.trimEnd().split('\n'),
  }));
}

/** What is typed in a block, and what is printed then. */
function commandsOf({ lines }) {
  const commands = [];
  for (const line of lines) {
    if (line.startsWith('$ ')) {
      commands.push({ typed: line.slice(2), printed: [] });
    } else if (line !== '') {
      commands.at(-1).printed.push(line);
    }
  }
  return commands;
}

/** Matches a line as the guide has it: numbers, hashes, addresses and times may be others. */
function pattern(line, home) {
  const known = OF_THE_MACHINE.find((start) => start.test(line));
  if (known) {
    return known;
  }
  const source = line
    .replaceAll(HOME_IN_GUIDE, home)
    .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\w+…/g, '\\w+')
    // A terminal's log has the time alone, a file's the date, too.
    .replace(/^\d\d:\d\d:\d\d/, '\\S+')
    // A number that is part of a word, as in `job0`, or of a path is no figure.
    .replaceAll(/(?<![\w/-])\d+(\\\.\d+|:\d\d)*(?![\w/-])/g, '[\\d.:]+')
    .replaceAll(/(?<== ?)\[\\d\.:\]\+/g, '[\\d.:e-]+')
    .replaceAll(/ +/g, ' +');
  return new RegExp(`^${source}$`);
}

/** Fails unless every line of the guide was printed, in any order. */
function hasPrinted(program, expected, home) {
  const { lines } = program;
  for (const line of expected.filter((line) => !ONLY_WITHOUT_A_CARD.test(line))) {
    const wanted = pattern(line, home);
    assert.ok(
      lines.some((printed) => wanted.test(printed)),
      `${GUIDE} says that \`${program.name}\` prints\n  ${line}\nwhich is none of\n  ${lines.join('\n  ')}`,
    );
  }
}

/** Fails if anything was printed that the guide does not show. */
function hasPrintedNothingElse(program, expected, home) {
  const known = expected.map((line) => pattern(line, home));
  for (const line of program.lines) {
    assert.ok(
      line === '' || known.some((wanted) => wanted.test(line)),
      `${GUIDE} does not show what \`${program.name}\` prints: ${line}`,
    );
  }
}

let node;
let home;
let copy;
let environment;

before(async () => {
  node = await startNode('development node', ['--dev', '--tmp']);
  home = temporaryFolder();
  const programs = join(home, 'programs');
  mkdirSync(programs);
  symlinkSync(binary('GENESISFLOW_WORKER', 'genesisflow-worker'), join(programs, 'genesisflow-worker'));
  // The guide's `npm ci` replaces packages that other tests are using.
  copy = join(temporaryFolder(), 'genesisflow');
  for (const folder of ['worker/models', 'scripts/polkadot-js']) {
    cpSync(join(ROOT, folder), join(copy, folder), {
      recursive: true,
      filter: (path) => basename(path) !== 'node_modules',
    });
  }
  environment = {
    HOME: home,
    XDG_DATA_HOME: '',
    PATH: [programs, process.env.PATH].join(delimiter),
    GENESISFLOW_URL: node.url,
    NO_COLOR: '1',
    // What was fetched for these tests need not be fetched again.
    npm_config_cache: process.env.npm_config_cache ?? join(process.env.HOME ?? '', '.npm'),
    npm_config_prefer_offline: 'true',
  };
});

after(stopAll);

/** Types a command in a folder of the newcomer's copy. `lines` is all that it has printed. */
function type(command, folder) {
  // Signals must reach the program: a shell would keep them. Of a list, only the last is awaited.
  const last = command.replace(/[^&]*$/, (program) => ` exec ${program.trim()}`);
  const program = new Program(command, 'bash', ['-c', `cd '${folder}' && ${last}`], environment);
  program.lines = [];
  program.onLine((line) => program.lines.push(line.trimEnd()));
  return program;
}

/** Types a command and waits for its end. */
async function typeToTheEnd(command, folder) {
  const program = type(command, folder);
  const late = setTimeout(() => program.signal('SIGTERM'), COMMAND_SECONDS * 1_000);
  const code = await program.exited;
  clearTimeout(late);
  assert.equal(code, 0, program.log);
  return program;
}

test('the guide leads from nothing to the first payment in ten commands, and prints what they print', async () => {
  const [operator, requester, log, status] = blocks();
  assert.deepEqual(
    [operator, requester, log, status].map(({ language }) => language),
    ['console', 'console', '', 'console'],
  );
  const [started, asked] = [commandsOf(operator), commandsOf(requester)];
  assert.ok(1 + started.length + asked.length <= MOST_COMMANDS, `at most ${MOST_COMMANDS} commands`);

  const run = started.pop();
  assert.match(run.typed, / run$/);
  for (const { typed, printed } of started) {
    const program = await typeToTheEnd(typed, copy);
    hasPrinted(program, printed, home);
    hasPrintedNothingElse(program, printed, home);
  }
  const worker = type(run.typed, copy);
  await withLogs(
    () => [node, worker],
    async () => {
      await eventually('the worker to be ready', COMMAND_SECONDS, () => worker.stdout.includes('ready'));
      hasPrinted(worker, run.printed, home);

      const [install, question] = asked;
      const [enter] = install.typed.split(' && ');
      assert.match(enter, /^cd \S+$/);
      await typeToTheEnd(install.typed, copy);
      const folder = join(copy, enter.slice('cd '.length));
      const answered = await typeToTheEnd(question.typed, folder);
      hasPrinted(answered, question.printed, home);

      await eventually('the worker to see its payment', COMMAND_SECONDS, () =>
        worker.lines.some((line) => line.includes('the result is paid')),
      );
      hasPrinted(worker, log.lines, home);

      for (const { typed, printed } of commandsOf(status)) {
        const program = await typeToTheEnd(typed, copy);
        hasPrinted(program, printed, home);
        hasPrintedNothingElse(program, printed, home);
      }
      assert.equal(await worker.stop(), 0, 'the worker ends when it is asked to');
    },
  );
});
