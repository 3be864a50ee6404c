// SPDX-License-Identifier: BSD-3-Clause
// Verified answers to results. What is allowed at each host comes from the combination table alone (combine.js); here the answers are
// matched to the route's hosts and the rest is filled in. A host without a verified answer is unreachable, never left out.
import { combineHost, combinePlan, combineRoute, HOSTS_MAX } from './combine.js';
import { toNumber } from './wire.js';
import { Policy, policyWord, Reason, reasonText, reasonWord, requirementWord, RouteKind, statusWord, tlsaStatusWord } from './words.js';
import { addressText } from './names.js';

const ADDRESSES_MAX = 16;
const TLSA_MAX = 32;
const NEEDS_NEWER = 'the answer needs a newer client to understand it';
const ROUTE_REASONS = {
  delay: 'the MX lookup failed',
  'no-mail': 'the domain takes no mail: null MX',
  'no-such-domain': 'the domain does not exist',
};
const MISSING = { policy: Policy.UNREACHABLE, reason: Reason.ANSWER_MISSING, names: 'none', wouldRefuse: false };

const unique = (list) => [...new Set(list)];
const orNull = (text) => (text === '' ? null : text);

/** For people: no control characters. */
const clean = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');

function zonesOf(answers) {
  const zones = new Map();
  for (const { zone, until } of answers.flatMap((answer) => answer.insecureZones)) {
    if (!zones.has(zone)) zones.set(zone, { zone: clean(zone), untilMs: toNumber(until) });
  }
  return [...zones.values()];
}

// ---- hosts ----

function blankHost(name, port) {
  return {
    name,
    port,
    preference: 0,
    policy: 'unreachable',
    reason: '',
    reasonText: '',
    wouldRefuse: false,
    addressStatus: 'error',
    addresses: [],
    tlsaStatus: 'not-queried',
    tlsaBase: null,
    tlsaOwner: null,
    tlsa: [],
    sni: null,
    referenceNames: [],
    validatedAtMs: null,
    expiresAtMs: null,
    keyId: null,
    insecureZones: [],
    attested: false,
    origin: null,
  };
}

/** All but what the table says: policy, reason and what follows from them. */
function hostOf(name, port, { answer, keyId, attested }) {
  const { host } = answer;
  return {
    ...blankHost(name, port),
    addressStatus: statusWord(host.addressStatus),
    addresses: host.addresses
      .filter(({ ip }) => ip.length === 4 || ip.length === 16)
      .slice(0, ADDRESSES_MAX)
      .map(({ ip, status }) => ({ ip: addressText(ip), status: statusWord(status) })),
    tlsaStatus: tlsaStatusWord(host.tlsaStatus),
    tlsaBase: orNull(host.tlsaBase),
    tlsaOwner: orNull(host.tlsaOwner),
    tlsa: host.tlsa
      .filter(({ usage, selector, matchingType }) => Math.max(usage, selector, matchingType) < 256)
      .slice(0, TLSA_MAX)
      .map(({ usage, selector, matchingType, data }) => ({ usage, selector, matchingType, data: Buffer.from(data) })),
    validatedAtMs: toNumber(answer.validatedAt),
    expiresAtMs: toNumber(answer.expiresAt),
    keyId,
    insecureZones: zonesOf([answer]),
    attested,
    origin: orNull(clean(answer.origin)),
  };
}

/** dane promises records to match and a name to send: without them it is not an answer one can act on. */
function effective(host, policy, reason) {
  const empty = policy === Policy.DANE && (host.tlsa.length === 0 || host.tlsaBase === null);
  return empty ? { policy: Policy.UNSPECIFIED, reason: Reason.UNKNOWN } : { policy, reason };
}

/** more: names beside the TLSA base domain (RFC 7672 section 3.2.2); no name twice. */
function withPolicy(host, combined, more = []) {
  const policy = policyWord(combined.policy);
  const names = { none: [], base: [host.tlsaBase], 'base-and-next-hop': [host.tlsaBase, ...more] }[combined.names];
  return {
    ...host,
    policy,
    reason: reasonWord(combined.reason),
    reasonText: reasonText(combined.reason),
    wouldRefuse: combined.wouldRefuse,
    sni: policy === 'dane' || policy === 'tls-no-auth' ? host.tlsaBase : null,
    referenceNames: unique(names.filter((name) => name !== null && name !== '')),
  };
}

/** An answer asked alone: its policy holds if the host was securely selected. */
export function viewHost(verified) {
  const { question, host: data } = verified.answer;
  const host = hostOf(question.name, question.port, verified);
  if (verified.notUnderstood !== null) {
    return { ...withPolicy({ ...host, addressStatus: 'error' }, MISSING), reasonText: NEEDS_NEWER };
  }
  const { policy, reason } = effective(host, data.policy, data.reason);
  return withPolicy(host, { policy, reason, names: policy === Policy.DANE ? 'base' : 'none', wouldRefuse: false });
}

function literal(hop, port) {
  return { ...blankHost(hop.name, port), addressStatus: 'insecure', addresses: [{ ip: hop.name, status: 'insecure' }] };
}

