// SPDX-License-Identifier: BSD-3-Clause
// Words are those of docs/JSON.md; times are milliseconds since the Unix epoch. Results are verified: use them only until expiresAtMs.
import type { TLSSocket, ConnectionOptions } from 'node:tls';
import type { Socket } from 'node:net';

export type Status = 'secure' | 'insecure' | 'bogus' | 'error';
export type TlsaStatus = Status | 'absent' | 'not-queried';
export type Policy = 'dane' | 'tls-no-auth' | 'opportunistic' | 'unreachable';
export type Requirement = 'normal' | 'mandatory' | 'audit' | 'off';
export type Outcome = 'deliver' | 'delay' | 'no-mail' | 'no-such-domain' | 'no-host';

export interface Address {
  ip: string;
  status: Status;
}

/** RFC 6698 section 2.1. */
export interface Tlsa {
  usage: number;
  selector: number;
  matchingType: number;
  data: Buffer;
}

/** A zone the daemon's operator declared insecure for a time (RFC 7646). For people: the statuses already tell it. */
export interface InsecureZone {
  zone: string;
  untilMs: number;
}

/** One host of a plan, or the answer about one host. */
export interface Host {
  /** For an address literal the address. */
  name: string;
  port: number;
  preference: number;
  /** Obey this. */
  policy: Policy;
  /** Why, as a word. */
  reason: string;
  /** Why, for people. */
  reasonText: string;
  /** Requirement audit: were it not for audit, policy would be unreachable. */
  wouldRefuse: boolean;
  /** Best of the two families. */
  addressStatus: Status;
  addresses: Address[];
  tlsaStatus: TlsaStatus;
  tlsaBase: string | null;
  tlsaOwner: string | null;
  /** Usable set after digest agility (RFC 7671 section 9). */
  tlsa: Tlsa[];
  /** To send (RFC 7672 section 8.1); null unless policy is dane or tls-no-auth. */
  sni: string | null;
  /** For usage 2 alone (RFC 7672 section 3.2.2); empty unless policy is dane. */
  referenceNames: string[];
  /** null: no answer was used. */
  validatedAtMs: number | null;
  expiresAtMs: number | null;
  keyId: string | null;
  insecureZones: InsecureZone[];
  attested: boolean;
  /** The member of the fleet that found it (in a plan: its route); null: our daemon itself. */
  origin: string | null;
}

/** Try the hosts in order, those that are unreachable left out. */
export interface Plan {
  /** Canonical, brackets kept. */
  nextHop: string;
  port: number;
  outcome: Outcome;
  /** For people. */
  reason: string;
  /** Empty when the route alone decides. */
  hosts: Host[];
  requirement: Requirement;
  /** The override that set it. */
  requirementSource: string | null;
  requirementReason: string | null;
  /** When it lapses; null: never. */
  requirementUntilMs: number | null;
  /** Requirement audit: without it, outcome would be delay. */
  wouldRefuse: boolean;
  /** null: next hop in brackets, no MX step. */
  mxStatus: Status | null;
  /** No MX record: the domain is its own host. */
  mxImplicit: boolean;
  /** The next hop after CNAMEs. */
  expanded: string;
  /** Of the oldest answer used. */
  validatedAtMs: number;
  /** Of the shortest. */
  expiresAtMs: number;
  /** false: use it once, now. */
  cacheable: boolean;
  /** An answer has ended and can't be looked up now, and the operator allows that for a time (RFC 8767). */
  stale: boolean;
  keyIds: string[];
  insecureZones: InsecureZone[];
  attested: boolean;
  /** The member of the fleet that found it (in a plan: its route); null: our daemon itself. */
  origin: string | null;
}

export interface Rrset {
  owner: string;
  type: number;
  ttlS: number;
  /** Wire format, names not compressed. */
  rdata: Buffer[];
  /** RDATA of the RRSIGs that cover it. */
  rrsig: Buffer[];
}

export interface Records {
  name: string;
  type: number;
  status: Status;
  /** For people, may be empty. */
  reason: string;
  /** 0 NOERROR, 3 NXDOMAIN; for status error the one seen. */
  rcode: number;
  /** Aliases followed, in order. */
  chain: Rrset[];
  /** Empty: no such data. */
  answer: Rrset[];
  /** Proofs of absence. */
  authority: Rrset[];
  validatedAtMs: number;
  expiresAtMs: number;
  cacheable: boolean;
  keyId: string;
  insecureZones: InsecureZone[];
  attested: boolean;
  /** The member of the fleet that found it (in a plan: its route); null: our daemon itself. */
  origin: string | null;
}

/** Not signed: for people and monitoring. */
export interface DaemonStatus {
  version: string;
  member: string;
  ready: boolean;
  notReadyReason: string;
  checks: { name: string; good: boolean; detail: string }[];
  /** Delegations that pass. */
  usableKeys: number;
}

export interface ClientOptions {
  /** Path of the daemon's socket. */
  socket?: string | undefined;
  /** Path of the file of trusted keys. */
  publicKey?: string | undefined;
  /** Demand proof with each answer that it is of this moment (docs/PROTOCOL.md, "Attestation"). */
  attest?: boolean | undefined;
  /** For each call. */
  timeoutMs?: number | undefined;
  /** For tests. */
  now?: (() => number) | undefined;
}

