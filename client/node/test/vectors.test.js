// SPDX-License-Identifier: BSD-3-Clause
// The shared vectors: combination table, attestation, matching; and what is pure beside them.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';
import { checkAttestation, leafOf, rootOf } from '../lib/attestation.js';
import { combineHost, combineRoute } from '../lib/combine.js';
import { ArgumentError, UnknownKeyError, VerifyError } from '../lib/errors.js';
import { blake2b, keyId } from '../lib/keys.js';
import { canonicalName, nextHop } from '../lib/names.js';
import { matchChain } from '../lib/match.js';
import { hasExpired, verdictInClear, verdictOfChain } from '../lib/tls.js';
import { verifyAnswer } from '../lib/verify.js';
import { viewHost, viewPlan, viewRecords } from '../lib/view.js';
import { Answer, Response, splitAnswers } from '../lib/wire.js';
import { Kind, policyWord, reasonWord, requirementWord, statusWord, tlsaStatusWord } from '../lib/words.js';
import { delegation, keyring, LATER, LONG_TERM, NOW_MS, ONLINE, OTHER, signedAnswer, vectors } from './fake.js';

const PLAN = vectors('plan.json');
const ATTESTATION = vectors('attestation.json');
const MATCH = vectors('match.json');
const CERTIFICATES = Object.fromEntries(Object.entries(MATCH.certificates).map(([name, text]) => [name, Buffer.from(text, 'base64')]));
const MATCH_NOW_MS = MATCH.now * 1000;

// ---- the combination table ----

test('every host row of the vectors', () => {
  for (const row of PLAN.hosts) {
    const [policy, reason, names, wouldRefuse] = row.slice(5);
    assert.deepEqual(combineHost(...row.slice(0, 5)), { policy, reason, names, wouldRefuse }, String(row));
  }
});

test('every route row of the vectors', () => {
  for (const [kind, mxStatus, want] of PLAN.routes) assert.equal(combineRoute(kind, mxStatus), want, `${kind} ${mxStatus}`);
});

const verified = (fields, notUnderstood = null) => ({
  answer: Answer.decode(Answer.encode(Answer.fromObject(fields)).finish()),
  keyId: '00',
  attested: false,
  notUnderstood,
});

function answersOf(row, withoutField = null) {
  const { kind, mx_status: mxStatus, expanded, requirement, insecure_mx_policy: insecureMxPolicy, mx } = row;
  const route = { kind, mxStatus, expanded, requirement, insecureMxPolicy, mx: mx.map((name) => ({ name })) };
  const hosts = row.hosts.map(({ name, policy, reason, base }) => {
    const host = { policy, reason, tlsaBase: base, tlsa: [{ usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32) }] };
    delete host[withoutField];
    return { question: { kind: Kind.HOST, name, port: 25 }, expiresAt: NOW_MS, host };
  });
  return [{ question: { kind: Kind.ROUTE, name: row.next_hop }, expiresAt: NOW_MS, route }, ...hosts].map((fields) => verified(fields));
}

const planOf = (row, [route, ...hosts] = answersOf(row)) => viewPlan(nextHop(row.next_hop), 25, route, hosts);

test('plans of the vectors', async (t) => {
  for (const row of PLAN.plans) {
    await t.test(row.name, () => {
      const plan = planOf(row);
      assert.deepEqual([plan.outcome, plan.wouldRefuse], [row.want.outcome, row.want.would_refuse]);
      assert.deepEqual(
        plan.hosts.map((host) => [host.policy, host.reason, host.wouldRefuse, host.referenceNames]),
        row.want.hosts.map((host) => [policyWord(host.policy), reasonWord(host.reason), host.would_refuse, host.names]),
      );
    });
  }
});

test('unknown values read as the strictest', () => {
  for (const number of [0, LATER, -1, undefined, 1.5]) {
    assert.equal(policyWord(number), 'unreachable');
    assert.equal(statusWord(number), 'error');
    assert.equal(tlsaStatusWord(number), 'error');
    assert.equal(requirementWord(number), 'mandatory');
    assert.equal(reasonWord(number), 'unknown');
  }
});

