// SPDX-License-Identifier: BSD-3-Clause
// Paths from a leaf to what issued it (RFC 5280 section 6), for usage DANE-TA(2). No CA store is read. A path with name constraints never
// holds: they are not evaluated here. docs/DELIVERY.md says how a chain is matched, README.md where this package refuses what the C
// library takes.

const PATH_MAX = 11; // leaf, nine between, anchor
const SIGNATURES_MAX = 64; // verified for one chain: a peer can't keep us busy

export class Budget {
  left = SIGNATURES_MAX;

  spend() {
    this.left -= 1;
    return this.left >= 0;
  }
}

/** Every way up from the last of `path` in which each certificate signed the one before it, shortest first. */
export function* climb(path, others, budget) {
  yield path;
  if (path.length === PATH_MAX) return;
  const top = path[path.length - 1];
  for (const issuer of others) {
    if (path.includes(issuer) || !issuer.subject.equals(top.issuer) || !budget.spend()) continue;
    if (top.isSignedBy(issuer.key)) yield* climb([...path, issuer], others, budget);
  }
}

function mayIssue({ basicConstraints, keyUsage, hasNameConstraints }, certificatesBetween) {
  return (
    basicConstraints !== null &&
    basicConstraints.ca &&
    (basicConstraints.pathLength === null || certificatesBetween <= basicConstraints.pathLength) &&
    (keyUsage === null || keyUsage.maySignCertificates) &&
    !hasNameConstraints
  );
}

/** null: the path holds. Else {byDates, why}, for people. Signatures are those of climb(). */
export function faultOf(path, nowMs) {
  let between = 0;
  for (const [depth, certificate] of path.entries()) {
    const { extensions } = certificate;
    const fault = (why) => ({ byDates: false, why: `the certificate at depth ${depth} ${why}` });
    if (extensions === null) return fault('has an extension that cannot be read or is not understood');
    if (certificate.key === null) return fault('has a key that is too weak or unknown');
    const mayServe = depth > 0 || extensions.keyUsage === null || extensions.keyUsage.mayServe;
    if (!certificate.isForServers || !mayServe) return fault('is not for TLS servers');
    if (depth > 0 && !mayIssue(extensions, between)) return fault('may not issue this, or has name constraints');
    if (depth > 0 && !certificate.subject.equals(certificate.issuer)) between += 1;
  }
  const depth = path.findIndex((certificate) => !certificate.isInTime(nowMs));
  return depth < 0 ? null : { byDates: true, why: `the certificate at depth ${depth} has expired or is not yet valid` };
}

export const isKeyAbove = (path, key, budget) => budget.spend() && path[path.length - 1].isSignedBy(key);
