// SPDX-License-Identifier: BSD-3-Clause
// One certificate as the peer sent it: the octets that TLSA records are about, and what a path to a trust anchor needs to know of it.
// node:crypto tells too little of a certificate for that, so it is read here; keys and signatures are those of node:crypto. Stricter than
// OpenSSL where it is simple to be: what is not understood never helps a match.
import crypto from 'node:crypto';
import { boolean, elements, MalformedError, only, sequence, smallInteger, TAG, time } from './der.js';

const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const DNS_NAME = 0x82;
const GENERAL_NAMES = new Set([0xa0, 0x81, DNS_NAME, 0xa3, 0xa4, 0xa5, 0x86, 0x87, 0x88]); // RFC 5280 section 4.2.1.6
const RSA_BITS_MIN = 2048;

// By the hex of an OID's content. No SHA-1, no MD5, no RSASSA-PSS.
const SIGNATURES = {
  '2a864886f70d01010b': ['rsa', 'sha256'],
  '2a864886f70d01010c': ['rsa', 'sha384'],
  '2a864886f70d01010d': ['rsa', 'sha512'],
  '2a8648ce3d040302': ['ec', 'sha256'],
  '2a8648ce3d040303': ['ec', 'sha384'],
  '2a8648ce3d040304': ['ec', 'sha512'],
  '2b6570': ['ed25519', null],
  '2b6571': ['ed448', null],
};
const CURVES = new Set(['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1', 'secp256k1', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1']);

const OID = {
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  extendedKeyUsage: '551d25',
  serverAuth: '2b06010505070301',
  commonName: '550403',
};
// Extensions whose being critical stops nobody: those looked at here, and those that restrict nothing that is used here (certificate
// policies, key identifiers, CRL distribution points, authority information access).
const UNDERSTOOD = new Set([
  OID.keyUsage, OID.subjectAltName, OID.basicConstraints, OID.nameConstraints, OID.extendedKeyUsage,
  '551d20', '551d0e', '551d23', '551d1f', '2b06010505070101',
]);

/** The outline of a certificate (RFC 5280 section 4.1) or of a SubjectPublicKeyInfo, as in proto/tlsa_set.c. */
export function isFullData(der, isKey) {
  const wanted = isKey ? [TAG.SEQUENCE, TAG.BIT_STRING] : [TAG.SEQUENCE, TAG.SEQUENCE, TAG.BIT_STRING];
  try {
    const parts = sequence(der);
    return parts.length === wanted.length && parts.every(({ tag, content }, i) => tag === wanted[i] && content.length > 0);
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}

/** null: of an algorithm nobody here knows, or too weak (OpenSSL's security level 2). */
export function loadKey(spki) {
  let key;
  try {
    key = crypto.createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    return null;
  }
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.asymmetricKeyDetails.modulusLength >= RSA_BITS_MIN ? key : null;
    case 'ec':
      return CURVES.has(key.asymmetricKeyDetails.namedCurve) ? key : null;
    case 'ed25519':
    case 'ed448':
      return key;
    default:
      return null;
  }
}

// ---- extensions ----

function readExtension(list) {
  const parts = sequence(list);
  const [oid, second] = parts;
  const critical = parts.length === 3 ? boolean(second) : false;
  const value = parts[parts.length - 1];
  if (parts.length < 2 || parts.length > 3 || oid.tag !== TAG.OID || value.tag !== TAG.OCTET_STRING) {
    throw new MalformedError('no extension');
  }
  return { oid: oid.content.toString('hex'), critical, value: value.content };
}

function readBasicConstraints(value) {
  const parts = sequence(value);
  const ca = parts.length > 0 && parts[0].tag === TAG.BOOLEAN ? boolean(parts.shift()) : false;
  const pathLength = parts.length > 0 ? smallInteger(parts.shift()) : null;
  if (parts.length > 0) throw new MalformedError('no basicConstraints');
  return { ca, pathLength };
}

/** Bit 0 of the first octet's left. */
function readKeyUsage(value) {
  const bits = only(value, TAG.BIT_STRING);
  if (bits.length < 2 || bits.length > 3 || bits[0] > 7) throw new MalformedError('no keyUsage');
  const has = (bit) => (bits[1 + (bit >> 3)] & (0x80 >> (bit & 7))) !== 0;
  return { mayServe: has(0) || has(2) || has(4), maySignCertificates: has(5) };
}

function readExtendedKeyUsage(value) {
  const purposes = sequence(value);
  if (purposes.length === 0 || purposes.some(({ tag }) => tag !== TAG.OID)) throw new MalformedError('no extKeyUsage');
  return purposes.map(({ content }) => content.toString('hex'));
}

function readDnsIds(value) {
  const names = sequence(value);
  if (names.length === 0 || names.some(({ tag }) => !GENERAL_NAMES.has(tag))) throw new MalformedError('no subjectAltName');
  return names.filter(({ tag }) => tag === DNS_NAME).map(({ content }) => content.toString('latin1'));
}

/** null: one cannot be read, is there twice, or is critical and not understood. */
function readExtensions(field) {
  const found = new Map();
  if (field !== undefined) {
    for (const { der } of sequence(field.content)) {
      const { oid, critical, value } = readExtension(der);
      if (found.has(oid) || (critical && !UNDERSTOOD.has(oid))) throw new MalformedError('an extension that is not understood');
      found.set(oid, value);
    }
  }
  const read = (oid, reader) => (found.has(oid) ? reader(found.get(oid)) : null);
  return {
    basicConstraints: read(OID.basicConstraints, readBasicConstraints),
    keyUsage: read(OID.keyUsage, readKeyUsage),
    extendedKeyUsage: read(OID.extendedKeyUsage, readExtendedKeyUsage),
    dnsIds: read(OID.subjectAltName, readDnsIds) ?? [],
    hasNameConstraints: found.has(OID.nameConstraints),
  };
}

function orNull(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedError) return null;
    throw error;
  }
}

