// SPDX-License-Identifier: BSD-3-Clause
// A TLS connection to a host of a plan: what to offer, and whether it will do (RFC 7672 sections 2.2, 3, 8).
//
//     const socket = tls.connect({ socket: plain, ...tlsOptions(host) });
//     await once(socket, 'secureConnect');
//     const verdict = verdictOf(socket, plan, host);
//     if (!verdict.mayDeliver) ... next host; when none is left, keep the mail and try later
//
// The handshake itself never fails for the certificate's sake, and no CA store is read: the verdict follows.
import { constants } from 'node:crypto';
import net from 'node:net';
import { matchChain } from './match.js';

// None without a certificate or without encryption (RFC 7672 section 8.2).
const SUITES = 'DEFAULT:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=1';
const CHAIN_MAX = 32;

export const needsTls = (host) => host.policy === 'dane' || host.policy === 'tls-no-auth';

/** For SNI: the TLSA base domain where the policy rests on one, else the host's name; never an address. null: none. */
export function serverName(host) {
  if (needsTls(host)) return host.sni;
  return net.isIP(host.name) === 0 ? host.name : null;
}

/** For tls.connect. */
export function tlsOptions(host) {
  return {
    servername: serverName(host) ?? '',
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ca: [],
    minVersion: 'TLSv1.2',
    ciphers: SUITES,
    secureOptions: constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** DER, leaf first, each followed by the one that Node takes for its issuer; what else was sent it does not tell. */
export function peerChain(socket) {
  const chain = [];
  let certificate = socket.getPeerCertificate(true);
  while (certificate?.raw !== undefined && chain.length < CHAIN_MAX && !chain.some((der) => der.equals(certificate.raw))) {
    chain.push(certificate.raw);
    certificate = certificate.issuerCertificate;
  }
  return chain;
}

const verdict = (reason, mayDeliver, rest = {}) => ({
  mayDeliver,
  authenticated: false,
  forDomain: false,
  wouldRefuse: false,
  reason,
  match: null,
  ...rest,
});

/** An authenticated host is the domain's own (RFC 7672 section 2.2.1). */
const isSelectedSecurely = (plan) => plan.mxStatus === null || plan.mxStatus === 'secure';

function decideDane(match, plan) {
  const requirement = plan === null ? 'normal' : plan.requirement;
  const authenticated = match.verdict === 'match';
  // Nothing usable: as tls-no-auth (RFC 7672 section 2.2), which is not enough where DANE is mandatory (section 6).
  const noAuthWillDo = requirement === 'normal' || requirement === 'audit';
  const good = authenticated || (match.verdict === 'unusable' && noAuthWillDo);
  const wouldRefuse = !good && requirement === 'audit';
  const forDomain = authenticated && plan !== null && isSelectedSecurely(plan);
  const reason = match.reason + (wouldRefuse ? ' (let through by audit)' : '');
  return verdict(reason, good || wouldRefuse, { authenticated, forDomain, wouldRefuse, match });
}

/** Use a plan, or the answer about a host, only while this is false. */
export const hasExpired = (planOrHost, nowMs = Date.now()) => planOrHost.expiresAtMs !== null && nowMs >= planOrHost.expiresAtMs;

export const EXPIRED = 'the plan has expired: ask for a new one';

/** As verdictOf, of the certificates that any TLS library hands out. plan: null for a host asked alone. */
export function verdictOfChain(chain, plan, host, nowMs = Date.now()) {
  if (hasExpired(plan ?? host, nowMs)) return verdict(EXPIRED, false);
  switch (host.policy) {
    case 'dane':
      return decideDane(matchChain(chain, host.tlsa, host.referenceNames, nowMs), plan);
    case 'tls-no-auth':
    case 'opportunistic':
      return verdict('encrypted, not authenticated: the policy asks for no more', true, { wouldRefuse: host.wouldRefuse });
    default:
      return verdict('the host is unreachable by policy', false);
  }
}

/** After 'secureConnect'; again for each further domain over the same connection, with its own plan. */
export function verdictOf(socket, plan, host, nowMs = Date.now()) {
  if (socket.getProtocol() === null) throw new TypeError('the handshake is not finished');
  return verdictOfChain(peerChain(socket), plan, host, nowMs);
}

/** Of a host that is to get the mail without TLS. */
export function verdictInClear(why, plan, host, nowMs = Date.now()) {
  if (hasExpired(plan, nowMs)) return verdict(EXPIRED, false);
  const audit = plan.requirement === 'audit';
  const mayDeliver = host.policy === 'opportunistic' || (audit && needsTls(host));
  return verdict(`in clear: ${why}`, mayDeliver, { wouldRefuse: host.wouldRefuse || (audit && needsTls(host)) });
}
