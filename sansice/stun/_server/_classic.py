"""RFC 3489, "classic STUN": messages without a cookie, as far as a server answers them (RFC 5389 12.2, RFC 8489 11)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs

from sansice.machine import Address, DecodeError, DropReason, SocketId
from sansice.stun._attributes import (
    CHANGE_REQUEST,
    CHANGED_ADDRESS,
    ERROR_CODE,
    MAPPED_ADDRESS,
    RESPONSE_ADDRESS,
    SOURCE_ADDRESS,
    UNKNOWN_ATTRIBUTES,
    Attribute,
)
from sansice.stun._header import COOKIE_BYTES, HEADER_LENGTH, MessageClass, Method, join_type, split_type
from sansice.stun._values import ChangeRequest, ErrorCode

from ._behavior import Corner

# Ours: RFC 3489 defines eleven attributes in all.
MAX_CLASSIC_ATTRIBUTES = 16

_HEADER = struct.Struct("!HH16s")  # RFC 3489 11.1: what became the cookie was part of the id
_TAG = struct.Struct("!HH")
_REQUIRED = 0x8000  # RFC 3489 11.2: codes below this must be understood

# RFC 3489 11.2 defines these. Those that a request has no use for are passed over. RESPONSE-ADDRESS would let anybody
# point our answers at somebody else, and CHANGE-REQUEST needs alternates (RFC 5389 12.2).
_DEFINED = frozenset(range(0x0001, 0x000C))
_BASIC = _DEFINED - {RESPONSE_ADDRESS.code, CHANGE_REQUEST.code}
_WITH_ALTERNATES = _DEFINED - {RESPONSE_ADDRESS.code}


@attrs.frozen
class ClassicMessage:
    """A message of RFC 3489.

    Attributes:
        method: a number: RFC 3489 has a method that later RFCs have not.
        message_class: the same two bits as later.
        transaction_id: 16 bytes.
        values: the bytes of the first attribute of each code.
    """

    method: int
    message_class: MessageClass
    transaction_id: bytes = attrs.field(repr=bytes.hex)
    values: dict[int, bytes] = attrs.field(repr=False)

    def unknown_required(self, understood: Iterable[int]) -> tuple[int, ...]:
        """Codes that must be understood, and are not among those (RFC 3489 8.1)."""
        known = frozenset(understood)
        return tuple(code for code in self.values if code < _REQUIRED and code not in known)

    def change_request_untrusted(self) -> ChangeRequest:
        """The flags of CHANGE-REQUEST; none where there is no such attribute.

        Raises:
            DecodeError: the value is malformed.
        """
        raw = self.values.get(CHANGE_REQUEST.code)
        if raw is None:
            return ChangeRequest()
        try:
            return CHANGE_REQUEST.unpack(raw, b"")
        except (ValueError, struct.error) as error:
            raise DecodeError(DropReason.BAD_ATTRIBUTE, f"CHANGE-REQUEST: {error}") from None


def decode_classic_untrusted(data: bytes) -> ClassicMessage:
    """Read a message of RFC 3489: a header without cookie, and attributes of whole words (RFC 3489 11.2).

    Raises:
        DecodeError: it is none.
    """
    size = len(data)
    if size < HEADER_LENGTH:
        raise DecodeError(DropReason.NOT_STUN)
    kind, length, transaction_id = _HEADER.unpack_from(data)
    if kind >= 0x4000 or data[4:8] == COOKIE_BYTES:
        raise DecodeError(DropReason.NOT_STUN)
    if length != size - HEADER_LENGTH or length % 4:
        raise DecodeError(DropReason.BAD_COOKIE)
    values: dict[int, bytes] = {}
    offset = HEADER_LENGTH
    for _ in range(MAX_CLASSIC_ATTRIBUTES + 1):
        if offset >= size:
            break
        code, length = _TAG.unpack_from(data, offset)
        values.setdefault(code, data[offset + 4 : offset + 4 + length])
        offset += 4 + length + -length % 4
    else:
        raise DecodeError(DropReason.LIMIT, f"more than {MAX_CLASSIC_ATTRIBUTES} attributes")
    if offset != size:
        raise DecodeError(DropReason.BAD_ATTRIBUTE, "the last attribute overruns the message")
    method, message_class = split_type(kind)
    return ClassicMessage(method, MessageClass(message_class), transaction_id, values)


def encode_classic(
    method: int, message_class: MessageClass, transaction_id: bytes, attributes: Iterable[tuple[Attribute[Any], Any]] = ()
) -> bytes:
    """Build a message of RFC 3489: ``attributes`` whose values are of whole words, without XOR, integrity or fingerprint."""
    body = b""
    for attribute, value in attributes:
        raw = attribute.pack(value, b"")
        body += _TAG.pack(attribute.code, len(raw)) + raw + bytes(-len(raw) % 4)
    return _HEADER.pack(join_type(method, message_class), len(body), transaction_id) + body


class ClassicAnswer(NamedTuple):
    """What to send.

    Attributes:
        code: 0 for a success response.
        socket: where it leaves, if not from where the request arrived.
    """

    data: bytes
    code: int = 0
    socket: SocketId | None = None


def answer_classic_untrusted(source: Address, data: bytes, corner: Corner | None) -> ClassicAnswer:
    """Answer a Binding request of RFC 3489: MAPPED-ADDRESS, and where there are alternates what its clients need to find
    out about their NAT.

    Args:
        source: who asks.
        data: the datagram.
        corner: the alternates of the socket that it arrived on, where RFC 5780 is on.

    Raises:
        DecodeError: it is no such request, and is not answered.
    """
    request = decode_classic_untrusted(data)
    if request.message_class is not MessageClass.REQUEST:
        raise DecodeError(DropReason.BAD_CLASS)
    if request.method != Method.BINDING:
        raise DecodeError(DropReason.UNKNOWN_METHOD)
    unknown = request.unknown_required(_BASIC if corner is None else _WITH_ALTERNATES)
    if unknown:
        return _error(request, 420, (UNKNOWN_ATTRIBUTES, unknown))
    mapped = (MAPPED_ADDRESS, source)
    if corner is None:
        return ClassicAnswer(_success(request, [mapped]))
    try:
        flags = request.change_request_untrusted()
    except DecodeError:
        return _error(request, 400)
    socket, origin = corner.origins[flags]
    attributes = [mapped, (SOURCE_ADDRESS, origin), (CHANGED_ADDRESS, corner.other)]
    return ClassicAnswer(_success(request, attributes), socket=socket)


def refuse_classic_untrusted(data: bytes) -> ClassicAnswer:
    """The answer over DTLS, which RFC 3489 must not be used with: 500 to any request (RFC 8489 11).

    Raises:
        DecodeError: it is no request, and is not answered.
    """
    request = decode_classic_untrusted(data)
    if request.message_class is not MessageClass.REQUEST:
        raise DecodeError(DropReason.BAD_COOKIE)
    return _error(request, 500)


def _success(request: ClassicMessage, attributes: Iterable[tuple[Attribute[Any], Any]]) -> bytes:
    return encode_classic(request.method, MessageClass.SUCCESS, request.transaction_id, attributes)


def _error(request: ClassicMessage, code: int, *attributes: tuple[Attribute[Any], Any]) -> ClassicAnswer:
    listed = [(ERROR_CODE, ErrorCode(code)), *attributes]
    return ClassicAnswer(encode_classic(request.method, MessageClass.ERROR, request.transaction_id, listed), code)
