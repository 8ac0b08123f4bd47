"""A Binding responder: the least of STUN servers, so that server-reflexive candidates are real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sansice.machine import (
    Address,
    DecodeError,
    DropReason,
    Ids,
    Machine,
    OpenSocket,
    SendDatagram,
    SocketId,
    Transport,
)
from sansice.stun import (
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ErrorCode,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
)


class BindingResponder(Machine):
    """Answers Binding requests over UDP, unauthenticated, without keeping state (RFC 8489 12, "basic server").

    A response has FINGERPRINT if the request had it. `Host.run` starts it::

        server = net.host("stun", "192.0.2.10")
        server.run(BindingResponder(server.addresses))

    Args:
        addresses: the literals to listen at.
        port: on each of them.

    Attributes:
        dropped: how many datagrams were not answered, by reason.
    """

    __slots__ = ("dropped",)

    def __init__(self, addresses: Iterable[str], port: int = 3478) -> None:
        super().__init__()
        self.dropped: Counter[DropReason] = Counter()
        ids = Ids()
        self._outputs.extend(OpenSocket(ids.socket(), Transport.UDP, Address.of(address, port)) for address in addresses)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Answer each request to where it came from."""
        for source, data in batch:
            try:
                answer = _answer_untrusted(source, data)
            except DecodeError as error:
                self.dropped[error.reason] += 1
            else:
                self._outputs.append(SendDatagram(socket, source, answer))


def _answer_untrusted(source: Address, data: bytes) -> bytes:
    request = decode_untrusted(data)
    if request.message_class is not MessageClass.REQUEST:
        raise DecodeError(DropReason.BAD_CLASS)
    if request.method is not Method.BINDING:
        raise DecodeError(DropReason.UNKNOWN_METHOD)
    unknown = request.unknown_required()
    message_class = MessageClass.ERROR if unknown else MessageClass.SUCCESS
    answer: list[tuple[Attribute[Any], object]] = [(XOR_MAPPED_ADDRESS, Address(*source))]
    if unknown:  # RFC 8489 6.3.1
        answer = [(ERROR_CODE, ErrorCode(420, "Unknown Attribute")), (UNKNOWN_ATTRIBUTES, unknown)]
    return encode(Method.BINDING, message_class, request.transaction_id, answer, fingerprint=request.has_fingerprint)
