// SPDX-License-Identifier: BSD-3-Clause
// That the daemon said these very answers to this very request just now (docs/PROTOCOL.md, "Attestation").
// tests/vectors/attestation.json holds leaves, trees and forged responses.
import { ExpiredError, UnknownKeyError, VerifyError } from './errors.js';
import { blake2b, isSigned } from './keys.js';
import { toNumber } from './wire.js';

export const NONCE_BYTES = 32;
const SKEW_MS = 5000;
const LEAVES_MAX = 65536;
const HASH_BYTES = 32;

const refuse = (why) => new VerifyError(`the response is not attested: ${why}`);

/** answers: the bytes of each SignedAnswer as they came. */
export function leafOf(nonce, request, answers) {
  if (answers.length > 255) throw refuse('it has more answers than a leaf can count');
  const hashes = answers.map((answer) => blake2b(answer));
  return blake2b(Buffer.concat([Buffer.of(0), nonce, blake2b(request), Buffer.of(answers.length), ...hashes]));
}

/** The root a path leads to. Throws VerifyError. */
export function rootOf(leaf, index, leafCount, path) {
  if (!(leafCount >= 1 && leafCount <= LEAVES_MAX && index < leafCount) || path.some((node) => node.length !== HASH_BYTES)) {
    throw refuse('an impossible place or path');
  }
  let node = leaf;
  let used = 0;
  for (let width = leafCount; width > 1; width = (width + 1) >> 1, index >>= 1) {
    if ((index ^ 1) >= width) continue; // no neighbour
    if (used === path.length) throw refuse('its path is too short');
    const other = path[used++];
    node = blake2b(Buffer.concat([Buffer.of(1), ...(index & 1 ? [other, node] : [node, other])]));
  }
  if (used < path.length) throw refuse('its path is too long');
  return node;
}

/** Throws VerifyError; UnknownKeyError or ExpiredError where asking once more may help. */
export function checkAttestation(attestation, leaf, keyring, nowMs) {
  const online = keyring.find(attestation.keyId, nowMs);
  if (online === null) throw new UnknownKeyError('the response is attested by an unknown key');
  const root = rootOf(leaf, attestation.index, attestation.leafCount, attestation.path);
  const attestedAtMs = toNumber(attestation.attestedAt);
  const message = Buffer.alloc(HASH_BYTES + 12);
  root.copy(message);
  message.writeBigUInt64BE(BigInt(attestation.attestedAt.toString()), HASH_BYTES);
  message.writeUInt32BE(attestation.leafCount, HASH_BYTES + 8);
  if (!isSigned('resolverd attestation v1', message, attestation.signature, online.key)) {
    throw refuse('the signature is wrong, or not for this very response');
  }
  if (attestedAtMs > nowMs + SKEW_MS) throw refuse('its time has not come yet (is the clock right?)');
  if (attestedAtMs < nowMs - SKEW_MS) {
    throw new ExpiredError('the response is not attested: it was made more than 5 s ago (is the clock right?)');
  }
}