const GOOD_ROW = PLAN.plans.find((row) => row.want.outcome === 'deliver' && row.kind === 1 && row.mx_status === 1);

test('dane without records or base is unreachable', () => {
  for (const field of ['tlsa', 'tlsaBase']) {
    const answers = answersOf(GOOD_ROW, field);
    assert.equal(viewHost(answers[1]).policy, 'unreachable');
    assert.equal(planOf(GOOD_ROW, answers).outcome, 'delay');
  }
});

test('a host without an answer is unreachable', () => {
  const [route, , ...rest] = answersOf(GOOD_ROW);
  const [first] = planOf(GOOD_ROW, [route, ...rest]).hosts;
  assert.deepEqual([first.policy, first.reason], ['unreachable', 'answer-missing']);
});

test('critical fields make plans delay, hosts unreachable, records error', () => {
  for (const index of [0, 1]) {
    const answers = answersOf(GOOD_ROW);
    answers[index].notUnderstood = index === 0 ? 0 : 809;
    const plan = planOf(GOOD_ROW, answers);
    assert.equal(plan.outcome, 'delay');
    assert.ok(plan.hosts.every((host) => host.policy === 'unreachable'));
    if (index === 1) assert.equal(viewHost(answers[1]).policy, 'unreachable');
  }
  const records = { question: { kind: Kind.RECORDS, name: 'a.org', type: 1 }, records: { status: 1 } };
  assert.equal(viewRecords(verified(records)).status, 'secure');
  assert.equal(viewRecords(verified(records, 903)).status, 'error');
});

// ---- signatures ----

const QUESTION = { kind: Kind.ROUTE, names: ['example.org'] };

test('the keys of the worked example', () => {
  assert.equal(LONG_TERM.publicKey.toString('hex'), '8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c');
  assert.equal(keyId(LONG_TERM.publicKey), 'c5e21ab1c9f6022d');
  assert.equal(keyId(ONLINE.publicKey), 'c11ae4092c561014');
});

test('a good answer verifies', () => {
  assert.equal(verifyAnswer(signedAnswer(), QUESTION, keyring(), NOW_MS).notUnderstood, null);
  assert.equal(verifyAnswer(signedAnswer({ critical: [809] }), QUESTION, keyring(), NOW_MS).notUnderstood, 809);
  assert.equal(verifyAnswer(signedAnswer({ critical: [0] }), QUESTION, keyring(), NOW_MS).notUnderstood, 0);
});

test('a lie does not verify', () => {
  const about = (fields) => ({ question: { kind: Kind.ROUTE, name: 'example.org', ...fields } });
  const lies = [
    [{}, { key: OTHER }],
    [{}, { key: OTHER, id: keyId(ONLINE.publicKey) }],
    [{}, { context: 'resolverd evidence v1' }],
    [{ member: 'm2' }], [{ expiresAt: NOW_MS }], [{ expiresAt: 0 }], [{ route: undefined }], [{ route: undefined, host: {} }],
    [{ question: undefined }], [about({ name: 'example.net' })], [about({ port: 25 })], [about({ type: 1 })], [about({ kind: Kind.HOST })],
  ];
  for (const [fields, how] of lies) {
    assert.throws(() => verifyAnswer(signedAnswer(fields, how), QUESTION, keyring(), NOW_MS), VerifyError, JSON.stringify([fields, how]));
  }
});

test('a bad delegation vouches for nothing', () => {
  const lies = [
    [{}, { signer: OTHER }], [{}, { context: 'resolverd answer v1' }], [{ onlineKey: Buffer.alloc(31) }], [{ scope: 0 }],
    [{ scope: LATER }], [{ notBefore: NOW_MS + 1 }], [{ notAfter: NOW_MS }],
  ];
  for (const [fields, how] of lies) {
    const ring = keyring([delegation(fields, how)]);
    assert.throws(() => verifyAnswer(signedAnswer(), QUESTION, ring, NOW_MS), UnknownKeyError, JSON.stringify(fields));
  }
});

