"""What a packet says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from sansice.machine import DecodeError, IcmpError
from sansice.simulation._world._packets import Packet, TcpFlags, TcpSegment
from sansice.stun import (
    ERROR_CODE,
    MAPPED_ADDRESS,
    PRIORITY,
    USE_CANDIDATE,
    XOR_MAPPED_ADDRESS,
    Message,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    is_stun,
)

_ICMP: Mapping[tuple[bool, int, int], str] = MappingProxyType(
    {
        (False, 3, 0): "net unreachable",
        (False, 3, 1): "host unreachable",
        (False, 3, 3): "port unreachable",
        (False, 3, 4): "too big",
        (False, 3, 13): "prohibited",
        (False, 11, 0): "hop limit",
        (False, 11, 1): "fragments missing",
        (True, 1, 0): "no route",
        (True, 1, 1): "prohibited",
        (True, 1, 3): "address unreachable",
        (True, 1, 4): "port unreachable",
        (True, 2, 0): "too big",
        (True, 3, 0): "hop limit",
        (True, 3, 1): "fragments missing",
    }
)


@attrs.frozen
class Saying:
    """What a packet says.

    Attributes:
        verb: after its sender and before its receiver in a sentence: ``checks``.
        rest: what comes after the receiver.
        short: without both: ``check``.
        transaction: of a STUN message.
    """

    verb: str
    rest: str
    short: str
    transaction: TransactionId | None = None

    def sentence(self, sender: str, receiver: str, *, again: bool = False) -> str:
        """All of it: ``alice:host checks bob:srflx again, nominating``."""
        return f"{sender} {self.verb} {receiver}{' again' if again else ''}{self.rest}"

    def over_tcp(self) -> Saying:
        """The same, in a segment."""
        return attrs.evolve(self, rest=f"{self.rest}, over TCP", short=f"{self.short}, over TCP")

    def label(self, *, again: bool = False) -> str:
        """What is written at an arrow."""
        return f"{self.short}{' again' if again else ''}"


def saying(packet: Packet) -> Saying:
    """Read a packet."""
    if packet.icmp is not None:
        return _icmp(packet.icmp, packet)
    stun = _stun(packet.data)
    if packet.tcp is not None:
        # A segment may as well hold a part of a message, or several: then it is just bytes.
        return _tcp(packet.tcp, len(packet.data)) if stun is None else stun.over_tcp()
    if stun is not None:
        return stun
    if is_stun(packet.data):
        return Saying("sends", " broken STUN", "broken STUN")
    size = _bytes(len(packet.data) if packet.fragment is None else packet.fragment.length - 8)
    return Saying("sends", f" {size}", size)


def _icmp(error: IcmpError, packet: Packet) -> Saying:
    words = _ICMP.get((error.ipv6, error.type, error.code), f"ICMP {error.type}/{error.code}")
    if error.mtu:
        words += f" for an MTU of {error.mtu}"
    return Saying("tells", f" about {packet.quoted}: {words}", f"ICMP: {words}")


def _tcp(segment: TcpSegment, length: int) -> Saying:
    flags = " ".join(flag.name for flag in TcpFlags if flag.name and flag & segment.flags)
    words = f"TCP {flags}, {_bytes(length)}" if length else f"TCP {flags}"
    return Saying("sends", f" {words}", words)


def _stun(data: bytes) -> Saying | None:
    """What a whole STUN message says; ``None`` if it is none."""
    if not is_stun(data):
        return None
    try:
        message = decode_untrusted(data)
        verb, rest, short = _binding(message) if message.method is Method.BINDING else _other(message)
    except DecodeError:
        return None
    return Saying(verb, rest, short, message.transaction_id)


def _binding(message: Message) -> tuple[str, str, str]:
    match message.message_class:
        case MessageClass.INDICATION:
            return "keeps", " alive", "keep-alive"
        case MessageClass.SUCCESS:
            mapped = _mapped(message)
            return "answers", f": {mapped}", f"answer {mapped}"
        case MessageClass.ERROR:
            error = _error(message)
            return "refuses", f": {error}", f"error {error}"
    if PRIORITY not in message:  # RFC 8445 7.1.1: every check has it
        return "asks", " for its address", "question"
    if USE_CANDIDATE in message:
        return "checks", ", nominating", "check, nominating"
    return "checks", "", "check"


def _other(message: Message) -> tuple[str, str, str]:
    words = f"{message.method.name} {message.message_class.name}".replace("_", " ").lower()
    return "sends", f" {words}", words


def _mapped(message: Message) -> str:
    mapped = message.get(XOR_MAPPED_ADDRESS) or message.get(MAPPED_ADDRESS)
    return "no address" if mapped is None else str(mapped)


def _error(message: Message) -> str:
    error = message.get(ERROR_CODE)
    return "without a code" if error is None else f"{error.code} {error.reason}".rstrip()


def _bytes(number: int) -> str:
    return f"{number} byte{'' if number == 1 else 's'}"
