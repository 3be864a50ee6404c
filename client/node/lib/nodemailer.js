// SPDX-License-Identifier: BSD-3-Clause
// A transport for nodemailer that asks for a plan for each recipient's domain, and gives the mail to hosts that may have it alone:
//
//     const transport = nodemailer.createTransport(new DaneTransport(new Client()));
//     const info = await transport.sendMail({ from, to, subject, text });
import { createRequire } from 'node:module';
import { NoDaemonError, ResolverdError } from './errors.js';
import { connect } from './smtp.js';

/** nodemailer is the program's, not ours: loaded when first used. */
function loadSmtpConnection() {
  const loaded = createRequire(import.meta.url)('nodemailer/lib/smtp-connection');
  return loaded.default ?? loaded;
}

const domainOf = (address) => address.slice(address.lastIndexOf('@') + 1);

function byDomain(recipients) {
  const groups = new Map();
  for (const recipient of recipients) {
    const domain = domainOf(recipient).toLowerCase();
    groups.set(domain, [...(groups.get(domain) ?? []), recipient]);
  }
  return groups;
}

const buildMessage = (mail) =>
  new Promise((resolve, reject) => {
    mail.message.build((error, message) => (error ? reject(error) : resolve(message)));
  });

/** A wait of nodemailer's connection: fails with its errors, too. */
function waitFor(connection, start) {
  return new Promise((resolve, reject) => {
    connection.once('error', reject);
    connection.once('end', () => reject(new NoDaemonError('the connection was lost')));
    start((error, result) => (error ? reject(error) : resolve(result)));
  });
}

export class DaneTransport {
  name = 'resolverd';
  version = '0.1.0';
  #client;
  #options;

  /** name: to say in EHLO; timeoutMs: for each wait; port: of the mail hosts. */
  constructor(client, { name, timeoutMs, port = 25 } = {}) {
    this.#client = client;
    this.#options = { name, timeoutMs, port };
  }

  /** Called by nodemailer. */
  send(mail, callback) {
    this.#send(mail).then(
      (info) => callback(null, info),
      (error) => callback(error),
    );
  }

  /** One error for each recipient that was not given over: `recipient`, `isPermanent`, `cause`. */
  async #send(mail) {
    const envelope = mail.data.envelope ?? mail.message.getEnvelope();
    const message = await buildMessage(mail);
    const results = [];
    for (const [domain, recipients] of byDomain([envelope.to].flat())) {
      results.push(await this.#sendToDomain(domain, { ...envelope, to: recipients }, message));
    }
    const info = {
      envelope,
      messageId: mail.message.messageId(),
      accepted: results.flatMap((result) => result.accepted),
      rejected: results.flatMap((result) => result.rejected),
      rejectedErrors: results.flatMap((result) => result.rejectedErrors),
      verdicts: Object.fromEntries(results.map(({ domain, verdict }) => [domain, verdict])),
      response: results.map(({ response }) => response).filter((response) => response !== null).join('\n'),
    };
    if (info.accepted.length > 0) return info;
    const [first = new ResolverdError('no recipients')] = info.rejectedErrors;
    throw Object.assign(first, { rejected: info.rejected, rejectedErrors: info.rejectedErrors });
  }

  async #sendToDomain(domain, envelope, message) {
    let verdict = null;
    try {
      const plan = await this.#client.plan(domain, this.#options.port);
      const opened = await connect(plan, this.#options);
      verdict = opened.verdict;
      const { accepted, rejected, rejectedErrors = [], response } = await this.#deliver(opened, envelope, message);
      rejectedErrors.forEach((error) => Object.assign(error, { isPermanent: error.responseCode >= 500 }));
      return { domain, accepted, rejected, rejectedErrors, response, verdict };
    } catch (error) {
      const isPermanent = error.isPermanent ?? (verdict !== null && error.responseCode >= 500);
      const rejectedErrors = envelope.to.map((recipient) => Object.assign(new ResolverdError(error.message, { cause: error }), { recipient, isPermanent }));
      return { domain, accepted: [], rejected: envelope.to, rejectedErrors, response: null, verdict };
    }
  }

  async #deliver({ socket, host }, envelope, message) {
    const SmtpConnection = loadSmtpConnection();
    const isSecure = socket.encrypted === true;
    // nodemailer waits for a greeting, which was said before the handshake.
    socket.unshift(Buffer.from(`220 ${host.name} ESMTP\r\n`));
    const { name, timeoutMs } = this.#options;
    const connection = new SmtpConnection({
      connection: socket,
      host: host.name,
      port: host.port,
      secure: isSecure,
      secured: isSecure,
      ignoreTLS: true,
      name,
      socketTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
    });
    try {
      await waitFor(connection, (done) => connection.connect(done));
      return await waitFor(connection, (done) => connection.send(envelope, message, done));
    } finally {
      connection.quit();
    }
  }
}