test('a delegation that has ended since vouches no more', () => {
  const late = signedAnswer({ expiresAt: NOW_MS + 9999 });
  assert.throws(() => verifyAnswer(late, QUESTION, keyring(), NOW_MS + 1000), UnknownKeyError);
});

test('no changed octet of a signed answer changes what it says', () => {
  const good = signedAnswer();
  const said = verifyAnswer(good, QUESTION, keyring(), NOW_MS);
  let found = 0;
  for (let bit = 0; bit < 8 * good.length; bit++) {
    const lie = Buffer.from(good);
    lie[bit >> 3] ^= 1 << (bit & 7);
    try {
      // protobufjs reads a field it knows whatever its wire type: such a change is none
      assert.deepEqual(verifyAnswer(lie, QUESTION, keyring(), NOW_MS), said, `bit ${bit}`);
    } catch (error) {
      assert.ok(error instanceof VerifyError, error);
      found += 1;
    }
  }
  assert.ok(found > 8 * good.length - 10);
});

// ---- attestation ----

test('every tree of the vectors', () => {
  for (const tree of ATTESTATION.trees) {
    for (const [index, path] of Object.entries(tree.paths)) {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(Number(index));
      const nodes = path.map((node) => Buffer.from(node, 'hex'));
      assert.equal(rootOf(blake2b(number), Number(index), tree.leaves, nodes).toString('hex'), tree.root);
    }
  }
});

test('attested responses of the vectors', async (t) => {
  for (const row of ATTESTATION.responses) {
    await t.test(row.name, () => {
      const data = Buffer.from(row.response, 'hex');
      const { attestation } = Response.decode(data);
      const keys = keyring([delegation({ notBefore: 0, notAfter: Number.MAX_SAFE_INTEGER })], row.now);
      const check = () => {
        if (attestation === null) throw new VerifyError('not attested');
        const leaf = leafOf(Buffer.from(row.nonce, 'hex'), Buffer.from(row.request, 'hex'), splitAnswers(data));
        checkAttestation(attestation, leaf, keys, row.now);
      };
      if (row.good) check();
      else assert.throws(check, VerifyError);
    });
  }
});

// ---- names ----

test('canonical names', () => {
  const longest = [...Array(3).fill('a'.repeat(63)), 'b'.repeat(61)].join('.');
  const rows = [
    ['Example.ORG.', 'example.org'], ['.', '.'], ['a_b-c.*.org', 'a_b-c.*.org'], ['a\\.b.org', 'a\\.b.org'], ['a\\046b.org', 'a\\.b.org'],
    ['\\065.org', 'a.org'], ['a\\\\b.org', 'a\\\\b.org'], ['a@b.org', 'a\\064b.org'], ['\\000.org', '\\000.org'],
    ['Bücher.nl', 'xn--bcher-kva.nl'], ['straße.de', 'xn--strae-oqa.de'], [longest, longest],
  ];
  for (const [text, want] of rows) assert.equal(canonicalName(text), want);
});

test('names that cannot be asked', () => {
  const tooLong = [...Array(3).fill('a'.repeat(63)), 'b'.repeat(62)].join('.');
  const rows = [
    '', '..', '.org', 'a..b', 'a b.org', 'a\n', 'a\\', 'a\\1', 'a\\256.org', 'a\\99', 'a\0b', `${'a'.repeat(64)}.org`, tooLong, '\\ü.org',
    'ü..org', 'ü b.org', 'ü/a', 'ü%2ea', 'ü@a', 'ü:1', 'ü#', null, undefined, 7,
  ];
  for (const text of rows) assert.throws(() => canonicalName(text), ArgumentError, String(text));
});

