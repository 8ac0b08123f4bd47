"""Candidates, and the text that carries them (RFC 8445 5.1, RFC 8839 5.1)."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, Transport

MAX_PRIORITY = 2**31 - 1  # RFC 8445 5.1.2
DISCARD_PORT = 9  # RFC 6544 4.5: of active TCP candidates, whose port is nobody's until they connect
MAX_COMPONENT = 256  # RFC 8445 5.1.2.1


class CandidateType(IdentityEnum):
    """Where a candidate comes from; the values are the words of SDP (RFC 8839 5.1)."""

    HOST = "host"
    SERVER_REFLEXIVE = "srflx"
    PEER_REFLEXIVE = "prflx"
    RELAYED = "relay"


class TcpType(enum.Enum):
    """Who opens the connection of a TCP candidate (RFC 6544 4.5)."""

    ACTIVE = "active"
    PASSIVE = "passive"
    SIMULTANEOUS_OPEN = "so"


class HostName(NamedTuple):
    """A candidate's address before it is resolved: a domain name or an mDNS name, and a port."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


CandidateAddress: TypeAlias = Address | HostName


def is_under_local(name: str) -> bool:
    """Whether a name is for multicast, and so never to be asked of a name server (RFC 6762 3)."""
    return name.lower().removesuffix(".").endswith(".local")


class UnsupportedCandidate(ValueError):
    """A well-formed candidate of a type or transport that is not known here; RFC 8839 5.1 says to skip it."""


def _check_candidate_address(instance: object, attribute: object, value: CandidateAddress) -> None:
    if not 0 <= value.port <= 65535:
        raise ValueError(f"candidate port: {value.port} is outside 0..65535")
    if isinstance(value, HostName) and not _NAME.fullmatch(value.name):
        raise ValueError(f"candidate address: {value.name!r} is not a host name")


def _check_transport(instance: object, attribute: object, value: Transport) -> None:
    if value not in (Transport.UDP, Transport.TCP):
        raise ValueError(f"candidate transport: {value.value} is not udp or tcp")


def _check_extensions(instance: object, attribute: object, value: tuple[tuple[str, str], ...]) -> None:
    for name, text in value:
        # What is not one word, or is a field of its own, would be read back as something else.
        if name in _OWN_FIELDS or name.split() != [name] or text.split() != [text] or "\0" in name + text:
            raise ValueError(f"candidate extension: {name!r} {text!r} is not a name and a value, or comes twice")


def _within(low: int, high: int) -> Callable[[Any, attrs.Attribute[int], int], None]:
    def check(instance: Any, attribute: attrs.Attribute[int], value: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"candidate {attribute.name}: {value} is outside {low}..{high}")

    return check


_FOUNDATION = re.compile(r"[A-Za-z0-9+/]{1,32}", re.ASCII)


def _check_foundation(instance: object, attribute: object, value: str) -> None:
    if not _FOUNDATION.fullmatch(value):
        raise ValueError(f"candidate foundation: {value!r} is not 1 to 32 of A-Z a-z 0-9 + /")


