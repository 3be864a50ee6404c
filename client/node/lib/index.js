// SPDX-License-Identifier: BSD-3-Clause
// How may I deliver mail to this domain right now? A client of the resolverd daemon; README.md is the manual.
export { Client, DEFAULT_PUBLIC_KEY, DEFAULT_SOCKET } from './client.js';
export {
  ArgumentError, BusyError, NoDaemonError, ProtocolError, PublicKeyError, RefusedError, ResolverdError, TimeoutError,
  UndeliverableError, VerifyError,
} from './errors.js';
export { matchChain } from './match.js';
export { DaneTransport } from './nodemailer.js';
export { connect } from './smtp.js';
export { hasExpired, needsTls, peerChain, serverName, tlsOptions, verdictOf, verdictOfChain } from './tls.js';
