// SPDX-License-Identifier: BSD-3-Clause
// A session with the daemon, any number of requests at once. Connects when first asked. Whatever comes back is verified before the caller
// sees it.
import { randomBytes } from 'node:crypto';
import { checkAttestation, leafOf, NONCE_BYTES } from './attestation.js';
import { HOSTS_MAX } from './combine.js';
import { Connection } from './connection.js';
import { ArgumentError, ExpiredError, NoDaemonError, ProtocolError, UnknownKeyError, VerifyError } from './errors.js';
import { Keyring, loadTrustedKeys } from './keys.js';
import { canonicalName, nextHop } from './names.js';
import { verifyAnswer } from './verify.js';
import { viewHost, viewPlan, viewRecords } from './view.js';
import { Kind } from './words.js';

export const DEFAULT_SOCKET = '/run/resolverd/resolverd.sock';
export const DEFAULT_PUBLIC_KEY = '/run/resolverd/resolverd.pub';
const TIMEOUT_MS = 10000;
const STATUSES_ASKED = 2; // for an unknown key: one that was under way may be older than the answer

function checkedNumber(value, what) {
  if (!Number.isInteger(value) || value < 1 || value > 65535) throw new ArgumentError(`${value} is no ${what}`);
  return value;
}

export class Client {
  #path;
  #publicKey;
  #attest;
  #timeoutMs;
  #now;
  #connection = null;
  #keyring = null;
  #keysCameOver = null; // this connection: a restarted daemon may have come with other keys
  #learning = null; // the promise of a status that was asked for its keys

  constructor({ socket = DEFAULT_SOCKET, publicKey = DEFAULT_PUBLIC_KEY, attest = false, timeoutMs = TIMEOUT_MS, now = Date.now } = {}) {
    this.#path = socket;
    this.#publicKey = publicKey;
    this.#attest = attest;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
  }

  /** The connection; another call opens a new one. */
  close() {
    this.#connection?.close();
    this.#connection = null;
  }

  // ---- what one asks ----

  /** How to deliver to a domain, "[host]" or "[address]". */
  async plan(domain, port = 25) {
    const hop = nextHop(domain);
    const body = (deadlineMs) => ({ plan: { nextHop: hop.text, port: checkedNumber(port, 'port'), deadlineMs } });
    return this.#ask(body, (exchange) => this.#readPlan(exchange, hop, port));
  }

  /** Addresses and TLSA records of one host, and the policy if it was securely selected. */
  async host(name, port = 25) {
    const canonical = canonicalName(name);
    const question = { kind: Kind.HOST, names: [canonical], port: checkedNumber(port, 'port') };
    const body = (deadlineMs) => ({ host: { name: canonical, port, deadlineMs } });
    return this.#ask(body, (exchange) => viewHost(this.#readOnlyAnswer(exchange, question)));
  }

  /** One RRset, by the number of its type. */
  async records(name, type) {
    const canonical = canonicalName(name);
    const question = { kind: Kind.RECORDS, names: [canonical], type: checkedNumber(type, 'type') };
    const body = (deadlineMs) => ({ records: { name: canonical, type, deadlineMs } });
    return this.#ask(body, (exchange) => viewRecords(this.#readOnlyAnswer(exchange, question)));
  }

  /** Of the daemon; unsigned. */
  async status() {
    const { version, member, ready, notReadyReason, checks } = await this.#learnKeys(performance.now() + this.#timeoutMs);
    return { version, member, ready, notReadyReason, checks, usableKeys: this.#keyring.size };
  }

  // ---- verification ----

  /** Asks, and once more if the answer expired on its way. */
  async #ask(body, read) {
    const deadline = performance.now() + this.#timeoutMs;
    try {
      return await this.#askOnce(body, read, deadline);
    } catch (error) {
      if (!(error instanceof ExpiredError)) throw error;
      return this.#askOnce(body, read, deadline);
    }
  }

  async #askOnce(body, read, deadline) {
    // It answers with what it has a little before we stop listening.
    const deadlineMs = Math.max(1, Math.floor((deadline - performance.now()) * 0.9));
    const exchange = await this.#exchange(body(deadlineMs), this.#attest, deadline);
    if (this.#keyring === null || this.#keysCameOver !== this.#connection) await this.#learnKeys(deadline);
    for (let learned = 0; ; learned += 1) {
      try {
        return read(exchange);
      } catch (error) {
        if (!(error instanceof UnknownKeyError)) throw error;
        if (learned === STATUSES_ASKED) throw new VerifyError(`${error.message}: ${this.#keyring.whyEmpty}`);
      }
      await this.#learnKeys(deadline);
    }
  }

  /** Once for all who want to know at the same time. */
  #learnKeys(deadline) {
    this.#learning ??= this.#learn(deadline).finally(() => {
      this.#learning = null;
    });
    return this.#learning;
  }

  async #learn(deadline) {
    const trusted = await loadTrustedKeys(this.#publicKey);
    const { response } = await this.#exchange({ status: {} }, false, deadline);
    if (response.status === null) throw new ProtocolError('a response without a status');
    this.#keysCameOver = this.#connection;
    this.#keyring = new Keyring(trusted, response.status.delegations, this.#now());
    return response.status;
  }

  #checkAttestation({ nonce, request, response, answers }) {
    if (!this.#attest) return false;
    if (response.attestation === null) throw new VerifyError('the response is not attested: no attestation came with it');
    checkAttestation(response.attestation, leafOf(nonce, request, answers), this.#keyring, this.#now());
    return true;
  }

  /** questionAfter: from those before it what the next answer must be about. */
  #readAnswers(exchange, questionAfter) {
    const attested = this.#checkAttestation(exchange);
    const read = [];
    for (const signed of exchange.answers) {
      read.push(verifyAnswer(signed, questionAfter(read), this.#keyring, this.#now(), attested));
    }
    return read;
  }

  #readOnlyAnswer(exchange, question) {
    if (exchange.answers.length !== 1) throw new VerifyError(`the response holds ${exchange.answers.length} answers, not one`);
    return this.#readAnswers(exchange, () => question)[0];
  }

  #readPlan(exchange, hop, port) {
    const hostsOf = ({ answer }) => answer.route.mx.slice(0, HOSTS_MAX).map(({ name }) => name);
    const [route, ...hosts] = this.#readAnswers(exchange, (read) =>
      read.length === 0 ? { kind: Kind.ROUTE, names: [hop.text] } : { kind: Kind.HOST, names: hostsOf(read[0]), port },
    );
    if (route === undefined) throw new VerifyError('the response holds no answer');
    return viewPlan(hop, port, route, hosts);
  }

  // ---- the connection ----

  /** Requests change nothing: one whose connection is lost is sent once more, with a nonce of its own. */
  async #exchange(body, attest, deadline) {
    try {
      return await this.#exchangeOnce(body, attest, deadline);
    } catch (error) {
      if (!(error instanceof NoDaemonError)) throw error;
      return this.#exchangeOnce(body, attest, deadline);
    }
  }

  #exchangeOnce(body, attest, deadline) {
    if (this.#connection === null || !this.#connection.isOpen) this.#connection = new Connection(this.#path);
    const nonce = attest ? randomBytes(NONCE_BYTES) : Buffer.alloc(0);
    return this.#connection.exchange(body, nonce, deadline - performance.now());
  }
}
