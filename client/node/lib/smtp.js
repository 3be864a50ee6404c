// SPDX-License-Identifier: BSD-3-Clause
// The way to a host that may have the mail: greeting, EHLO, STARTTLS, handshake, verdict. No mail is begun here; nodemailer.js hands the
// connection on.
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import tls from 'node:tls';
import { UndeliverableError } from './errors.js';
import { needsTls, tlsOptions, verdictInClear, verdictOf } from './tls.js';

const REPLY_MAX_BYTES = 65536;
const TIMEOUT_MS = 60000;

/** This host may not have the mail, or can't take it now. */
class RefusedByHost extends Error {}
/** TLS failed, which an opportunistic sender answers in clear, over a new connection. */
class HandshakeFailed extends RefusedByHost {}

/** The dialogue in clear, a reply at a time. */
class Dialogue {
  #socket;
  #received = '';
  #isEnded = false;
  #wake = () => {};
  #onData = (data) => {
    this.#received += data.toString('latin1');
    this.#wake();
  };
  #onEnd = () => {
    this.#isEnded = true;
    this.#wake();
  };

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
  }

  /** {code, lines} of the next reply (RFC 5321 section 4.2). */
  async reply(signal) {
    for (;;) {
      const whole = /^((?:\d{3}-[^\n]*\n)*)(\d{3})(?: [^\n]*)?\r?\n/.exec(this.#received);
      if (whole !== null) {
        this.#received = this.#received.slice(whole[0].length);
        return { code: Number(whole[2]), lines: whole[0].split('\n').slice(0, -1).map((line) => line.slice(4).trimEnd()) };
      }
      if (this.#isEnded || this.#received.length > REPLY_MAX_BYTES || /^(?!\d{0,3}$|\d{3}[- \r\n])/.test(this.#received)) {
        throw new RefusedByHost(this.#isEnded ? 'the connection was lost' : 'the host does not speak SMTP');
      }
      await new Promise((resolve, reject) => {
        this.#wake = resolve;
        if (signal.aborted) reject(new RefusedByHost('no reply in time'));
        signal.addEventListener('abort', () => reject(new RefusedByHost('no reply in time')), { once: true });
      });
    }
  }

  async command(text, signal) {
    this.#socket.write(`${text}\r\n`);
    return this.reply(signal);
  }

  /** The socket without listeners of ours. What came unasked for in clear means that somebody stands in between. */
  finish() {
    this.#socket.pause();
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onEnd);
    if (this.#received !== '') throw new HandshakeFailed('text in clear after the last reply');
  }
}

const withTimeout = (timeoutMs, action) => action(AbortSignal.timeout(timeoutMs));

async function handshake(plain, host, timeoutMs) {
  const socket = tls.connect({ socket: plain, ...tlsOptions(host) });
  try {
    await withTimeout(timeoutMs, (signal) => Promise.race([
      once(socket, 'secureConnect', { signal }),
      once(socket, 'close', { signal }).then(() => Promise.reject(new Error('the connection was lost'))),
    ]));
  } catch (error) {
    socket.on('error', () => {});
    socket.destroy();
    const why = error.message.trim().replace(/\s+/g, ' '); // OpenSSL's has line ends
    throw new HandshakeFailed(`the handshake failed: ${why}`, { cause: error });
  }
  return socket;
}

async function open(plan, host, address, { name, timeoutMs }, mayStartTls) {
  const plain = net.connect({ host: address, port: host.port });
  const ignoreLater = () => {};
  plain.on('error', ignoreLater); // each wait below sees it for itself
  try {
    await withTimeout(timeoutMs, (signal) => once(plain, 'connect', { signal }));
    const dialogue = new Dialogue(plain);
    const greeting = await withTimeout(timeoutMs, (signal) => dialogue.reply(signal));
    if (greeting.code !== 220) throw new RefusedByHost(`the host greets with ${greeting.code}`);
    const ehlo = await withTimeout(timeoutMs, (signal) => dialogue.command(`EHLO ${name}`, signal));
    const offersTls = ehlo.code === 250 && ehlo.lines.slice(1).some((line) => /^STARTTLS$/i.test(line));
    let why = mayStartTls ? 'the host offers no STARTTLS' : 'the handshake failed before';
    if (offersTls && mayStartTls) {
      const { code } = await withTimeout(timeoutMs, (signal) => dialogue.command('STARTTLS', signal));
      if (code === 220) {
        dialogue.finish();
        const socket = await handshake(plain, host, timeoutMs);
        const verdict = verdictOf(socket, plan, host);
        if (!verdict.mayDeliver) {
          socket.destroy();
          throw new RefusedByHost(verdict.reason);
        }
        return { socket, verdict, host, address };
      }
      why = `the host refuses STARTTLS: ${code}`;
    }
    dialogue.finish();
    const verdict = verdictInClear(why, plan, host);
    if (!verdict.mayDeliver) throw new RefusedByHost(verdict.reason);
    plain.off('error', ignoreLater);
    return { socket: plain, verdict, host, address };
  } catch (error) {
    plain.destroy();
    throw error;
  }
}

async function openAny(plan, host, address, options) {
  try {
    return await open(plan, host, address, options, true);
  } catch (error) {
    const mayGoInClear = !needsTls(host) || plan.requirement === 'audit';
    if (!(error instanceof HandshakeFailed) || !mayGoInClear) throw error;
  }
  return open(plan, host, address, options, false);
}

/**
 * A connection over which mail for the plan's next hop may go: {socket, verdict, host, address}. EHLO was said, in clear; under TLS it is
 * to be said again. Rejects with UndeliverableError. timeoutMs: for each wait.
 */
export async function connect(plan, { name = os.hostname(), timeoutMs = TIMEOUT_MS } = {}) {
  if (/[\s\0-\x1f]/.test(name) || name === '') throw new TypeError('name is no host name');
  if (plan.outcome !== 'deliver') throw new UndeliverableError(plan.reason, plan.outcome !== 'delay');
  const causes = [];
  for (const host of plan.hosts) {
    if (host.policy === 'unreachable') {
      causes.push(`${host.name}: ${host.reasonText}`);
      continue;
    }
    for (const { ip } of host.addresses) {
      try {
        return await openAny(plan, host, ip, { name, timeoutMs });
      } catch (error) {
        causes.push(`${host.name}[${ip}]: ${error.message}`);
      }
    }
  }
  throw new UndeliverableError(`no host may have mail for ${plan.nextHop}`, false, causes);
}
