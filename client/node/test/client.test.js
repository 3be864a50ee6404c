// SPDX-License-Identifier: BSD-3-Clause
// A daemon that lies, is busy, or goes away.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Client } from '../lib/client.js';
import {
  ArgumentError, BusyError, NoDaemonError, ProtocolError, PublicKeyError, RefusedError, TimeoutError, VerifyError,
} from '../lib/errors.js';
import { loadTrustedKeys } from '../lib/keys.js';
import { SignedAnswer } from '../lib/wire.js';
import { ErrorCode, Kind, RouteKind, Status } from '../lib/words.js';
import { delegation, FakeDaemon, honest, LATER, NOW_MS, OTHER, responseFrame, signedAnswer } from './fake.js';

function withDaemon(name, answer, body) {
  test(name, async () => {
    const daemon = await new FakeDaemon(answer).start();
    try {
      await body(daemon);
    } finally {
      daemon.stop();
    }
  });
}

const outcome = async (client) => (await client.plan('example.org')).outcome;

withDaemon('a session', undefined, async (daemon) => {
  const client = daemon.client();
  for (const domain of ['example.org', 'Example.NET.']) assert.equal((await client.plan(domain)).outcome, 'no-mail');
  assert.equal((await client.status()).usableKeys, 1);
  assert.equal(daemon.connections, 1);
  client.close();
  assert.equal(await outcome(client), 'no-mail');
});

withDaemon('many requests at once, one status', undefined, async (daemon) => {
  const client = daemon.client();
  const plans = await Promise.all(Array.from({ length: 100 }, (_, i) => client.plan(`d${i}.example.org`)));
  assert.ok(plans.every((plan, i) => plan.nextHop === `d${i}.example.org`));
  assert.equal(daemon.asked.filter((body) => body === 'status').length, 1);
  assert.equal(daemon.connections, 1);
});

withDaemon('responses in any order', () => null, async (daemon) => {
  const held = [];
  daemon.answer = (request) => {
    if (request.body === 'status') return honest(request);
    held.push(responseFrame(honest(request)));
    return held.length === 3 ? Buffer.concat(held.reverse()) : Buffer.alloc(0);
  };
  const client = daemon.client();
  const names = ['a.org', 'b.org', 'c.org'];
  assert.deepEqual((await Promise.all(names.map((name) => client.plan(name)))).map((plan) => plan.nextHop), names);
});

withDaemon('a lost connection is asked once more', (request, number) => (number === 1 ? null : honest(request)), async (daemon) => {
  assert.equal(await outcome(daemon.client()), 'no-mail');
});

withDaemon('over a new connection the keys are learned anew', () => null, async (daemon) => {
  let restarted = false;
  daemon.answer = (request) => {
    if (!restarted && request.plan?.nextHop === 'last.example') {
      restarted = true;
      return null;
    }
    if (restarted && request.body === 'status') {
      return { id: request.id, status: { delegations: [delegation({}, { online: OTHER })] } };
    }
    return honest(request);
  };
  const client = daemon.client();
  assert.equal(await outcome(client), 'no-mail');
  await assert.rejects(client.plan('last.example'), VerifyError);
});

withDaemon('a connection lost twice is an error', () => null, async (daemon) => {
  await assert.rejects(outcome(daemon.client()), NoDaemonError);
  assert.equal(daemon.connections, 2);
});

withDaemon('an answer that expired on its way is asked for once more', () => null, async (daemon) => {
  daemon.answer = (request) => honest(request, { expiresAt: daemon.asked.length < 3 ? NOW_MS : NOW_MS + 1 });
  assert.equal(await outcome(daemon.client()), 'no-mail');
  daemon.answer = (request) => honest(request, { expiresAt: NOW_MS });
  await assert.rejects(outcome(daemon.client()), VerifyError);
});