@attrs.frozen
class Candidate:
    """A transport address at which an agent may be reached (RFC 8445 5.1.1).

    Attributes:
        foundation: equal for candidates of one type, base address, server and transport.
        component: 1..256.
        transport: ``Transport.UDP`` or ``Transport.TCP``.
        priority: 1..2**31-1.
        address: an `Address`, or a `HostName` before it is resolved.
        type: host, server-reflexive, peer-reflexive or relayed.
        related_address: the base of a reflexive, the mapped address of a relayed candidate.
        tcp_type: of TCP candidates.
        extensions: unknown name and value pairs, kept in order.

    Raises:
        ValueError: a field is out of range; the text names the field.
    """

    foundation: str = attrs.field(validator=_check_foundation)
    component: int = attrs.field(validator=_within(1, MAX_COMPONENT))
    transport: Transport = attrs.field(validator=_check_transport)
    priority: int = attrs.field(validator=_within(1, MAX_PRIORITY))
    address: CandidateAddress = attrs.field(validator=_check_candidate_address)
    type: CandidateType
    related_address: Address | None = None
    tcp_type: TcpType | None = None
    extensions: tuple[tuple[str, str], ...] = attrs.field(default=(), validator=_check_extensions)

    def __str__(self) -> str:
        return f"{self.type.value} {self.address}"

    def to_sdp(self) -> str:
        """The text after ``a=``, e.g. ``candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host``."""
        host, port = self.address
        if self.tcp_type is TcpType.ACTIVE:
            port = DISCARD_PORT
        words = [
            f"candidate:{self.foundation} {self.component} {self.transport.value} {self.priority}"
            f" {host} {port} typ {self.type.value}"
        ]
        if self.related_address is not None:
            words.append(f"raddr {self.related_address.host} rport {self.related_address.port}")
        if self.tcp_type is not None:
            words.append(f"tcptype {self.tcp_type.value}")
        words.extend(f"{name} {value}" for name, value in self.extensions)
        return " ".join(words)

    @classmethod
    def from_sdp(cls, text: str) -> Candidate:
        """Read a candidate, with or without ``a=`` and with or without ``candidate:``.

        Raises:
            UnsupportedCandidate: a ValueError; the type or transport is not known here.
            ValueError: nonsense; the text names the field.
        """
        words = _PREFIX.sub("", text, count=1).split()
        if len(words) < 8:
            raise ValueError(f"candidate {_FIELDS[len(words)]}: missing in {text.strip()!r:.300}")
        if words[6].lower() != "typ":
            raise ValueError(f"candidate type: expected 'typ' in place of {words[6]!r}")
        rest = _read_extensions(words[8:])
        return cls(
            foundation=words[0],
            component=read_component(words[1]),
            transport=_read_transport(words[2]),
            priority=_read_number("priority", words[3], 10),
            address=read_host(words[4], words[5]),
            type=_read_type(words[7]),
            related_address=_read_related(rest),
            tcp_type=_read_tcp_type(rest),
            extensions=tuple(rest),
        )


_PREFIX = re.compile(r"\s*(?:a=)?(?:candidate:)?", re.IGNORECASE)  # RFC 8840 9.2: names of attributes in any case
_OWN_FIELDS = ("raddr", "rport", "tcptype")
_FIELDS = ("foundation", "component", "transport", "priority", "address", "port", "type", "type")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# The last label starts with a letter: "127.1" and "0x7f000001" are addresses in disguise, not names.
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*[A-Za-z](?:[A-Za-z0-9_-]{{0,61}}[A-Za-z0-9])?\.?", re.ASCII)


def _read_number(field: str, text: str, digits: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= digits):
        raise ValueError(f"candidate {field}: {text!r} is not a number of at most {digits} digits")
    return int(text)


def _read_transport(text: str) -> Transport:
    word = text.lower()
    if word not in ("udp", "tcp"):
        raise UnsupportedCandidate(f"candidate transport: {text!r} is not known")
    return Transport(word)


def _read_type(text: str) -> CandidateType:
    try:
        return CandidateType(text.lower())
    except ValueError:
        raise UnsupportedCandidate(f"candidate type: {text!r} is not known") from None


def read_component(text: str) -> int:
    """A component's number of at most three digits, or a ValueError."""
    return _read_number("component", text, 3)


def read_host(text: str, port_text: str) -> CandidateAddress:
    """A literal or a name, and its port, or a ValueError that names the field."""
    port = _read_number("port", port_text, 5)
    try:
        return Address.of(text, port)
    except ValueError as error:
        if port <= 65535 and _NAME.fullmatch(text):
            return HostName(text, port)
        raise ValueError(f"candidate {'address' if port <= 65535 else 'port'}: {error}") from None


def _read_extensions(words: list[str]) -> list[tuple[str, str]]:
    if len(words) % 2:
        raise ValueError(f"candidate extension: {words[-1]!r} has no value")
    return list(zip(words[::2], words[1::2], strict=True))


def _take(extensions: list[tuple[str, str]], name: str) -> str | None:
    for index, (key, value) in enumerate(extensions):
        if key == name:
            del extensions[index]
            return value
    return None


def _read_related(extensions: list[tuple[str, str]]) -> Address | None:
    host, port = _take(extensions, "raddr"), _take(extensions, "rport")
    if host is None and port is None:
        return None
    if host is None or port is None:
        raise ValueError("candidate raddr and rport: one without the other")
    number = _read_number("rport", port, 5)
    if number > 65535:
        raise ValueError(f"candidate rport: {number} is outside 0..65535")
    try:
        return Address.of(host, number)
    except ValueError as error:
        raise ValueError(f"candidate raddr: {error}") from None


def _read_tcp_type(extensions: list[tuple[str, str]]) -> TcpType | None:
    text = _take(extensions, "tcptype")
    if text is None:
        return None
    try:
        return TcpType(text)
    except ValueError:
        raise ValueError(f"candidate tcptype: {text!r} is not active, passive or so") from None