test('next hops', () => {
  const rows = [
    ['Example.org.', 'example.org', true, false], ['[MX.example.org]', '[mx.example.org]', false, false],
    ['[192.0.2.1]', '[192.0.2.1]', false, true], ['[IPv6:2001:DB8::1]', '[2001:db8::1]', false, true],
    ['[2001:db8:0:0:1:0:0:1]', '[2001:db8::1:0:0:1]', false, true], ['[::ffff:192.0.2.1]', '[::ffff:192.0.2.1]', false, true],
    ['[::192.0.2.1]', '[::192.0.2.1]', false, true], ['[::1]', '[::1]', false, true], ['[2001:db8:1:1:1:1:0:1]', '[2001:db8:1:1:1:1:0:1]', false, true],
  ];
  for (const [text, want, isDomain, isAddress] of rows) {
    const hop = nextHop(text);
    assert.deepEqual([hop.text, hop.isDomain, hop.isAddress], [want, isDomain, isAddress]);
  }
});

test('next hops that cannot be asked', () => {
  const rows = [
    '192.0.2.1', '2001:db8::1', 'a.org:25', '[', '[]', '[a.org', '[[a.org]]', '[192.0.2.256]', '[a.1]', '[IPv6:192.0.2.1]', '[1::2::3]',
    '[fe80::1%lo]', '', null,
  ];
  for (const text of rows) assert.throws(() => nextHop(text), ArgumentError, String(text));
});

// ---- matching ----

const STRICTER = {
  // than the C library, as README.md says; a match of the C library may be missed, never the other way round
  h12_name_constraints_kept: ['no-match', 'certificate-not-trusted'],
  h12_ta_of_version_1: ['no-match', 'certificate-not-trusted'],
  h17_full_that_has_the_outline_only: ['no-match', 'certificate-not-trusted'],
};

const recordOf = ([usage, selector, matchingType, data]) => ({ usage, selector, matchingType, data: Buffer.from(data, 'hex') });
const rowOf = (name) => MATCH.rows.find((row) => row.name === name);

test('match vectors', async (t) => {
  for (const row of MATCH.rows) {
    await t.test(row.name, () => {
      const got = matchChain(row.chain.map((name) => CERTIFICATES[name]), row.tlsa.map(recordOf), row.names, MATCH_NOW_MS);
      assert.deepEqual([got.verdict, got.failureType], STRICTER[row.name] ?? [row.want, row.failure_type], got.reason);
      if (got.verdict !== 'match') return;
      const byName = row.tlsa[row.record][0] === 2;
      assert.deepEqual([got.record, got.depth, got.matchedName], [row.record, row.depth, byName ? row.names.at(-1) : null]);
    });
  }
});

test('every changed octet of a leaf is found', () => {
  const records = ['h04_h19_cert_sha256', 'h07_ta_is_an_intermediate'].map((name) => recordOf(rowOf(name).tlsa[0]));
  const match = (leaf) => matchChain([leaf, CERTIFICATES.int], records, ['mx.example.com'], MATCH_NOW_MS);
  assert.equal(match(CERTIFICATES.leaf).depth, 0);
  for (let bit = 0; bit < 8 * CERTIFICATES.leaf.length; bit++) {
    const lie = Buffer.from(CERTIFICATES.leaf);
    lie[bit >> 3] ^= 1 << (bit & 7);
    assert.equal(match(lie).verdict, 'no-match', `bit ${bit}`);
  }
});

