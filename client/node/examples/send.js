#!/usr/bin/env node
// SPDX-License-Identifier: BSD-3-Clause
// Sends a short mail, DANE-safe: send.js [--socket PATH] [--public-key FILE] [--name HOSTNAME] SENDER RECIPIENT…
// Exit status 0: taken; 75: what is left must be tried again later; 69: what is left can't be delivered.
import { parseArgs } from 'node:util';
import nodemailer from 'nodemailer';
import { Client, DaneTransport } from '../lib/index.js'; // elsewhere: from 'resolverd'

const string = { type: 'string' };
const { values, positionals } = parseArgs({ options: { socket: string, 'public-key': string, name: string }, allowPositionals: true });
const [from, ...to] = positionals;

const client = new Client({ socket: values.socket, publicKey: values['public-key'] });
const transport = nodemailer.createTransport(new DaneTransport(client, { name: values.name }));

let left = [];
try {
  const info = await transport.sendMail({ from, to, subject: 'hello', text: 'Good day.\n' });
  for (const recipient of info.accepted) {
    const { reason } = info.verdicts[recipient.slice(recipient.lastIndexOf('@') + 1)];
    console.log(`${recipient}: delivered, ${reason}`);
  }
  left = info.rejectedErrors;
} catch (error) {
  left = error.rejectedErrors ?? [error];
}
for (const { recipient, isPermanent, message } of left) console.log(`${recipient}: ${isPermanent ? 'failed' : 'delayed'}, ${message}`);
process.exitCode = left.some(({ isPermanent }) => !isPermanent) ? 75 : left.length > 0 ? 69 : 0;
