// SPDX-License-Identifier: BSD-3-Clause
// The protocol's messages, frames, and the fields of a response as they came (docs/PROTOCOL.md, "Framing").
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { ProtocolError } from './errors.js';

// Beside this file in the package, in its own place in the source tree.
const PROTO = ['./resolverd.proto', '../../../proto/resolverd.proto']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path));
const root = protobuf.loadSync(PROTO);
const type = (name) => root.lookupType(`resolverd.v1.${name}`);

export const Request = type('Request');
export const Response = type('Response');
export const SignedAnswer = type('SignedAnswer');
export const Answer = type('Answer');
export const Delegation = type('Delegation');

export const RESPONSE_MAX = 1 << 20;
export const HEADER_BYTES = 4;
const ANSWERS_FIELD = 3; // of a Response
const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 };

export function frame(body) {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
}

/** Takes whole frames out of what has come: {bodies, rest}. Throws ProtocolError. */
export function takeFrames(data) {
  const bodies = [];
  let at = 0;
  while (data.length - at >= HEADER_BYTES) {
    const length = data.readUInt32BE(at);
    if (length === 0 || length > RESPONSE_MAX) throw new ProtocolError(`a response of ${length} bytes`);
    if (data.length - at - HEADER_BYTES < length) break;
    bodies.push(data.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length));
    at += HEADER_BYTES + length;
  }
  return { bodies, rest: data.subarray(at) };
}

/** Of a number on the wire; those above 2^53 lose their last bits, and times never get there. */
export const toNumber = (value) => (typeof value === 'number' ? value : value.toNumber());

/** The message, or null where the bytes are none. */
export function decode(message, bytes) {
  try {
    return message.decode(bytes);
  } catch {
    return null;
  }
}

/** The bytes of each SignedAnswer: what is attested, and what is checked. Throws ProtocolError. */
export function splitAnswers(response) {
  const answers = [];
  const reader = protobuf.Reader.create(response);
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (![WIRE.VARINT, WIRE.FIXED64, WIRE.BYTES, WIRE.FIXED32].includes(tag & 7)) throw new RangeError('a group');
      if (tag === ((ANSWERS_FIELD << 3) | WIRE.BYTES)) answers.push(Buffer.from(reader.bytes()));
      else reader.skipType(tag & 7);
    }
  } catch {
    throw new ProtocolError('a malformed response');
  }
  return answers;
}
