# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong. None of it may lead to a delivery without the policy, nor to a permanent failure: the mail is delayed."""

from typing import Optional


class Error(Exception):
    """Any failure of this package."""


class ArgumentError(Error, ValueError):
    """A name, port or type that cannot be asked."""


class NoDaemonError(Error):
    """No connection to the daemon, or it was lost twice."""


class TimeoutError(Error):  # pylint: disable=redefined-builtin
    """No answer in time."""


class PublicKeyError(Error):
    """The file of trusted keys is unreadable or bad."""


class VerifyError(Error):
    """An answer that does not verify: nothing of it may be used."""


class ProtocolError(Error):
    """The daemon broke the protocol."""


class RefusedError(Error):
    """The daemon refused the request."""


class BusyError(Error):
    """The daemon is busy: ask again after `retry_after_ms`."""

    def __init__(self, text: str, retry_after_ms: Optional[int] = None):
        super().__init__(text)
        self.retry_after_ms = retry_after_ms
