// SPDX-License-Identifier: BSD-3-Clause
// Trusted long-term keys, and the short-lived online keys they vouch for (docs/PROTOCOL.md, "Delegations").
import crypto from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { blake2b as hash } from '@noble/hashes/blake2b';
import { PublicKeyError, VerifyError } from './errors.js';
import { decode, Delegation, toNumber } from './wire.js';
import { Scope } from './words.js';

const KEYS_MAX = 16;
const KEY_BYTES = 32;

/** BLAKE2b-256, which node:crypto does not have. */
export const blake2b = (data) => Buffer.from(hash(data, { dkLen: 32 }));

/** In hex, as a key of maps. */
export const keyId = (publicKey) => blake2b(publicKey).subarray(0, 8).toString('hex');

/** Ed25519 over the context, a zero byte and the message. */
export function isSigned(context, message, signature, publicKey) {
  try {
    const key = crypto.createPublicKey({
      format: 'jwk',
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
    });
    return crypto.verify(null, Buffer.concat([Buffer.from(`${context}\0`), message]), key, signature);
  } catch {
    return false;
  }
}

/** Map of key id to key, of a file with one base64 key a line. Throws PublicKeyError. */
export async function loadTrustedKeys(path) {
  let text;
  try {
    text = await readFile(path, 'latin1');
  } catch (error) {
    throw new PublicKeyError(`cannot read the public key file ${path}: ${error.message}`, { cause: error });
  }
  const keys = new Map();
  text.split('\n').forEach((line, index) => {
    const word = line.trim();
    if (word === '' || word.startsWith('#')) return;
    if (!/^[A-Za-z0-9+/]{43}=$/.test(word)) {
      throw new PublicKeyError(`${path}:${index + 1}: a key has 32 bytes, written as 44 characters of base64`);
    }
    const key = Buffer.from(word, 'base64');
    keys.set(keyId(key), key);
  });
  if (keys.size === 0) throw new PublicKeyError(`${path}: the file holds no key`);
  if (keys.size > KEYS_MAX) throw new PublicKeyError(`${path}: more than ${KEYS_MAX} keys`);
  return keys;
}

/** The online key a SignedDelegation is for. Throws VerifyError. */
export function checkDelegation(trusted, signed, nowMs) {
  const longTerm = trusted.get(Buffer.from(signed.keyId).toString('hex'));
  if (longTerm === undefined || !isSigned('resolverd delegation v1', signed.delegation, signed.signature, longTerm)) {
    throw new VerifyError('no key of the public key file signed it');
  }
  const delegation = decode(Delegation, signed.delegation);
  if (delegation === null) throw new VerifyError('it is malformed');
  const [notBeforeMs, notAfterMs] = [toNumber(delegation.notBefore), toNumber(delegation.notAfter)];
  if (delegation.onlineKey.length !== KEY_BYTES) throw new VerifyError('its online key does not have 32 bytes');
  if (delegation.scope !== Scope.ANSWERS) throw new VerifyError('its scope does not cover answers');
  if (nowMs < notBeforeMs) throw new VerifyError('it is not valid yet (is the clock right?)');
  if (nowMs >= notAfterMs) throw new VerifyError('it has expired');
  return { key: Buffer.from(delegation.onlineKey), member: delegation.member, notBeforeMs, notAfterMs };
}

/** The online keys that good delegations of a status name. */
export class Keyring {
  #keys = new Map();
  whyEmpty = 'the daemon has none';

  constructor(trusted, delegations, nowMs) {
    for (const signed of delegations) {
      try {
        const online = checkDelegation(trusted, signed, nowMs);
        this.#keys.set(keyId(online.key), online);
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error;
        this.whyEmpty = error.message;
      }
    }
  }

  get size() {
    return this.#keys.size;
  }

  /** null: unknown, or its delegation is out of time. */
  find(id, nowMs) {
    const online = this.#keys.get(Buffer.from(id).toString('hex'));
    return online !== undefined && online.notBeforeMs <= nowMs && nowMs < online.notAfterMs ? online : null;
  }
}
