// SPDX-License-Identifier: BSD-3-Clause
// The protocol's words (proto/resolverd.proto) as docs/JSON.md writes them, in the order of their numbers on the wire, from 1.
// 0 and what this version does not know read as the strictest value (docs/PROTOCOL.md, "Extending").

const reader = (words, strictest) => (number) =>
  Number.isInteger(number) && number >= 1 && number <= words.length ? words[number - 1] : strictest;

export const statusWord = reader(['secure', 'insecure', 'bogus', 'error'], 'error');
export const tlsaStatusWord = reader(['secure', 'insecure', 'bogus', 'error', 'absent', 'not-queried'], 'error');
export const policyWord = reader(['dane', 'tls-no-auth', 'opportunistic', 'unreachable'], 'unreachable');
export const requirementWord = reader(['normal', 'mandatory', 'audit', 'off'], 'mandatory');

export const Status = { SECURE: 1, INSECURE: 2 };
export const Policy = { UNSPECIFIED: 0, DANE: 1, TLS_NO_AUTH: 2, OPPORTUNISTIC: 3, UNREACHABLE: 4 };
export const Requirement = { NORMAL: 1, MANDATORY: 2, AUDIT: 3, OFF: 4 };
export const InsecureMx = { DANE: 1, OPPORTUNISTIC: 2 };
export const RouteKind = { MX: 1, IMPLICIT_MX: 2, NULL_MX: 3, NO_SUCH_DOMAIN: 4, NO_MX_STEP: 5 };
export const Kind = { ROUTE: 1, HOST: 2, RECORDS: 3 };
export const Scope = { ANSWERS: 1 };
export const ErrorCode = { MALFORMED: 1, BUSY: 4, SHUTTING_DOWN: 5 };

const REASONS = [
  ['unknown', 'the reason is not known to this version'],
  ['tlsa-usable', 'secure TLSA records: the certificate must match'],
  ['tlsa-all-unusable', 'secure TLSA records, none usable: TLS without authentication'],
  ['tlsa-denied', 'securely no TLSA records: DANE does not apply'],
  ['tlsa-not-secure', 'DNSSEC does not secure the TLSA answer: DANE does not apply'],
  ['address-not-secure', "DNSSEC does not secure the host's addresses: DANE does not apply"],
  ['address-literal', 'an IP address: DANE does not apply'],
  ['no-address', 'the host has no address'],
  ['address-failed', 'the address lookup failed'],
  ['tlsa-failed', 'the TLSA lookup failed: the host must not be used'],
  ['tlsa-too-many', 'more than 32 TLSA records'],
  ['mx-too-many', 'beyond the first 16 MX hosts'],
  ['not-ready', 'no answer within the deadline'],
  ['mandatory-not-dane', 'local policy demands DANE, and this host has none'],
  ['insecure-mx-refused', 'DNSSEC does not secure the MX records; local policy refuses such hosts'],
  ['insecure-mx-ignored', 'DNSSEC does not secure the MX records; local policy leaves DANE aside'],
  ['requirement-off', 'local policy turns DANE off for this next hop'],
  ['audit-only', 'would be refused; local policy is audit only'],
  ['answer-missing', 'no verified answer for this host'],
];

/** Why a host has its policy: the numbers by the words in capitals, as in the protocol. */
export const Reason = Object.fromEntries(
  REASONS.map(([word], number) => [word.toUpperCase().replaceAll('-', '_'), number]),
);

const reason = (number) => REASONS[number] ?? REASONS[0];
export const reasonWord = (number) => reason(number)[0];
/** A sentence for people. */
export const reasonText = (number) => reason(number)[1];