function planHost(hop, port, route, index, answers) {
  const mx = route.mx[index];
  const found = index < HOSTS_MAX ? answers.find(({ answer }) => answer.question.name === mx.name) : undefined;
  let host = blankHost(mx.name, port);
  let verdict = { policy: Policy.UNREACHABLE, reason: Reason.ANSWER_MISSING };
  if (hop.isAddress) {
    host = literal(hop, port);
    verdict = { policy: Policy.OPPORTUNISTIC, reason: Reason.ADDRESS_LITERAL };
  } else if (index >= HOSTS_MAX) {
    verdict.reason = Reason.MX_TOO_MANY;
  } else if (found !== undefined) {
    host = hostOf(mx.name, port, found);
    verdict = effective(host, found.answer.host.policy, found.answer.host.reason);
  }
  const combined = combineHost(route.mxStatus, route.requirement, route.insecureMxPolicy, verdict.policy, verdict.reason);
  const more = hop.isDomain ? [hop.name, route.expanded] : [hop.name];
  return { host: { ...withPolicy(host, combined, more), preference: mx.preference }, combined };
}

// ---- the plan ----

function reasonOfHosts(outcome, hosts) {
  const usable = hosts.filter((host) => host.policy !== 'unreachable');
  if (outcome === 'no-host') return 'no MX host has an address';
  if (usable.length > 0) {
    const count = `${usable.length} of ${hosts.length} host${hosts.length === 1 ? '' : 's'}`;
    return `${count} may be used, first ${usable[0].name}: ${usable[0].reasonText}`;
  }
  if (hosts.length === 0) return 'the route names no host';
  return `no host may be used; ${hosts[0].name}: ${hosts[0].reasonText}`;
}

function decide(hop, port, route, answers, notUnderstood) {
  if (notUnderstood !== undefined) {
    // use none of the hosts, whatever the rest seems to say
    const hosts = route.mx.map((mx) => ({ ...withPolicy(blankHost(mx.name, port), MISSING), preference: mx.preference }));
    const reason = `an answer needs field ${notUnderstood} to be understood, which needs a newer client`;
    return { outcome: 'delay', wouldRefuse: false, reason, hosts };
  }
  const outcome = combineRoute(route.kind, route.mxStatus);
  if (outcome !== null) {
    const said = outcome === 'delay' ? clean(route.reason) : '';
    return { outcome, wouldRefuse: false, reason: said || ROUTE_REASONS[outcome], hosts: [] };
  }
  const pairs = route.mx.map((_, index) => planHost(hop, port, route, index, answers));
  const hosts = pairs.map(({ host }) => host);
  const whole = combinePlan(
    route.requirement,
    pairs.map(({ combined }) => combined),
  );
  return { ...whole, reason: reasonOfHosts(whole.outcome, hosts), hosts };
}

export function viewPlan(hop, port, routeAnswer, hostAnswers) {
  const { route } = routeAnswer.answer;
  const used = [routeAnswer, ...hostAnswers];
  const answers = used.map(({ answer }) => answer);
  const notUnderstood = used.map((one) => one.notUnderstood).find((number) => number !== null);
  const untilMs = toNumber(route.requirementUntil);
  return {
    nextHop: hop.text,
    port,
    ...decide(hop, port, route, hostAnswers, notUnderstood),
    requirement: requirementWord(route.requirement),
    requirementSource: orNull(clean(route.requirementSource)),
    requirementReason: orNull(clean(route.requirementReason)),
    requirementUntilMs: untilMs === 0 ? null : untilMs,
    mxStatus: hop.isDomain ? statusWord(route.mxStatus) : null,
    mxImplicit: route.kind === RouteKind.IMPLICIT_MX,
    expanded: route.expanded === '' ? hop.name : route.expanded,
    validatedAtMs: Math.min(...answers.map((answer) => toNumber(answer.validatedAt))),
    expiresAtMs: Math.min(...answers.map((answer) => toNumber(answer.expiresAt))),
    cacheable: answers.every((answer) => answer.cacheable),
    stale: answers.some((answer) => toNumber(answer.staleSince) !== 0),
    keyIds: unique(used.map(({ keyId }) => keyId)),
    insecureZones: zonesOf(answers),
    attested: routeAnswer.attested,
    origin: orNull(clean(routeAnswer.answer.origin)),
  };
}

// ---- records ----

const rrsetsOf = (rrsets) =>
  rrsets.map(({ owner, type, ttlS, rdata, rrsig }) => ({
    owner,
    type,
    ttlS,
    rdata: rdata.map((one) => Buffer.from(one)),
    rrsig: rrsig.map((one) => Buffer.from(one)),
  }));

export function viewRecords({ answer, keyId, attested, notUnderstood }) {
  const { question, records } = answer;
  const about = {
    name: question.name,
    type: question.type,
    validatedAtMs: toNumber(answer.validatedAt),
    expiresAtMs: toNumber(answer.expiresAt),
    cacheable: answer.cacheable,
    keyId,
    insecureZones: zonesOf([answer]),
    attested,
    origin: orNull(clean(answer.origin)),
  };
  if (notUnderstood !== null) {
    return { ...about, status: 'error', reason: NEEDS_NEWER, rcode: 0, chain: [], answer: [], authority: [] };
  }
  return {
    ...about,
    status: statusWord(records.status),
    reason: clean(records.reason),
    rcode: records.rcode,
    chain: rrsetsOf(records.chain),
    answer: rrsetsOf(records.answer),
    authority: rrsetsOf(records.authority),
  };
}