function readCommonNames(subject) {
  const attributes = sequence(subject).flatMap(({ content }) => elements(content));
  return attributes
    .map(({ der }) => sequence(der))
    .filter((parts) => parts.length === 2 && parts[0].tag === TAG.OID && parts[0].content.toString('hex') === OID.commonName)
    .filter(([, { tag }]) => tag === TAG.UTF8_STRING || tag === TAG.PRINTABLE_STRING || tag === TAG.IA5_STRING)
    .map(([, { content }]) => content.toString('latin1'));
}

// ---- the certificate ----

export class Certificate {
  #key;
  #extensions;

  /** Throws MalformedError. */
  constructor(der) {
    const outer = sequence(der);
    const tagsOf = (parts) => parts.map(({ tag }) => tag).join();
    const S = TAG.SEQUENCE;
    if (tagsOf(outer) !== [S, S, TAG.BIT_STRING].join()) throw new MalformedError('no certificate');
    const fields = elements(outer[0].content);
    if (fields.length > 0 && fields[0].tag === VERSION) fields.shift();
    if (tagsOf(fields.slice(0, 6)) !== [TAG.INTEGER, S, S, S, S, S].join()) throw new MalformedError('no certificate');
    this.der = der;
    this.spki = fields[5].der;
    this.issuer = fields[2].der;
    this.subject = fields[4].der;
    this.tbs = outer[0].der;
    this.signature = outer[2].content.subarray(1);
    this.isSignatureSound = fields[1].der.equals(outer[1].der) && outer[2].content[0] === 0;
    const [algorithm] = elements(outer[1].content);
    this.algorithm = algorithm !== undefined && algorithm.tag === TAG.OID ? algorithm.content.toString('hex') : '';
    this.dates = orNull(() => elements(fields[3].content).map(time));
    this.commonNames = orNull(() => readCommonNames(this.subject)) ?? [];
    this.extensionsField = fields.slice(6).find(({ tag }) => tag === EXTENSIONS);
  }

  /** null: too weak, or of an unknown algorithm. */
  get key() {
    if (this.#key === undefined) this.#key = loadKey(this.spki);
    return this.#key;
  }

  /** null: one cannot be read, is there twice, or is critical and not understood. */
  get extensions() {
    if (this.#extensions === undefined) this.#extensions = orNull(() => readExtensions(this.extensionsField));
    return this.#extensions;
  }

  isSignedBy(key) {
    const [type, hash] = SIGNATURES[this.algorithm] ?? [];
    if (key === null || !this.isSignatureSound || type !== key.asymmetricKeyType) return false;
    try {
      return crypto.verify(hash, this.tbs, key, this.signature);
    } catch {
      return false;
    }
  }

  isInTime(nowMs) {
    return this.dates !== null && this.dates.length === 2 && this.dates[0] <= nowMs && nowMs < this.dates[1];
  }

  get isForServers() {
    const { extendedKeyUsage } = this.extensions;
    return extendedKeyUsage === null || extendedKeyUsage.includes(OID.serverAuth);
  }

  /** DNS-IDs; the common name only where there is none (RFC 7672 section 3.2.3). Where extensions is not null. */
  get names() {
    const { dnsIds } = this.extensions;
    return dnsIds.length > 0 ? dnsIds : this.commonNames;
  }

  equals(other) {
    return this.der.equals(other.der);
  }
}