/** Connects when first asked; any number of calls at once. Each rejects with a ResolverdError. */
export class Client {
  constructor(options?: ClientOptions);
  /** How to deliver to a domain, "[host]" or "[address]". */
  plan(domain: string, port?: number): Promise<Plan>;
  /** Addresses and TLSA records of one host, and the policy if it was securely selected. */
  host(name: string, port?: number): Promise<Host>;
  /** One RRset, by the number of its type. */
  records(name: string, type: number): Promise<Records>;
  status(): Promise<DaemonStatus>;
  /** The connection; another call opens a new one. */
  close(): void;
}

export const DEFAULT_SOCKET: string;
export const DEFAULT_PUBLIC_KEY: string;

// ---- errors: none of them may lead to a delivery without the policy, nor to a permanent failure, but for isPermanent ----

export class ResolverdError extends Error {}
/** A name, port or type that cannot be asked. */
export class ArgumentError extends ResolverdError {}
export class NoDaemonError extends ResolverdError {}
export class TimeoutError extends ResolverdError {}
export class PublicKeyError extends ResolverdError {}
/** An answer that does not verify: nothing of it may be used. */
export class VerifyError extends ResolverdError {}
export class ProtocolError extends ResolverdError {}
export class RefusedError extends ResolverdError {}
export class BusyError extends ResolverdError {
  retryAfterMs: number | null;
}
/** The mail must not or cannot go now. Not permanent: keep it and try later; never send it in another way. */
export class UndeliverableError extends ResolverdError {
  isPermanent: boolean;
  /** What stood in the way at each host and address. */
  causes: string[];
}

// ---- matching ----

export interface MatchResult {
  /** unusable: no record is, there is nothing to authenticate by. */
  verdict: 'match' | 'no-match' | 'unusable';
  /** For people. */
  reason: string;
  /** RFC 8460 section 4.3; empty for a match. */
  failureType: string;
  /** Of a match: the index of the record. */
  record: number | null;
  /** And where in the path it matched; 0 is the leaf. */
  depth: number | null;
  /** Usage 2: the reference name that the certificate has. */
  matchedName: string | null;
}

/** chain: DER certificates as sent, leaf first. names: reference names for usage 2. */
export function matchChain(chain: Buffer[], tlsa: Tlsa[], names: string[], nowMs?: number): MatchResult;

export interface Verdict {
  /** The mail may go over this connection. */
  mayDeliver: boolean;
  /** Policy dane, and the chain matched. */
  authenticated: boolean;
  /** Authenticated, by a securely found MX, hence for the domain. */
  forDomain: boolean;
  /** Requirement audit: let through all the same. */
  wouldRefuse: boolean;
  /** For people. */
  reason: string;
  /** null: nothing was to match. */
  match: MatchResult | null;
}

/** For tls.connect, beside `socket`: what to offer to this host. */
export function tlsOptions(host: Host): ConnectionOptions;
/** For SNI; null: none. */
export function serverName(host: Host): string | null;
export function needsTls(host: Host): boolean;
/** DER, leaf first. */
export function peerChain(socket: TLSSocket): Buffer[];
/** After 'secureConnect'; again for each further domain over the same connection. plan: null for a host asked alone. */
export function verdictOf(socket: TLSSocket, plan: Plan | null, host: Host, nowMs?: number): Verdict;
/** As verdictOf, of the certificates that any TLS library hands out. */
export function verdictOfChain(chain: Buffer[], plan: Plan | null, host: Host, nowMs?: number): Verdict;
export function hasExpired(planOrHost: Plan | Host, nowMs?: number): boolean;

// ---- mail ----

export interface ConnectOptions {
  /** To say in EHLO; this machine's name when none is given. */
  name?: string | undefined;
  /** For each wait. */
  timeoutMs?: number | undefined;
}

export interface OpenConnection {
  /** A TLSSocket, or in clear where the policy allows it. Under TLS nothing was said yet. */
  socket: Socket | TLSSocket;
  verdict: Verdict;
  host: Host;
  address: string;
}

/** Over which mail for the plan's next hop may go. Rejects with UndeliverableError. */
export function connect(plan: Plan, options?: ConnectOptions): Promise<OpenConnection>;

/** Of one recipient that the mail was not given over for. */
export interface RecipientError extends Error {
  recipient: string;
  isPermanent: boolean;
}

/** What sendMail resolves to; when no recipient was accepted it rejects with an error that has the last two of these. */
export interface DaneSentInfo {
  envelope: { from: string | false; to: string[] };
  messageId: string;
  accepted: string[];
  response: string;
  /** By domain; null: no connection. */
  verdicts: Record<string, Verdict | null>;
  rejected: string[];
  rejectedErrors: RecipientError[];
}

/** For nodemailer.createTransport: a plan for each recipient's domain, and the mail to hosts that may have it alone. */
export class DaneTransport {
  constructor(client: Client, options?: ConnectOptions & { port?: number | undefined });
  name: string;
  version: string;
  send(mail: unknown, callback: (error: Error | null, info: DaneSentInfo) => void): void;
}
