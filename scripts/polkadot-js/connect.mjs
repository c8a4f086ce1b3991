// What every example here needs: a connection, a key, sending a transaction and
// waiting until it cannot be undone, reading finalised state, writing amounts.

import { readFileSync } from 'node:fs';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { cryptoWaitReady } from '@polkadot/util-crypto';

export const DEFAULT_URL = 'ws://127.0.0.1:9944';

/** As for the worker, there may be several nodes in the variable: the first is taken. */
const [usualUrl] = (process.env.GENESISFLOW_URL || DEFAULT_URL).split(',');

/** Options that every example takes, for `parseArgs` of node:util. */
export const CONNECTION_OPTIONS = {
  url: { type: 'string', default: usualUrl.trim() },
  help: { type: 'boolean', short: 'h', default: false },
};
export const KEY_OPTIONS = {
  key: { type: 'string' },
  'key-file': { type: 'string' },
};

/** Decimals of GEN: one GEN is 10^12 base units. */
const DECIMALS = 12;
const CONNECT_TIMEOUT_MS = 30_000;

/** Something that the person at the keyboard can put right: shown without a stack trace. */
export class Explained extends Error {}

/** A transaction that the chain refused. */
export class Refused extends Explained {
  /**
   * @param {string} error its name, such as `inference.EscrowTooSmall`
   * @param {string} docs the sentence that the chain's metadata has about it
   * @param {bigint} fee the transaction fee, which is paid all the same
   */
  constructor(error, docs, fee) {
    super(
      `the chain refused: ${error}${docs && `. ${docs}`}\n  (the transaction fee of ${formatGen(fee)} is paid)`,
    );
    this.error = error;
    this.docs = docs;
    this.fee = fee;
  }
}

/**
 * Connects to a node and checks that its chain is a GenesisFlow chain.
 *
 * @param {string} url WebSocket address of a node
 * @returns {Promise<ApiPromise>} call `disconnect()` on it at the end
 * @throws {Explained} if nothing answers there, or another kind of chain
 */
export async function connect(url) {
  let provider;
  try {
    provider = new WsProvider(url);
  } catch (error) {
    throw new Explained(`${url} is no node address: ${error.message}. Give one like ${DEFAULT_URL}`);
  }
  let timer;
  try {
    const tooLong = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer in time')), CONNECT_TIMEOUT_MS);
    });
    const ready = ApiPromise.create({
      provider,
      throwOnConnect: true,
      noInitWarn: true,
      // Extensions without data, unknown to the library by name.
      signedExtensions: {
        AuthorizeCall: { extrinsic: {}, payload: {} },
        CheckStanding: { extrinsic: {}, payload: {} },
        WeightReclaim: { extrinsic: {}, payload: {} },
      },
    });
    const api = await Promise.race([ready, tooLong]);
    if (!api.tx.inference || !api.call.inferenceApi) {
      throw new Error(`its chain is ${await api.rpc.system.chain()}, which has no inference market`);
    }
    return api;
  } catch (error) {
    await provider.disconnect();
    throw new Explained(
      `cannot use the node at ${url}: ${error.message}. ` +
        'Is it running? Start one with "genesisflow-node --dev", or give --url',
    );
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The signing key: `--key //Alice` for a well-known development key, else the
 * secret (phrase or 0x seed) from `--key-file` or the variable GENESISFLOW_KEY.
 *
 * @throws {Explained} if there is none, or a development key meets a live chain
 */
export async function keyFrom(values, api) {
  await cryptoWaitReady();
  const keyring = new Keyring({ type: 'sr25519', ss58Format: api.registry.chainSS58 });
  if (values.key !== undefined) {
    if (!values.key.startsWith('//')) {
      throw new Explained(
        '--key takes a development key such as //Alice. Others can read the arguments of a ' +
          'program: keep a real secret in a file (--key-file) or in the variable GENESISFLOW_KEY',
      );
    }
    if ((await api.rpc.system.chainType()).isLive) {
      throw new Explained(`everybody has the key ${values.key}: it is of no use on a live chain`);
    }
    return keyring.addFromUri(values.key);
  }
  const file = values['key-file'];
  const secret = file ? readSecret(file) : process.env.GENESISFLOW_KEY;
  if (!secret) {
    throw new Explained('no key: give --key //Alice (development), --key-file or GENESISFLOW_KEY');
  }
  if (secret.trim().startsWith('/')) {
    throw new Explained('the secret has a path but no phrase: that would be a key that everybody has');
  }
  try {
    return keyring.addFromUri(secret.trim());
  } catch (error) {
    throw new Explained(`the secret cannot be used: ${error.message}. It is a phrase or a 0x seed`);
  }
}

function readSecret(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Explained(`cannot read the key file: ${error.message}`);
  }
}

/**
 * Signs and sends a transaction and waits until its block is finalised.
 *
 * @returns {Promise<{blockHash: string, blockNumber: number, events: object[], fee: bigint}>}
 *   its events, and the transaction fee in base units
 * @throws {Refused} if the chain refused it; the transaction fee is paid all the same
 * @throws {Explained} if the node did not take it, or lost sight of it
 */