withDaemon('an unknown key makes the client ask for the status once more', undefined, async (daemon) => {
  const client = daemon.client();
  await outcome(client);
  daemon.answer = (request) => {
    if (request.body !== 'status') return honest(request, {}, { key: OTHER });
    return { id: request.id, status: { delegations: [delegation({}, { online: OTHER }), delegation()] } };
  };
  await outcome(client);
  assert.deepEqual(daemon.asked, ['plan', 'status', 'plan', 'status']);
});

withDaemon('a key nobody vouches for is an error', (request) => {
  if (request.body !== 'status') return honest(request);
  return { id: request.id, status: { delegations: [delegation({}, { signer: OTHER })] } };
}, async (daemon) => {
  await assert.rejects(outcome(daemon.client()), /unknown key: no key of the public key file signed it/);
});

const WRONG = [
  ['busy', ({ id }) => ({ id, error: { code: ErrorCode.BUSY, retryAfterMs: 7 } }), BusyError],
  ['refused', ({ id }) => ({ id, error: { code: 2 } }), RefusedError],
  ['an error of a later version', ({ id }) => ({ id, error: { code: LATER } }), RefusedError],
  ['malformed, it says', () => ({ error: { code: ErrorCode.MALFORMED } }), ProtocolError],
  ['shutting down', ({ id }) => ({ id, error: { code: ErrorCode.SHUTTING_DOWN } }), NoDaemonError],
  ['nothing in it', ({ id }) => ({ id }), VerifyError],
  ['a frame of nothing', () => Buffer.alloc(4), ProtocolError],
  ['a frame too long', () => Buffer.alloc(4, 0xff), ProtocolError],
  ['no message', () => Buffer.from('00000004ffffffff', 'hex'), ProtocolError],
  ['a group', () => Buffer.from('000000010b', 'hex'), ProtocolError],
  ['another id', ({ id }) => ({ id: Number(id) + 1 }), TimeoutError],
  ['half a frame', () => Buffer.from('00000100', 'hex'), TimeoutError],
];
for (const [name, answer, kind] of WRONG) {
  withDaemon(`what the daemon says wrong is an error: ${name}`, (request) => (request.body === 'status' ? honest(request) : answer(request)),
    async (daemon) => {
      await assert.rejects(outcome(daemon.client({ timeoutMs: 500 })), (error) => {
        assert.ok(error instanceof kind, String(error));
        if (kind === BusyError) assert.equal(error.retryAfterMs, 7);
        return true;
      });
    });
}

withDaemon('attestation is demanded', undefined, async (daemon) => {
  await assert.rejects(outcome(daemon.client({ attest: true })), /no attestation/);
});

withDaemon('an answer about a host that the route does not name', (request) => {
  if (request.body === 'status') return honest(request);
  const response = honest(request, { route: { kind: RouteKind.MX, mxStatus: Status.SECURE, mx: [{ name: 'mx.example.org' }] } });
  const host = signedAnswer({ question: { kind: Kind.HOST, name: 'mx.example.net', port: 25 }, route: undefined, host: {} });
  response.answers.push(SignedAnswer.decode(host));
  return response;
}, async (daemon) => {
  await assert.rejects(outcome(daemon.client()), VerifyError);
});

test('no daemon', async () => {
  await assert.rejects(new Client({ socket: '/nonexistent/s.sock' }).plan('example.org'), NoDaemonError);
});

test('what cannot be asked', async () => {
  const client = new Client({ socket: '/nonexistent/s.sock' });
  await assert.rejects(client.plan(''), ArgumentError);
  for (const port of [0, 65536, 1.5, '25']) await assert.rejects(client.plan('example.org', port), ArgumentError);
  await assert.rejects(client.records('example.org', 0), ArgumentError);
});

test('key files that are none', async () => {
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'resolverd-')), 'pub');
  for (const text of ['', '# nothing\n', 'AAAA\n', 'no base64!\n', '\xe9\n', `${'A'.repeat(43)}=\nx\n`]) {
    writeFileSync(file, text, 'latin1');
    await assert.rejects(loadTrustedKeys(file), PublicKeyError, JSON.stringify(text));
  }
  await assert.rejects(loadTrustedKeys(`${file}.none`), PublicKeyError);
});
