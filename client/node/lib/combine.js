// SPDX-License-Identifier: BSD-3-Clause
// The combination table of docs/PROTOCOL.md: what a route and the answer about a host make of that host, and all hosts of the plan.
// Pure. Numbers are those of proto/resolverd.proto; those unknown to this version, and 0, fail closed. tests/vectors/plan.json is the
// table as data.
import { InsecureMx, Policy, Reason, Requirement, RouteKind, Status } from './words.js';

/** Of a route: how many MX hosts are looked at. */
export const HOSTS_MAX = 16;

const combined = (policy, reason, names = 'none', wouldRefuse = false) => ({ policy, reason, names, wouldRefuse });
const unreachable = (reason) => combined(Policy.UNREACHABLE, reason);

/** The rows of requirement normal. */
function combineNormal(mxStatus, insecureMxPolicy, policy, reason) {
  const mxSecure = mxStatus === Status.SECURE;
  if (!mxSecure && mxStatus !== Status.INSECURE) return unreachable(Reason.ADDRESS_FAILED);
  if (policy === Policy.OPPORTUNISTIC) return combined(policy, reason);
  if (policy === Policy.UNREACHABLE) return unreachable(reason);
  if (policy !== Policy.DANE && policy !== Policy.TLS_NO_AUTH) return unreachable(Reason.UNKNOWN);
  if (!mxSecure && insecureMxPolicy === InsecureMx.OPPORTUNISTIC) {
    return combined(Policy.OPPORTUNISTIC, Reason.INSECURE_MX_IGNORED);
  }
  if (!mxSecure && insecureMxPolicy !== InsecureMx.DANE) return unreachable(Reason.INSECURE_MX_REFUSED);
  if (policy === Policy.TLS_NO_AUTH) return combined(policy, reason);
  return combined(policy, reason, mxSecure ? 'base-and-next-hop' : 'base');
}

/** Only DANE or local policy is in the way, never an address. */
function isConnectable(mxStatus, host, policy, reason) {
  return (
    (mxStatus === Status.SECURE || mxStatus === Status.INSECURE) &&
    (host.policy !== Policy.UNREACHABLE ||
      policy === Policy.DANE ||
      policy === Policy.TLS_NO_AUTH ||
      (policy === Policy.UNREACHABLE && (reason === Reason.TLSA_FAILED || reason === Reason.TLSA_TOO_MANY)))
  );
}

export function combineHost(mxStatus, requirement, insecureMxPolicy, policy, reason) {
  const host = combineNormal(mxStatus, insecureMxPolicy, policy, reason);
  const connectable = isConnectable(mxStatus, host, policy, reason);
  switch (requirement) {
    case Requirement.NORMAL:
      return host;
    case Requirement.AUDIT:
      return host.policy === Policy.UNREACHABLE && connectable
        ? combined(Policy.OPPORTUNISTIC, Reason.AUDIT_ONLY, 'none', true)
        : host;
    case Requirement.OFF:
      return connectable && host.policy !== Policy.OPPORTUNISTIC
        ? combined(Policy.OPPORTUNISTIC, Reason.REQUIREMENT_OFF)
        : host;
    default: // mandatory, and whatever this version does not know
      return host.policy !== Policy.UNREACHABLE && (host.policy !== Policy.DANE || mxStatus !== Status.SECURE)
        ? unreachable(Reason.MANDATORY_NOT_DANE)
        : host;
  }
}

/** The outcome when the route alone decides it, else null. */
export function combineRoute(kind, mxStatus) {
  if (mxStatus !== Status.SECURE && mxStatus !== Status.INSECURE) return 'delay';
  switch (kind) {
    case RouteKind.NULL_MX:
      return 'no-mail';
    case RouteKind.NO_SUCH_DOMAIN:
      return 'no-such-domain';
    case RouteKind.MX:
    case RouteKind.IMPLICIT_MX:
    case RouteKind.NO_MX_STEP:
      return null;
    default:
      return 'delay';
  }
}

/** Of a route that does not decide alone. */
export function combinePlan(requirement, hosts) {
  const reachable = hosts.filter((host) => host.policy !== Policy.UNREACHABLE);
  if (reachable.length > 0) {
    const wouldRefuse = requirement === Requirement.AUDIT && reachable.every((host) => host.wouldRefuse);
    return { outcome: 'deliver', wouldRefuse };
  }
  const noAddress = hosts.length > 0 && hosts.every((host) => host.reason === Reason.NO_ADDRESS);
  return { outcome: noAddress ? 'no-host' : 'delay', wouldRefuse: false };
}
