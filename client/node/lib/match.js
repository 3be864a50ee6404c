// SPDX-License-Identifier: BSD-3-Clause
// What a peer showed against a TLSA set (RFC 6698 section 2.1, RFC 7671 sections 4, 5 and 9, RFC 7672 section 3).
// tests/vectors/match.json holds chains and records with what comes out.
import crypto from 'node:crypto';
import { Certificate, isFullData, loadKey } from './certificate.js';
import { MalformedError } from './der.js';
import { Budget, climb, faultOf, isKeyAbove } from './path.js';

const CHAIN_MAX = 32;
const DANE_TA = 2;
const DANE_EE = 3;
const CERT = 0;
const SPKI = 1;
const FULL = 0;
const DIGESTS = { 1: { name: 'sha256', bytes: 32 }, 2: { name: 'sha512', bytes: 64 } };
const BEST_FIRST = [2, 1]; // RFC 7671 section 9
const NAME_CHARACTERS_MAX = 253;

const what = ({ usage, selector, matchingType }) => `${usage} ${selector} ${matchingType}`;

// ---- the TLSA set ----

function isUsable({ usage, selector, matchingType, data }) {
  if ((usage !== DANE_TA && usage !== DANE_EE) || (selector !== CERT && selector !== SPKI)) return false;
  if (matchingType === FULL) return isFullData(data, selector === SPKI);
  return DIGESTS[matchingType] !== undefined && data.length === DIGESTS[matchingType].bytes;
}

/** The usable ones as [index, record]: Full(0), and the best digest of each usage and selector. */
function usableRecords(tlsa) {
  const usable = [...tlsa.entries()].filter(([, record]) => isUsable(record));
  const best = ({ usage, selector }) =>
    BEST_FIRST.find((kind) => usable.some(([, one]) => one.usage === usage && one.selector === selector && one.matchingType === kind));
  return usable.filter(([, record]) => record.matchingType === FULL || record.matchingType === best(record));
}

function matches(certificate, { selector, matchingType, data }) {
  const octets = selector === SPKI ? certificate.spki : certificate.der;
  return (matchingType === FULL ? octets : crypto.createHash(DIGESTS[matchingType].name).update(octets).digest()).equals(data);
}

// ---- names ----

const withoutDot = (text) => (text.endsWith('.') ? text.slice(0, -1) : text);
const lower = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

function isName(certified, reference) {
  const pattern = withoutDot(lower(certified));
  const name = withoutDot(lower(reference));
  if (name === '' || name.length > NAME_CHARACTERS_MAX || name.startsWith('.')) return false;
  if (!pattern.includes('*')) return pattern === name;
  const rest = pattern.slice(1); // behind the star
  const dot = name.indexOf('.');
  return pattern.startsWith('*.') && !rest.includes('*') && rest.lastIndexOf('.') > 0 && dot > 0 && name.slice(dot) === rest;
}

/** The first of the reference names that the certificate is for; null: none. Where extensions is not null. */
function findName(certificate, names) {
  const patterns = certificate.names;
  return names.find((name) => patterns.some((pattern) => isName(pattern, name))) ?? null;
}

// ---- DANE-TA(2) ----

// How near to a match: of several failures the nearest is told.
const FAILURE_TYPES = ['certificate-not-trusted', 'certificate-expired', 'certificate-host-mismatch', 'validation-failure'];
const [NOT_TRUSTED, EXPIRED, WRONG_NAME, GAVE_UP] = FAILURE_TYPES.keys();

const failure = (verdict, reason, failureType) => ({ verdict, reason, failureType, record: null, depth: null, matchedName: null });
const success = (reason, record, depth, matchedName = null) => ({ verdict: 'match', reason, failureType: '', record, depth, matchedName });

/** Usage 2 is about issuers: what equals the leaf is none. Any record will do, on any path. */
class TrustAnchors {
  #nearest = NOT_TRUSTED;
  #why = 'no usable TLSA record matches what the peer showed';
  #budget = new Budget();

