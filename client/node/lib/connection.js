// SPDX-License-Identifier: BSD-3-Clause
// One connection to the daemon: requests and responses by id, any number in flight. Nothing is verified here.
import net from 'node:net';
import { BusyError, NoDaemonError, ProtocolError, RefusedError, TimeoutError } from './errors.js';
import { decode, frame, Request, Response, splitAnswers, takeFrames, toNumber } from './wire.js';
import { ErrorCode } from './words.js';

function errorOf({ code, text, retryAfterMs }) {
  switch (code) {
    case ErrorCode.BUSY:
      return new BusyError(`the daemon is busy: ${text}`, retryAfterMs || null);
    case ErrorCode.SHUTTING_DOWN:
      return new NoDaemonError(`the daemon is shutting down: ${text}`);
    case ErrorCode.MALFORMED:
      return new ProtocolError(`the daemon refused the request: ${text}`);
    default:
      return new RefusedError(`the daemon refused the request: ${text}`);
  }
}

export class Connection {
  #socket;
  #received = Buffer.alloc(0);
  #pending = new Map(); // by id: {resolve, reject, timer, nonce, request}
  #lastId = 0;
  #isOpen = true;

  constructor(path) {
    this.path = path;
    this.#socket = net.connect(path);
    this.#socket.on('data', (data) => this.#read(data));
    this.#socket.on('error', (error) => this.#fail(new NoDaemonError(`resolverd cannot be reached at ${path}: ${error.message}`)));
    this.#socket.on('close', () => this.#fail(new NoDaemonError('the daemon closed the session')));
    this.#socket.unref();
  }

  get isOpen() {
    return this.#isOpen;
  }

  /** body: {plan: …}, {status: …}. Resolves to {nonce, request: the bytes that were sent, response, answers}. */
  exchange(body, nonce, timeoutMs) {
    this.#lastId += 1;
    const id = this.#lastId;
    const request = Buffer.from(Request.encode(Request.fromObject({ id, nonce, ...body })).finish());
    return new Promise((resolve, reject) => {
      const late = () => this.#settle(id)?.reject(new TimeoutError(`no answer from ${this.path} within ${timeoutMs} ms`));
      const timer = setTimeout(late, Math.max(0, timeoutMs));
      this.#pending.set(id, { resolve, reject, timer, nonce, request });
      this.#socket.ref(); // a program ends when nothing is asked any more
      this.#socket.write(frame(request));
    });
  }

  close() {
    this.#fail(new NoDaemonError('the client was closed'));
  }

  #settle(id) {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    clearTimeout(pending.timer);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#socket.unref();
    return pending;
  }

  #fail(error) {
    this.#isOpen = false;
    this.#socket.destroy();
    for (const id of [...this.#pending.keys()]) this.#settle(id).reject(error);
  }

  #read(data) {
    if (!this.#isOpen) return;
    try {
      const { bodies, rest } = takeFrames(Buffer.concat([this.#received, data]));
      this.#received = rest;
      bodies.forEach((body) => this.#take(body));
    } catch (error) {
      this.#fail(error instanceof ProtocolError ? error : new ProtocolError(error.message, { cause: error }));
    }
  }

  #take(body) {
    const response = decode(Response, body);
    if (response === null) throw new ProtocolError('a malformed response');
    const id = toNumber(response.id);
    if (id === 0) throw response.error === null ? new ProtocolError('a response without an id') : errorOf(response.error);
    const answers = splitAnswers(body);
    const pending = this.#settle(id);
    if (pending === undefined) return; // late, or never asked
    const { nonce, request } = pending;
    if (response.error === null) pending.resolve({ nonce, request, response, answers });
    else pending.reject(errorOf(response.error));
  }
}
