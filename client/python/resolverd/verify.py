# SPDX-License-Identifier: BSD-3-Clause
"""The checks between a SignedAnswer and a caller (docs/PROTOCOL.md, "What a client checks"). Pure; time is a parameter."""

from typing import Collection, Dict, NamedTuple, Optional

from google.protobuf.message import DecodeError

from . import resolverd_pb2 as pb
from .errors import VerifyError
from .keys import Keyring, is_signed

# Numbers an answer may list as critical that this version understands. None exists yet.
_UNDERSTOOD: "frozenset[int]" = frozenset()
_DATA: Dict[int, str] = {pb.ROUTE: "route", pb.HOST: "host", pb.RECORDS: "records"}


class UnknownKeyError(VerifyError):
    """No delegation for the key that signed: ask for the status once more, then check again."""


class ExpiredError(VerifyError):
    """Good when it was sent, over when it was checked: ask once more."""


class Question(NamedTuple):
    """What an answer must be about."""

    kind: int
    names: Collection[str]  # any one of them
    port: int = 0  # of a host only
    type: int = 0  # of records only


class Verified(NamedTuple):
    answer: pb.Answer
    key_id: str  # hex
    attested: bool  # the response was
    not_understood: Optional[int]  # a critical number this version does not know: use none of the data


def verify_answer(signed: bytes, question: Question, keyring: Keyring, now_ms: int, attested: bool = False) -> Verified:
    """The answer in the bytes of a SignedAnswer. Raises VerifyError, or one of the two above."""
    try:
        envelope = pb.SignedAnswer.FromString(signed)
    except DecodeError:
        raise VerifyError("the envelope of an answer is malformed") from None
    online = keyring.find(envelope.key_id, now_ms)
    if online is None:
        raise UnknownKeyError("an answer is signed by an unknown key")
    if not is_signed("resolverd answer v1", envelope.answer, envelope.signature, online.key):
        raise VerifyError("the signature of an answer is wrong")
    try:
        answer = pb.Answer.FromString(envelope.answer)
    except DecodeError:
        raise VerifyError("a signed answer is malformed") from None
    about = answer.question.name
    if answer.member != online.member:
        raise VerifyError(f'the answer names member "{answer.member}", its key belongs to "{online.member}"')
    got = answer.question
    if (got.kind, got.port, got.type) != (question.kind, question.port, question.type) or got.name not in question.names:
        raise VerifyError(f"the answer is about {about}, which was not asked")
    if answer.WhichOneof("data") != _DATA[question.kind]:
        raise VerifyError(f"the answer about {about} holds data of another kind")
    if now_ms >= answer.expires_at:
        raise ExpiredError(f"the answer about {about} has expired (is the clock right?)")
    unknown = [number for number in answer.critical if number not in _UNDERSTOOD]
    return Verified(answer, envelope.key_id.hex(), attested, unknown[0] if unknown else None)