test('a peer cannot keep the matcher busy', () => {
  // Thirty certificates that all signed each other, made of one: only the serial number differs.
  const element = (tag, ...parts) => {
    const content = Buffer.concat(parts);
    const length = content.length < 128 ? [content.length] : [0x81, content.length]; // none here is longer than 255
    return Buffer.concat([Buffer.of(tag, ...length), content]);
  };
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519');
  const algorithm = element(0x30, element(0x06, Buffer.from('2b6570', 'hex')));
  const name = element(0x30, element(0x31, element(0x30, element(0x06, Buffer.from('550403', 'hex')), element(0x0c, Buffer.from('same')))));
  const dates = element(0x30, element(0x17, Buffer.from('170101000000Z')), element(0x17, Buffer.from('180101000000Z')));
  const chain = Array.from({ length: 30 }, (_, serial) => {
    const tbs = element(0x30, element(0x02, Buffer.of(serial + 1)), algorithm, name, dates, name, publicKey.export({ format: 'der', type: 'spki' }));
    return element(0x30, tbs, algorithm, element(0x03, Buffer.of(0), crypto.sign(null, tbs, privateKey)));
  });
  const records = ['h08_ta_absent', 'h09_ta_in_the_dns_only', 'h10_bare_key_signed_the_top'].map((row) => recordOf(rowOf(row).tlsa[0]));
  const begin = performance.now();
  const got = matchChain(chain, Array(10).fill(records).flat(), ['mx.example.com'], MATCH_NOW_MS);
  assert.deepEqual([got.verdict, got.failureType], ['no-match', 'validation-failure']);
  assert.ok(performance.now() - begin < 2000);
});

// ---- verdicts ----

const LEAF_TLSA = rowOf('h04_h19_key_sha256').tlsa.map(recordOf);

test('D01 D02 M02: verdicts', () => {
  const rows = [
    ['leaf', {}, [true, true, true, false]],
    ['leaf', { mxStatus: null }, [true, true, true, false]],
    ['leaf', { mxStatus: 'insecure' }, [true, true, false, false]],
    ['other', {}, [false, false, false, false]],
    ['other', { requirement: 'mandatory' }, [false, false, false, false]],
    ['other', { requirement: 'audit' }, [true, false, false, true]],
    ['leaf', { expiresAtMs: MATCH_NOW_MS }, [false, false, false, false]],
    [null, {}, [false, false, false, false]],
  ];
  for (const [leaf, changes, want] of rows) {
    const plan = { ...planOf(GOOD_ROW), ...changes };
    const host = { ...plan.hosts[0], tlsa: LEAF_TLSA };
    const got = verdictOfChain(leaf === null ? [] : [CERTIFICATES[leaf]], plan, host, MATCH_NOW_MS);
    assert.deepEqual([got.mayDeliver, got.authenticated, got.forDomain, got.wouldRefuse], want, JSON.stringify([leaf, changes]));
  }
});

test('D05: nothing usable is TLS without authentication, unless mandatory', () => {
  for (const [requirement, mayDeliver] of [['normal', true], ['audit', true], ['mandatory', false], ['off', false]]) {
    const plan = { ...planOf(GOOD_ROW), requirement };
    const host = { ...plan.hosts[0], tlsa: [{ usage: 3, selector: 1, matchingType: 9, data: Buffer.alloc(0) }] };
    const got = verdictOfChain([CERTIFICATES.leaf], plan, host, MATCH_NOW_MS);
    assert.deepEqual([got.mayDeliver, got.authenticated], [mayDeliver, false]);
  }
});

test('D03 D06 D07: in clear only where the policy allows it', () => {
  const plan = { ...planOf(GOOD_ROW), expiresAtMs: NOW_MS };
  for (const [policy, requirement, mayDeliver] of [
    ['dane', 'normal', false], ['tls-no-auth', 'normal', false], ['opportunistic', 'normal', true], ['unreachable', 'normal', false],
    ['dane', 'audit', true], ['unreachable', 'audit', false],
  ]) {
    const got = verdictInClear('no STARTTLS', { ...plan, requirement }, { ...plan.hosts[0], policy }, NOW_MS - 1);
    assert.equal(got.mayDeliver, mayDeliver, `${policy} ${requirement}`);
  }
  assert.equal(verdictInClear('', plan, { ...plan.hosts[0], policy: 'opportunistic' }, NOW_MS).mayDeliver, false);
  assert.ok(hasExpired(plan, NOW_MS) && !hasExpired(plan, NOW_MS - 1));
});
