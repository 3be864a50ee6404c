# SPDX-License-Identifier: BSD-3-Clause
"""A session with the daemon: synchronous, one request at a time, safe to share among threads.

Connects when first asked. Whatever comes back is verified before the caller sees it. After a fork use a client in one process only.
"""

import os
import socket
import threading
import time
from types import TracebackType
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type, TypeVar, Union

from google.protobuf.message import DecodeError

from . import resolverd_pb2 as pb
from .attestation import NONCE_BYTES, check_attestation, leaf_of
from .combine import HOSTS_MAX
from .errors import ArgumentError, BusyError, NoDaemonError, ProtocolError, RefusedError, TimeoutError, VerifyError
from .keys import Keyring, load_trusted_keys
from .names import NextHop, canonical_name, next_hop
from .results import DaemonStatus, Host, Plan, Records
from .verify import ExpiredError, Question, UnknownKeyError, Verified, verify_answer
from .view import view_host, view_plan, view_records
from .wire import HEADER_BYTES, frame, frame_length, split_answers

DEFAULT_SOCKET = "/run/resolverd/resolverd.sock"
DEFAULT_PUBLIC_KEY = "/run/resolverd/resolverd.pub"
_QUEUE_FULL_PAUSE_S = 0.01  # the daemon's listen queue is full

_R = TypeVar("_R")
_Path = Union[str, "os.PathLike[str]"]


class _Exchange(NamedTuple):
    nonce: bytes
    request: bytes  # as it was sent
    response: pb.Response
    answers: List[bytes]


def _raise_error(error: pb.Error) -> None:
    text = f"the daemon refused the request: {error.text}"
    if error.code == pb.BUSY:
        raise BusyError(f"the daemon is busy: {error.text}", error.retry_after_ms or None)
    if error.code == pb.SHUTTING_DOWN:
        raise NoDaemonError(f"the daemon is shutting down: {error.text}")
    if error.code == pb.MALFORMED:
        raise ProtocolError(text)
    raise RefusedError(text)


def _checked_port(port: int) -> int:
    if not 1 <= port <= 65535:
        raise ArgumentError(f"{port} is no port")
    return port


