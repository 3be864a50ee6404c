// SPDX-License-Identifier: BSD-3-Clause
// What can go wrong. None of it may lead to a delivery without the policy, nor to a permanent failure: the mail is delayed.

/** Any failure of this package. */
export class ResolverdError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A name, port or type that cannot be asked. */
export class ArgumentError extends ResolverdError {}
/** No connection to the daemon, or it was lost twice. */
export class NoDaemonError extends ResolverdError {}
/** No answer in time. */
export class TimeoutError extends ResolverdError {}
/** The file of trusted keys is unreadable or bad. */
export class PublicKeyError extends ResolverdError {}
/** An answer that does not verify: nothing of it may be used. */
export class VerifyError extends ResolverdError {}
/** The daemon broke the protocol. */
export class ProtocolError extends ResolverdError {}
/** The daemon refused the request. */
export class RefusedError extends ResolverdError {}

/** The daemon is busy: ask again after retryAfterMs. */
export class BusyError extends ResolverdError {
  constructor(message, retryAfterMs) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** No delegation for the key that signed: ask for the status once more, then check again. */
export class UnknownKeyError extends VerifyError {}
/** Good when it was sent, over when it was checked: ask once more. */
export class ExpiredError extends VerifyError {}

/**
 * The mail must not or cannot go now. isPermanent false: keep it and try later; never send it in another way.
 * causes: what stood in the way at each host and address.
 */
export class UndeliverableError extends ResolverdError {
  constructor(reason, isPermanent = false, causes = []) {
    super([reason, ...causes].join('; '));
    this.isPermanent = isPermanent;
    this.causes = causes;
  }
}
