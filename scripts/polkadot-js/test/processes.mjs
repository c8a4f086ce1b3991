// Starts and stops the real programs that the end-to-end tests run: nodes,
// workers, examples. Whatever a test starts ends with it, by process id, also
// when the test fails.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const EXAMPLES = fileURLToPath(new URL('..', import.meta.url));
const LOG_LINES = 30;
/** A node compiles its runtime first, which takes half a minute on a busy machine. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 15_000;
const FIRST_PORT = 21_000;
const LAST_PORT = 21_999;

/** Path of a built program: from its variable, else from Cargo's release folder. */
export function binary(variable, name) {
  const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
  const path = process.env[variable] ?? join(target, 'release', name);
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: run scripts/build.sh, or set ${variable} to a built ${name}`);
  }
  return path;
}

/** The programs that have not ended yet. */
const running = new Set();
const folders = new Set();
let nextPort = FIRST_PORT + Math.floor(process.pid % 9) * 100;

/** Ends everything that is still running: for the end of a test file, however that went. */
export async function stopAll() {
  await Promise.all([...running].map((program) => program.stop()));
}

/** The same for when this process itself is cut short. */
process.on('exit', () => {
  running.forEach((program) => program.signal('SIGKILL'));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

/** A loopback port that nobody listens on. */
export async function freePort() {
  for (; nextPort <= LAST_PORT; nextPort += 1) {
    const port = nextPort;
    const free = await new Promise((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) {
      nextPort += 1;
      return port;
    }
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${LAST_PORT}`);
}

/** A folder that is gone when the tests are over. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'genesisflow-test-'));
  folders.add(folder);
  return folder;
}

/** Waits. */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Waits until `check` gives something true and returns that.
 *
 * @param {string} what for the error, as in "waited 60 s for finality to go on"
 */
export async function eventually(what, seconds, check) {
  const end = Date.now() + seconds * 1_000;
  for (;;) {
    const result = await check();
    if (result) {
      return result;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${seconds} s for ${what}`);
    }
    await sleep(250);
  }
}

/** A running program and the last lines that it wrote. */
export class Program {
  #child;
  #lines = [];
  #rest = '';
  #listeners = [];
  /** Settles with the exit code, or the name of the signal, when the program has ended. */
  exited;

  constructor(name, path, args, environment = {}) {
    this.name = name;
    this.#child = spawn(path, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    running.add(this);
    this.exited = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#lines.push(error.message);
        running.delete(this);
        resolve(error.code);
      });
      this.#child.once('close', (code, signal) => {
        running.delete(this);
        resolve(code ?? signal);
      });
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => this.#log(text));
    }
    this.stdout = '';
    this.#child.stdout.on('data', (text) => (this.stdout += text));
  }

  #log(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    this.#lines.push(...lines);
    lines.forEach((line) => this.#listeners.forEach((listener) => listener(line)));
    this.#lines.splice(0, this.#lines.length - LOG_LINES);
  }

  /** Calls `listener` with every whole line that it writes from now on. */
  onLine(listener) {
    this.#listeners.push(listener);
  }

  get pid() {
    return this.#child.pid;
  }

  get isRunning() {
    return running.has(this);
  }

  /** The last lines of what it wrote, to be shown when a test fails. */
  get log() {
    return [`--- last lines of ${this.name} ---`, ...this.#lines, this.#rest].join('\n');
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** Ends it at once, as a power cut would. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** Asks it to stop, and insists after a while. Returns its exit code. */
  async stop() {
    if (this.isRunning) {
      this.#child.kill('SIGTERM');
      const insist = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await this.exited;
      clearTimeout(insist);
    }
    return this.exited;
  }
}

/** Calls one RPC method over HTTP. */
export async function rpc(port, method, params = []) {
  const response = await fetch(`http://127.0.0.1:${port}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) {
    throw new Error(`${method}: ${error.message} ${error.data ?? ''}`);
  }
  return result;
}

/**
 * Starts a node and waits until it answers.
 *
 * @param {string} name for its log
 * @param {string[]} chain which chain and which validator, as in `['--dev', '--tmp']`
 * @param {{rpcPort?: number, port?: number}} ports free ones are taken if none are given
 */
export async function startNode(name, chain, ports = {}) {
  const rpcPort = ports.rpcPort ?? (await freePort());
  const port = ports.port ?? (await freePort());
  const node = new Program(name, binary('GENESISFLOW_NODE', 'genesisflow-node'), [
    ...chain,
    ...['--rpc-port', String(rpcPort)],
    ...['--listen-addr', `/ip4/127.0.0.1/tcp/${port}`],
    ...['--no-telemetry', '--no-prometheus', '--no-mdns'],
  ]);
  Object.assign(node, { rpcPort, port, url: `ws://127.0.0.1:${rpcPort}` });
  try {
    await eventually(`${name} to answer on port ${rpcPort}`, START_TIMEOUT_MS / 1_000, async () => {
      if (!node.isRunning) {
        throw new Error(`${name} ended with ${await node.exited}`);
      }
      return rpc(rpcPort, 'system_health').catch(() => null);
    });
  } catch (error) {
    await node.stop();
    throw new Error(`${error.message}\n${node.log}`);
  }
  return node;
}

/**
 * Starts a worker command, such as `['run', '--model', dir]`.
 *
 * @param {{program?: string, environment?: object}} options another binary, further variables
 */
export function startWorker(url, key, dataDir, command, { program, environment } = {}) {
  return new Program(
    `worker ${key} ${command[0]}`,
    program ?? binary('GENESISFLOW_WORKER', 'genesisflow-worker'),
    [...['--url', url, '--dev-key', key, '--data-dir', dataDir], ...command],
    environment,
  );
}

/** Runs a worker command to its end and returns what it wrote; fails if the command does. */
export async function runWorker(url, key, dataDir, command) {
  const program = startWorker(url, key, dataDir, command);
  const code = await program.exited;
  if (code !== 0) {
    throw new Error(`${program.name} ended with ${code}\n${program.log}`);
  }
  return program.stdout;
}

/** Starts one of the examples next to this folder. */
export function startExample(file, args) {
  return new Program(file, process.execPath, [join(EXAMPLES, file), ...args], { NO_COLOR: '1' });
}

/** Runs `body`; if it fails, the last lines of these programs go along with the error. */
export async function withLogs(programs, body) {
  try {
    return await body();
  } catch (error) {
    error.message += `\n${programs()
      .map(({ log }) => log)
      .join('\n')}`;
    throw error;
  }
}
