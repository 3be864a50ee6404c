# SPDX-License-Identifier: BSD-3-Clause
"""Frames, and the fields of a response as they came (docs/PROTOCOL.md, "Framing")."""

import struct
from typing import List, Tuple

from .errors import ProtocolError

REQUEST_MAX = 4096
RESPONSE_MAX = 1 << 20
HEADER_BYTES = 4
_ANSWERS_FIELD = 3  # of a Response
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def frame_length(header: bytes) -> int:
    (length,) = struct.unpack(">I", header)
    if not 0 < length <= RESPONSE_MAX:
        raise ProtocolError(f"a response of {length} bytes")
    return int(length)


def _varint(data: bytes, at: int) -> Tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ProtocolError("a malformed response")


def split_answers(response: bytes) -> List[bytes]:
    """The bytes of each SignedAnswer: what is attested, and what is checked."""
    answers, at = [], 0
    while at < len(response):
        tag, at = _varint(response, at)
        length = {_FIXED64: 8, _FIXED32: 4}.get(tag & 7, 0)
        if tag & 7 == _VARINT:
            _, at = _varint(response, at)
        elif tag & 7 == _BYTES:
            length, at = _varint(response, at)
        elif length == 0:
            raise ProtocolError("a malformed response")
        if length > len(response) - at:
            raise ProtocolError("a malformed response")
        if tag == _ANSWERS_FIELD << 3 | _BYTES:
            answers.append(response[at:at + length])
        at += length
    return answers