class Client:
    """attest: with each request demand proof that the answers are of this moment (docs/PROTOCOL.md, "Attestation").

    timeout: seconds, for each call. clock: seconds since the Unix epoch, for tests.
    """

    def __init__(self, socket_path: _Path = DEFAULT_SOCKET, public_key: _Path = DEFAULT_PUBLIC_KEY, *, attest: bool = False,
                 timeout: float = 10.0, clock: Callable[[], float] = time.time):
        self._path = os.fspath(socket_path)
        self._public_key = public_key
        self._attest = attest
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._socket: Optional[socket.socket] = None
        self._keyring: Optional[Keyring] = None
        self._last_id = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """The connection; another call opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # ---- what one asks ----

    def plan(self, domain: str, port: int = 25) -> Plan:
        """How to deliver to a domain, "[host]" or "[address]"."""
        hop, port = next_hop(domain), _checked_port(port)
        return self._ask(lambda exchange: self._read_plan(exchange, hop, port), "plan",
                         lambda deadline_ms: pb.PlanRequest(next_hop=hop.text, port=port, deadline_ms=deadline_ms))

    def host(self, name: str, port: int = 25) -> Host:
        """Addresses and TLSA records of one host, and the policy if it was securely selected."""
        name, port = canonical_name(name), _checked_port(port)
        question = Question(pb.HOST, (name,), port=port)
        return self._ask(lambda exchange: view_host(self._read_only_answer(exchange, question)), "host",
                         lambda deadline_ms: pb.HostRequest(name=name, port=port, deadline_ms=deadline_ms))

    def records(self, name: str, rrtype: int) -> Records:
        """One RRset, by the number of its type."""
        name = canonical_name(name)
        if not 1 <= rrtype <= 65535:
            raise ArgumentError(f"{rrtype} is no type")
        question = Question(pb.RECORDS, (name,), type=rrtype)
        return self._ask(lambda exchange: view_records(self._read_only_answer(exchange, question)), "records",
                         lambda deadline_ms: pb.RecordsRequest(name=name, type=rrtype, deadline_ms=deadline_ms))

    def status(self) -> DaemonStatus:
        """Of the daemon; unsigned."""
        with self._lock:
            keyring, status = self._learn_keys(time.monotonic() + self._timeout)
        checks = tuple((check.name, check.good, check.detail) for check in status.checks)
        return DaemonStatus(status.version, status.member, status.ready, status.not_ready_reason, checks, len(keyring))

    # ---- verification ----

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _ask(self, read: Callable[[_Exchange], _R], kind: str, body: Callable[[int], Any]) -> _R:
        """Asks, and once more if the answer expired on its way."""
        deadline = time.monotonic() + self._timeout
        with self._lock:
            try:
                return self._ask_once(read, kind, body, deadline)
            except ExpiredError:
                return self._ask_once(read, kind, body, deadline)

    def _ask_once(self, read: Callable[[_Exchange], _R], kind: str, body: Callable[[int], Any], deadline: float) -> _R:
        deadline_ms = max(1, int((deadline - time.monotonic()) * 900))  # it answers with what it has a little before we stop listening
        nonce = os.urandom(NONCE_BYTES) if self._attest else b""
        exchange = self._exchange({kind: body(deadline_ms)}, nonce, deadline)
        if self._keyring is None:
            self._learn_keys(deadline)
        try:
            return read(exchange)
        except UnknownKeyError:
            self._learn_keys(deadline)
        try:
            return read(exchange)
        except UnknownKeyError as error:
            why = self._keyring.why_empty if self._keyring is not None else ""
            raise VerifyError(f"{error}: {why}") from None

    def _learn_keys(self, deadline: float) -> Tuple[Keyring, pb.StatusResponse]:
        trusted = load_trusted_keys(self._public_key)
        status = self._exchange({"status": pb.StatusRequest()}, b"", deadline).response.status
        self._keyring = Keyring(trusted, status.delegations, self._now_ms())
        return self._keyring, status

    def _check_attestation(self, exchange: _Exchange, keyring: Keyring) -> bool:
        if not self._attest:
            return False
        if not exchange.response.HasField("attestation"):
            raise VerifyError("the response is not attested: no attestation came with it")
        leaf = leaf_of(exchange.nonce, exchange.request, exchange.answers)
        check_attestation(exchange.response.attestation, leaf, keyring, self._now_ms())
        return True

    def _read_answers(self, exchange: _Exchange, questions: Callable[[List[Verified]], Question]) -> List[Verified]:
        """Each answer of a response verified; `questions` tells from those before it what the next must be about."""
        assert self._keyring is not None
        attested = self._check_attestation(exchange, self._keyring)
        read: List[Verified] = []
        for signed in exchange.answers:
            read.append(verify_answer(signed, questions(read), self._keyring, self._now_ms(), attested))
        return read

    def _read_only_answer(self, exchange: _Exchange, question: Question) -> Verified:
        if len(exchange.answers) != 1:
            raise VerifyError(f"the response holds {len(exchange.answers)} answers, not one")
        return self._read_answers(exchange, lambda _: question)[0]

    def _read_plan(self, exchange: _Exchange, hop: NextHop, port: int) -> Plan:
        def question(read: List[Verified]) -> Question:
            if not read:
                return Question(pb.ROUTE, (hop.text,))
            return Question(pb.HOST, [mx.name for mx in read[0].answer.route.mx[:HOSTS_MAX]], port=port)

        answers = self._read_answers(exchange, question)
        if not answers:
            raise VerifyError("the response holds no answer")
        return view_plan(hop, port, answers[0], answers[1:])

    # ---- the connection ----

    def _exchange(self, body: Dict[str, Any], nonce: bytes, deadline: float) -> _Exchange:
        """Requests change nothing: one whose connection is lost is sent once more."""
        try:
            return self._exchange_once(body, nonce, deadline)
        except NoDaemonError:
            fresh = os.urandom(NONCE_BYTES) if nonce else b""  # never a nonce twice
            return self._exchange_once(body, fresh, deadline)

    def _exchange_once(self, body: Dict[str, Any], nonce: bytes, deadline: float) -> _Exchange:
        self._last_id += 1
        request = pb.Request(id=self._last_id, nonce=nonce, **body).SerializeToString()
        try:
            connection = self._connect(deadline)
            self._send(connection, frame(request), deadline)
            while True:
                data = self._receive_frame(connection, deadline)
                response = pb.Response.FromString(data)
                if response.id in (0, self._last_id):
                    break
        except socket.timeout:
            self.close()  # what is late would be taken for an answer to the next request
            raise TimeoutError(f"no answer from {self._path} within {self._timeout} s") from None
        except OSError as error:
            self.close()
            raise NoDaemonError(f"resolverd cannot be reached at {self._path}: {error.strerror or error}") from error
        except DecodeError:
            self.close()
            raise ProtocolError("a malformed response") from None
        except BaseException:
            self.close()
            raise
        if response.HasField("error"):
            if response.error.code in (pb.MALFORMED, pb.SHUTTING_DOWN):
                self.close()
            _raise_error(response.error)
        if response.id == 0:
            self.close()
            raise ProtocolError("a response without an id")
        return _Exchange(nonce, request, response, split_answers(data))

    def _connect(self, deadline: float) -> socket.socket:
        while self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._left_s(deadline))
                connection.connect(self._path)
            except BlockingIOError:
                connection.close()
                time.sleep(min(_QUEUE_FULL_PAUSE_S, self._left_s(deadline)))
            except BaseException:
                connection.close()
                raise
            else:
                self._socket, self._keyring = connection, None  # a restarted daemon may have come with other keys
        return self._socket

    @staticmethod
    def _left_s(deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout
        return left

    def _send(self, connection: socket.socket, data: bytes, deadline: float) -> None:
        connection.settimeout(self._left_s(deadline))
        connection.sendall(data)

    def _receive(self, connection: socket.socket, count: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            connection.settimeout(self._left_s(deadline))
            more = connection.recv(count - len(data))
            if not more:
                raise ConnectionError("the daemon closed the session")
            data += more
        return bytes(data)

    def _receive_frame(self, connection: socket.socket, deadline: float) -> bytes:
        return self._receive(connection, frame_length(self._receive(connection, HEADER_BYTES, deadline)), deadline)
