// SPDX-License-Identifier: BSD-3-Clause
// A daemon as a test wants it, and what it signs.
import crypto from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from '../lib/client.js';
import { Keyring, keyId } from '../lib/keys.js';
import { Answer, Delegation, frame, Request, Response, SignedAnswer, takeFrames, toNumber } from '../lib/wire.js';
import { Kind, RouteKind, Scope, Status } from '../lib/words.js';

export const NOW_MS = 1790000000000;
export const LATER = 99; // a value that this version does not know

/** VECTORS: where they are, when this is not run in the source tree. */
const VECTORS = process.env.VECTORS ? pathToFileURL(`${process.env.VECTORS}/`) : new URL('../../../tests/vectors/', import.meta.url);
export const vectors = (name) => JSON.parse(readFileSync(new URL(name, VECTORS), 'utf8'));

function keyOf(octet) {
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, octet)]);
  const privateKey = crypto.createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  const publicKey = Buffer.from(crypto.createPublicKey(privateKey).export({ format: 'jwk' }).x, 'base64url');
  return { privateKey, publicKey };
}

export const [LONG_TERM, ONLINE, OTHER] = [1, 2, 3].map(keyOf);

const sign = ({ privateKey }, context, message) => crypto.sign(null, Buffer.concat([Buffer.from(`${context}\0`), message]), privateKey);
const encode = (type, fields) => Buffer.from(type.encode(type.fromObject(fields)).finish());
const idOf = (key) => Buffer.from(keyId(key.publicKey), 'hex');

export function delegation(fields = {}, { signer = LONG_TERM, online = ONLINE, context = 'resolverd delegation v1' } = {}) {
  const message = encode(Delegation, {
    onlineKey: online.publicKey,
    member: 'm1',
    notBefore: NOW_MS - 1000,
    notAfter: NOW_MS + 1000,
    scope: Scope.ANSWERS,
    ...fields,
  });
  return { delegation: message, signature: sign(signer, context, message), keyId: idOf(signer) };
}

export const keyring = (delegations = [delegation()], nowMs = NOW_MS) =>
  new Keyring(new Map([[keyId(LONG_TERM.publicKey), LONG_TERM.publicKey]]), delegations, nowMs);

/** The bytes of a SignedAnswer. */
export function signedAnswer(fields = {}, { key = ONLINE, context = 'resolverd answer v1', id = null } = {}) {
  const message = encode(Answer, {
    question: { kind: Kind.ROUTE, name: 'example.org' },
    member: 'm1',
    expiresAt: NOW_MS + 1,
    route: {},
    ...fields,
  });
  const keyIdBytes = id === null ? idOf(key) : Buffer.from(id, 'hex');
  return encode(SignedAnswer, { answer: message, signature: sign(key, context, message), keyId: keyIdBytes });
}

/** What a daemon answers: no mail for any domain. */
export function honest(request, fields = {}, how = {}) {
  if (request.body === 'status') return { id: request.id, status: { delegations: [delegation()] } };
  const answer = { question: { kind: Kind.ROUTE, name: request.plan.nextHop }, route: { kind: RouteKind.NULL_MX, mxStatus: Status.SECURE }, ...fields };
  return { id: request.id, answers: [SignedAnswer.decode(signedAnswer(answer, how))] };
}

/** Answers each request as answer(request, connection number) says: fields of a Response, bytes as they are, or null to close. */
export class FakeDaemon {
  asked = [];
  connections = 0;
  #sockets = new Set();

  constructor(answer = honest) {
    this.answer = answer;
    this.directory = mkdtempSync(path.join(os.tmpdir(), 'resolverd-'));
    this.path = path.join(this.directory, 's.sock');
    this.publicKey = path.join(this.directory, 'pub');
    writeFileSync(this.publicKey, `# a comment\n\n${LONG_TERM.publicKey.toString('base64')}\n`);
    this.server = net.createServer((socket) => this.#serve(socket, ++this.connections));
  }

  async start() {
    await new Promise((resolve) => this.server.listen(this.path, resolve));
    return this;
  }

  client(options = {}) {
    return new Client({ socket: this.path, publicKey: this.publicKey, timeoutMs: 2000, now: () => NOW_MS, ...options });
  }

  stop() {
    this.server.close();
    this.#sockets.forEach((socket) => socket.destroy());
    rmSync(this.directory, { recursive: true });
  }

  #serve(socket, number) {
    this.#sockets.add(socket);
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const { bodies, rest } = takeFrames(Buffer.concat([received, data]));
      received = rest;
      for (const body of bodies) {
        const request = Request.decode(body);
        this.asked.push(request.body);
        const answer = this.answer(request, number);
        if (answer === null) socket.end();
        else if (!socket.destroyed) socket.write(Buffer.isBuffer(answer) ? answer : responseFrame(answer));
      }
    });
  }
}

export const responseFrame = (fields) => frame(encode(Response, { ...fields, id: fields.id === undefined ? 0 : toNumber(fields.id) }));