export function signAndFinalize(api, transaction, signer) {
  return new Promise((resolve, reject) => {
    let unsubscribe = () => {};
    const onStatus = async ({ status, events, dispatchError, isError }) => {
      if (isError) {
        unsubscribe();
        reject(
          new Explained(
            `the transaction ended as ${status.type}. It may still be in a block: look with ` +
              'watch-market.mjs --from BLOCK before you send it again',
          ),
        );
      } else if (status.isFinalized) {
        unsubscribe();
        if (dispatchError) {
          reject(refusal(api, dispatchError, transactionFee(api, events)));
          return;
        }
        const blockHash = status.asFinalized.toHex();
        const header = await api.rpc.chain.getHeader(blockHash);
        resolve({
          blockHash,
          blockNumber: header.number.toNumber(),
          events: events.map(({ event }) => event),
          fee: transactionFee(api, events),
        });
      }
    };
    transaction
      .signAndSend(signer, { nonce: -1 }, (result) => onStatus(result).catch(reject))
      .then((end) => (unsubscribe = end))
      .catch((error) =>
        reject(new Explained(`the node did not take the transaction: ${error.message.split('\n')[0]}`)),
      );
  });
}

/** Turns the chain's error into its name and the sentence about it in the metadata. */
function refusal(api, dispatchError, fee) {
  if (dispatchError.isModule) {
    const { section, name, docs } = api.registry.findMetaError(dispatchError.asModule);
    return new Refused(`${section}.${name}`, docs.join(' ').trim(), fee);
  }
  if (dispatchError.isToken) {
    const poor = dispatchError.asToken.isFundsUnavailable;
    const docs = poor ? 'The account has too little free money: lower the amount, or add funds' : '';
    return new Refused(`token.${dispatchError.asToken.type}`, docs, fee);
  }
  return new Refused(dispatchError.toString(), '', fee);
}

function transactionFee(api, events) {
  const paid = events.find(({ event }) => api.events.transactionPayment.TransactionFeePaid.is(event));
  return paid ? paid.event.data.actualFee.toBigInt() : 0n;
}

/** The one event of this name among `events`, such as `api.events.inference.JobSubmitted`. */
export function eventOf(events, kind) {
  const event = events.find((one) => kind.is(one));
  if (!event) {
    throw new Error('the transaction has not the expected event: is the chain newer than this code?');
  }
  return event.data;
}

/**
 * Calls `onBlock` with the number and the API at every finalised block, in
 * order and without gaps (a subscription alone skips blocks when several are
 * finalised at once, or while the connection is down).
 *
 * @param {number} from first block; the blocks since then are caught up on
 * @param {(number: number, at: object, hash: string) => Promise<boolean>} onBlock ends it by returning true
 * @returns {{done: Promise<void>, stop: () => void}}
 */
export function everyFinalizedBlock(api, from, onBlock) {
  let stop;
  const done = new Promise((resolve, reject) => {
    let next = from;
    let unsubscribe = () => {};
    let finished = false;
    let running = Promise.resolve();
    stop = () => {
      finished = true;
      unsubscribe();
      resolve();
    };
    const catchUp = async (head) => {
      while (!finished && next <= head) {
        const hash = (await api.rpc.chain.getBlockHash(next)).toHex();
        const end = await onBlock(next, await api.at(hash), hash);
        next += 1;
        if (end) {
          stop();
        }
      }
    };
    api.rpc.chain
      .subscribeFinalizedHeads((header) => {
        running = running
          .then(() => catchUp(header.number.toNumber()))
          .catch((error) => {
            // A lost connection comes back by itself; the next head catches up.
            if (api.isConnected) {
              reject(error);
              stop();
            }
          });
      })
      .then((end) => (finished ? end() : (unsubscribe = end)))
      .catch(reject);
  });
  return { done, stop };
}

/** Number and hash of the newest finalised block, and the API at it. */
export async function finalized(api) {
  const hash = (await api.rpc.chain.getFinalizedHead()).toHex();
  const header = await api.rpc.chain.getHeader(hash);
  return { number: header.number.toNumber(), hash, at: await api.at(hash) };
}

/**
 * What an account has, in base units.
 *
 * @returns {Promise<{free: bigint, held: bigint, total: bigint}>} held: escrow, deposits, stake
 */
export async function balanceOf(at, address) {
  const { data } = await at.query.system.account(address);
  const free = data.free.toBigInt();
  const held = data.reserved.toBigInt();
  return { free, held, total: free + held };
}

/** Writes base units as GEN, exactly: `1500000000000` is `1.5 GEN`. */
export function formatGen(amount) {
  const units = BigInt(amount);
  const digits = (units < 0n ? -units : units).toString().padStart(DECIMALS + 1, '0');
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -DECIMALS)}${fraction && `.${fraction}`} GEN`;
}

/**
 * Reads an amount in GEN, exactly: `1.5` is `1500000000000` base units.
 *
 * @throws {Explained} if it is no such amount
 */
export function parseGen(text) {
  const match = /^(\d+)(?:\.(\d{1,12}))?$/.exec(text);
  if (!match) {
    throw new Explained(`"${text}" is no amount in GEN: write it like 2 or 0.05, with at most 12 decimals`);
  }
  return BigInt(match[1] + (match[2] ?? '').padEnd(DECIMALS, '0'));
}

/**
 * A job's question, until the job is final.
 *
 * @returns {Promise<object|undefined>} the bytes
 */
export async function questionOf(at, job) {
  const input = await at.call.inferenceApi.jobInput(job);
  return input.isSome ? input.unwrap().bytes : undefined;
}

/** Bytes as the text they are, or as 0x hex if they are no text. */
export function textOf(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.toU8a(true));
  } catch {
    return bytes.toHex();
  }
}

/** Runs an example: explains what a person can put right, and exits non-zero. */
export async function run(main) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    const misspelt = error.code?.startsWith('ERR_PARSE_ARGS') ?? false;
    if (!misspelt && !(error instanceof Explained)) {
      throw error;
    }
    console.error(`error: ${error.message}${misspelt ? '. See --help' : ''}`);
    process.exitCode = misspelt ? 2 : 1;
  }
}