  constructor(chain, names, nowMs) {
    [this.leaf] = chain;
    this.others = chain.slice(1).filter((one, i, all) => !one.equals(this.leaf) && all.findIndex((first) => first.equals(one)) === i);
    this.names = names;
    this.nowMs = nowMs;
    this.paths = [...climb([this.leaf], this.others, this.#budget)];
  }

  #missed(nearness, why) {
    if (nearness >= this.#nearest) {
      this.#nearest = nearness;
      this.#why = why;
    }
  }

  /** null: not by this record. */
  match(index, record) {
    for (const [path, depth] of this.#pathsTo(record)) {
      const result = this.#try(index, record, path, depth);
      if (result !== null) return result;
    }
    return null;
  }

  /** [path, depth of the anchor] each. */
  #pathsTo(record) {
    const shown = this.others.filter((certificate) => matches(certificate, record));
    if (shown.length > 0) {
      return this.paths.filter((path) => shown.includes(path[path.length - 1])).map((path) => [path, path.length - 1]);
    }
    if (record.matchingType !== FULL || matches(this.leaf, record)) return [];
    return record.selector === CERT ? this.#belowCertificate(record) : this.#belowKey(record);
  }

  /** An anchor that stands in the DNS alone. */
  #belowCertificate({ data }) {
    const anchor = readOrNull(data);
    if (anchor === null) return [];
    return this.paths
      .filter((path) => path[path.length - 1].issuer.equals(anchor.subject) && isKeyAbove(path, anchor.key, this.#budget))
      .map((path) => [[...path, anchor], path.length]);
  }

  /** A bare key that no certificate shown has (RFC 7671 section 5.2.3): what it signed is good. */
  #belowKey({ data }) {
    const key = loadKey(data);
    if (key === null) return [];
    return this.paths.filter((path) => isKeyAbove(path, key, this.#budget)).map((path) => [path, path.length]);
  }

  #try(index, record, path, depth) {
    const fault = faultOf(path, this.nowMs);
    if (fault !== null) {
      this.#missed(fault.byDates ? EXPIRED : NOT_TRUSTED, fault.why);
      return null;
    }
    const name = findName(this.leaf, this.names);
    if (name === null) {
      this.#missed(WRONG_NAME, `the certificate is for none of the reference names (${this.names.join(', ')})`);
      return null;
    }
    const reason = `the trust anchor at depth ${depth} matches ${what(record)}, and the certificate is for ${name}`;
    return success(reason, index, depth, name);
  }

  noMatch() {
    if (this.#budget.left < 0) this.#missed(GAVE_UP, 'too many paths to try');
    return failure('no-match', this.#why, FAILURE_TYPES[this.#nearest]);
  }
}

function readOrNull(der) {
  try {
    return new Certificate(der);
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

// ---- all of it ----

/**
 * chain: DER certificates as sent, leaf first. names: reference names for usage 2. nowMs: since the Unix epoch.
 * Raw RRsets may be given: usable records are picked, and digest agility is applied, here again.
 */
export function matchChain(chain, tlsa, names, nowMs = Date.now()) {
  const usable = usableRecords(tlsa);
  if (usable.length === 0) return failure('unusable', `none of the ${tlsa.length} TLSA records is usable`, 'tlsa-invalid');
  if (chain.length === 0) return failure('no-match', 'the peer showed no certificate', 'certificate-not-trusted');
  const certificates = chain.slice(0, CHAIN_MAX).map(readOrNull);
  if (certificates.includes(null)) return failure('no-match', 'the chain cannot be read', 'certificate-not-trusted');
  for (const [index, record] of usable) {
    // the leaf itself, whatever its names, dates, issuer or strength (RFC 7671 section 5.1)
    if (record.usage === DANE_EE && matches(certificates[0], record)) {
      return success(`the certificate matches ${what(record)}`, index, 0);
    }
  }
  const anchors = new TrustAnchors(certificates, names, nowMs);
  for (const [index, record] of usable) {
    const result = record.usage === DANE_TA ? anchors.match(index, record) : null;
    if (result !== null) return result;
  }
  return anchors.noMatch();
}
