// SPDX-License-Identifier: BSD-3-Clause
// Names and next hops in the canonical form of docs/PROTOCOL.md, which questions and answers are compared in.
import net from 'node:net';
import url from 'node:url';
import { ArgumentError } from './errors.js';

const NAME_OCTETS_MAX = 255;
const LABEL_OCTETS_MAX = 63;

const refuse = (text, why) => new ArgumentError(`cannot ask for ${JSON.stringify(text)}: ${why}`);

function toAscii(text) {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  // What domainToASCII would take for the rest of a URL, or for an escape.
  if (/[\0-\x7f]/.test(text.replace(/[A-Za-z0-9._-]/g, ''))) {
    throw refuse(text, 'it has non-ASCII letters and characters that do not go with them');
  }
  const ascii = url.domainToASCII(text);
  if (ascii === '') throw refuse(text, 'it is no internationalized name');
  return ascii;
}

/** One character of a label, escapes resolved (RFC 1035 section 5.1): [octet, characters it took]. */
function nextOctet(text, rest) {
  const escaped = rest[0] === '\\';
  if (escaped && /^\\[0-9]/.test(rest)) {
    const digits = /^\\([0-9]{3})/.exec(rest);
    if (digits === null || Number(digits[1]) > 255) throw refuse(text, 'it has a bad \\ escape');
    return [Number(digits[1]), 4];
  }
  const character = escaped ? rest.slice(1, 2) : rest[0];
  if (!/^[!-~]$/.test(character)) {
    throw refuse(text, escaped ? 'it has a bad \\ escape' : 'it has a blank or a control character');
  }
  return [character.charCodeAt(0), escaped ? 2 : 1];
}

/** Its labels, each a list of octets. */
function labelsOf(text, ascii) {
  const labels = [];
  let label = [];
  for (let at = 0; at < ascii.length; ) {
    if (ascii[at] === '.') {
      labels.push(label);
      label = [];
      at += 1;
      continue;
    }
    const [octet, took] = nextOctet(text, ascii.slice(at, at + 4));
    label.push(octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet);
    at += took;
  }
  return label.length > 0 ? [...labels, label] : labels;
}

function written(octet) {
  const character = String.fromCharCode(octet);
  if (/[a-z0-9_*-]/.test(character)) return character;
  return character === '.' || character === '\\' ? `\\${character}` : `\\${String(octet).padStart(3, '0')}`;
}

/** The name as questions have it; a trailing dot is allowed, U-labels become A-labels. Throws ArgumentError. */
export function canonicalName(text) {
  if (typeof text !== 'string' || text === '') throw refuse(text, 'it is empty');
  const ascii = toAscii(text);
  if (ascii === '.') return '.';
  const labels = labelsOf(text, ascii);
  if (labels.some((label) => label.length === 0)) throw refuse(text, 'it has an empty label');
  if (labels.some((label) => label.length > LABEL_OCTETS_MAX)) throw refuse(text, 'it has a label longer than 63 octets');
  if (labels.reduce((sum, label) => sum + 1 + label.length, 1) > NAME_OCTETS_MAX) {
    throw refuse(text, 'it is longer than 255 octets');
  }
  return labels.map((label) => label.map(written).join('')).join('.');
}

/** As inet_ntop writes it: the last 32 bits of a mapped or compatible address in dots. */
function writtenIpv6(address) {
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const tail = /^(::(?:ffff:)?)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (tail === null) return short;
  const [high, low] = [parseInt(tail[2], 16), parseInt(tail[3], 16)];
  return `${tail[1]}${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** Of 4 or 16 octets. */
export function addressText(ip) {
  if (ip.length === 4) return ip.join('.');
  return writtenIpv6(Buffer.from(ip).toString('hex').match(/.{4}/g).join(':'));
}

/** null: it is none. */
function addressOf(text) {
  if (net.isIPv4(text)) return text;
  return net.isIPv6(text) && !text.includes('%') ? writtenIpv6(text) : null;
}

function bracketed(text, inner) {
  if (/[[\]]/.test(inner)) throw refuse(text, 'its brackets do not match');
  let address = addressOf(inner);
  if (address === null && /^ipv6:/i.test(inner) && inner.slice(5).includes(':')) address = addressOf(inner.slice(5));
  if (address !== null) return { text: `[${address}]`, name: address, isDomain: false, isAddress: true };
  const name = inner.includes(':') ? null : canonicalName(inner);
  if (name === null || /(^|\.)[0-9]+$/.test(name)) {
    throw refuse(text, 'what stands in brackets is neither an IP address nor a host name');
  }
  return { text: `[${name}]`, name, isDomain: false, isAddress: false };
}

/** A domain, "[host]" or "[address]". Throws ArgumentError. */
export function nextHop(text) {
  if (typeof text !== 'string' || text === '') throw refuse(text, 'it is empty');
  if (text.startsWith('[')) {
    if (text.length < 3 || !text.endsWith(']')) throw refuse(text, 'its brackets do not match');
    return bracketed(text, text.slice(1, -1));
  }
  if (text.includes(':')) throw refuse(text, 'it has a colon; the port is given apart, an IPv6 address in brackets');
  const name = canonicalName(text);
  if (addressOf(name) !== null) throw refuse(text, 'it is an IP address; write it in brackets, as [192.0.2.1]');
  return { text: name, name, isDomain: true, isAddress: false };
}
