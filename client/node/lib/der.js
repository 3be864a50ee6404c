// SPDX-License-Identifier: BSD-3-Clause
// DER (X.690 section 10), as much of it as certificates need: low tags, definite and shortest lengths.

export const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTF8_STRING: 0x0c,
  PRINTABLE_STRING: 0x13,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
};

/** Not DER, or not of the outline it must have. */
export class MalformedError extends Error {}

function lengthAt(data, at) {
  const first = data[at];
  if (first < 0x80) return { length: first, next: at + 1 };
  const octets = first & 0x7f;
  if (octets < 1 || octets > 4 || data.length - at - 1 < octets) throw new MalformedError('not DER');
  const length = data.readUIntBE(at + 1, octets);
  if (length < (octets === 1 ? 0x80 : 2 ** (8 * (octets - 1)))) throw new MalformedError('not DER');
  return { length, next: at + 1 + octets };
}

/** What stands side by side: a list of {tag, der: tag and length included, content}. Throws MalformedError. */
export function elements(data) {
  const found = [];
  for (let at = 0; at < data.length; ) {
    if (data.length - at < 2 || (data[at] & 0x1f) === 0x1f) throw new MalformedError('not DER');
    const { length, next } = lengthAt(data, at + 1);
    if (length > data.length - next) throw new MalformedError('not DER');
    found.push({ tag: data[at], der: data.subarray(at, next + length), content: data.subarray(next, next + length) });
    at = next + length;
  }
  return found;
}

/** The content of exactly one element of that tag. Throws MalformedError. */
export function only(data, tag) {
  const found = elements(data);
  if (found.length !== 1 || found[0].tag !== tag) throw new MalformedError(`not one element of tag ${tag}`);
  return found[0].content;
}

/** What stands in exactly one SEQUENCE. Throws MalformedError. */
export const sequence = (data) => elements(only(data, TAG.SEQUENCE));

/** Throws MalformedError. */
export function boolean({ tag, content }) {
  if (tag !== TAG.BOOLEAN || content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw new MalformedError('no BOOLEAN');
  }
  return content[0] === 0xff;
}

/** Of a small INTEGER that is not negative. Throws MalformedError. */
export function smallInteger({ tag, content }) {
  if (tag !== TAG.INTEGER || content.length < 1 || content.length > 4 || content[0] >= 0x80) throw new MalformedError('no INTEGER');
  return content.readUIntBE(0, content.length);
}

/** Milliseconds since the Unix epoch (RFC 5280 section 4.1.2.5). Throws MalformedError. */
export function time({ tag, content }) {
  const form = tag === TAG.UTC_TIME ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const parts = tag === TAG.UTC_TIME || tag === TAG.GENERALIZED_TIME ? form.exec(content.toString('latin1')) : null;
  if (parts === null) throw new MalformedError('no time');
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(tag === TAG.UTC_TIME ? year + (year < 50 ? 2000 : 1900) : year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || date.getUTCSeconds() !== second) {
    throw new MalformedError('no time');
  }
  return date.getTime();
}
