// SPDX-License-Identifier: BSD-3-Clause
// The checks between a SignedAnswer and a caller (docs/PROTOCOL.md, "What a client checks"). Pure; time is a parameter.
import { ExpiredError, UnknownKeyError, VerifyError } from './errors.js';
import { isSigned } from './keys.js';
import { Answer, decode, SignedAnswer, toNumber } from './wire.js';
import { Kind } from './words.js';

// Numbers an answer may list as critical that this version understands. None exists yet.
const UNDERSTOOD = new Set();
const DATA = { [Kind.ROUTE]: 'route', [Kind.HOST]: 'host', [Kind.RECORDS]: 'records' };

/**
 * The answer in the bytes of a SignedAnswer. question: {kind, names: any one of them, port, type}; what a kind does not use is 0.
 * notUnderstood: a critical number this version does not know, of an answer whose data is not to be used; else null.
 */
export function verifyAnswer(signed, question, keyring, nowMs, attested = false) {
  const envelope = decode(SignedAnswer, signed);
  if (envelope === null) throw new VerifyError('the envelope of an answer is malformed');
  const online = keyring.find(envelope.keyId, nowMs);
  if (online === null) throw new UnknownKeyError('an answer is signed by an unknown key');
  if (!isSigned('resolverd answer v1', envelope.answer, envelope.signature, online.key)) {
    throw new VerifyError('the signature of an answer is wrong');
  }
  const answer = decode(Answer, envelope.answer);
  if (answer === null) throw new VerifyError('a signed answer is malformed');
  if (answer.member !== online.member) {
    throw new VerifyError(`the answer names member "${answer.member}", its key belongs to "${online.member}"`);
  }
  const got = answer.question ?? { kind: 0, name: 'nothing', port: 0, type: 0 };
  const { kind, names, port = 0, type = 0 } = question;
  if (got.kind !== kind || got.port !== port || got.type !== type || !names.includes(got.name)) {
    throw new VerifyError(`the answer is about ${got.name}, which was not asked`);
  }
  if (answer.data !== DATA[kind]) throw new VerifyError(`the answer about ${got.name} holds data of another kind`);
  if (nowMs >= toNumber(answer.expiresAt)) {
    throw new ExpiredError(`the answer about ${got.name} has expired (is the clock right?)`);
  }
  const notUnderstood = answer.critical.find((number) => !UNDERSTOOD.has(number)) ?? null;
  return { answer, keyId: Buffer.from(envelope.keyId).toString('hex'), attested, notUnderstood };
}
