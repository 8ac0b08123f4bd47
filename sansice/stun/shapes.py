"""The few shapes that attribute values come in; also for attributes of your own.

A shape turns a value into the bytes of an attribute and back::

    HOPS = register(Attribute(0xC0DE, "EXAMPLE-HOPS", shapes.UINT32))
    NOTE = register(Attribute(0xC0DF, "EXAMPLE-NOTE", shapes.text(characters=40)))
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar

import attrs

from sansice.machine import Address

from ._header import COOKIE, COOKIE_BYTES
from ._values import AddressErrorCode, AddressFamily, ChangeRequest, ErrorCode, Icmp, PasswordAlgorithm, TransmitCounter

T = TypeVar("T")

TEXT_CHARACTERS = 127  # RFC 8489 14.8 to 14.10, 14.14: "fewer than 128 characters"
TEXT_SENT_BYTES = 509  # the same sections
TEXT_PARSED_BYTES = 763  # the same sections: what the six-byte UTF-8 of old could need
USERNAME_BYTES = 508  # RFC 8489 14.3: "fewer than 509 bytes"
DOMAIN_BYTES = 255  # RFC 8489 14.16
LIST_ENTRIES = 128  # ours: a longer list costs more to read than the message that brings it is worth


@attrs.frozen
class Shape(Generic[T]):
    """How the values of an attribute are written.

    `encode` makes a `LocalProtocolError` of what ``pack`` raises, and reading a message a `DecodeError` of what ``unpack``
    raises, with the attribute's name in front. So a shape of your own raises nothing else either.

    Attributes:
        pack: ``pack(value, transaction_id)`` makes the unpadded bytes. It raises `ValueError` or `struct.error` for a
            value that cannot be written, and these, `TypeError`, `AttributeError` or `OverflowError` for one that is of
            another type.
        unpack: ``unpack(raw, transaction_id)`` reads them back. It raises `ValueError` or `struct.error` for bytes that
            cannot be read: whatever the bytes are, they came from the network.
        format: the big-endian `struct` format of the value, where one field of a multiple of 4 bytes is all there
            is. `encode` then writes the attribute in one go, without calling ``pack``.
    """

    pack: Callable[[T, bytes], bytes]
    unpack: Callable[[bytes, bytes], T]
    format: str | None = None


def _number(layout: str) -> Shape[int]:
    packed = struct.Struct("!" + layout)
    return Shape(lambda value, _: packed.pack(value), lambda raw, _: int(packed.unpack(raw)[0]), layout)


UINT8 = _number("B3x")  # with 24 reserved bits, ignored on receipt
UINT16 = _number("H2x")  # with 16 reserved bits, ignored on receipt
UINT32 = _number("I")
UINT64 = _number("Q")


def _pack_flag(value: None, _: bytes) -> bytes:
    if value is not None:
        raise ValueError(f"a flag has no value but None, not {value!r}")
    return b""


def _unpack_flag(raw: bytes, _: bytes) -> None:
    if raw:
        raise ValueError(f"a flag of {len(raw)} bytes")


FLAG: Shape[None] = Shape(_pack_flag, _unpack_flag)


def opaque(minimum: int = 0, maximum: int = 0xFFFF) -> Shape[bytes]:
    """Bytes as they are, ``minimum`` to ``maximum`` of them."""

    def pack(value: bytes, transaction_id: bytes) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"bytes are wanted, not {value!r:.60}")
        return unpack(bytes(value), transaction_id)

    def unpack(raw: bytes, _: bytes) -> bytes:
        if not minimum <= len(raw) <= maximum:
            raise ValueError(f"{len(raw)} bytes, outside {minimum}..{maximum}")
        return raw

    return Shape(pack, unpack)


OPAQUE = opaque()


def text(
    *,
    characters: int = TEXT_CHARACTERS,
    sent: int = TEXT_SENT_BYTES,
    parsed: int = TEXT_PARSED_BYTES,
    encoding: str = "utf-8",
) -> Shape[str]:
    """Text, at most ``characters`` and ``sent`` bytes when sent and ``parsed`` bytes when received."""

    def pack(value: str, _: bytes) -> bytes:
        raw = value.encode(encoding)
        if len(raw) > sent or len(value) > characters:
            raise ValueError(f"{len(value)} characters in {len(raw)} bytes, over the limit of {characters} in {sent}")
        return raw

    def unpack(raw: bytes, _: bytes) -> str:
        if len(raw) > parsed:
            raise ValueError(f"{len(raw)} bytes, over the limit of {parsed}")
        return raw.decode(encoding)

    return Shape(pack, unpack)


TEXT = text()


# ------------------------------------------------------------------- addresses

_V4_MAPPED = bytes(10) + b"\xff\xff"
_COOKIE_PORT = COOKIE >> 16
_ADDRESS_HEAD = struct.Struct("!xBH")
_IPV4 = int(AddressFamily.IPV4)
_CACHED_HOSTS = 256  # ours: the same few addresses come and go in every message, and IPv6 text costs microseconds


@lru_cache(_CACHED_HOSTS)
def _host_bytes(host: str) -> tuple[int, bytes]:
    """Family and address. A scope id is of no use to the peer and is left out."""
    if ":" in host:
        return int(AddressFamily.IPV6), ipaddress.IPv6Address(host).packed
    octets = bytes(map(int, host.split(".")))
    if len(octets) != 4:
        raise ValueError(f"{host!r} is not a literal address")
    return int(AddressFamily.IPV4), octets


@lru_cache(_CACHED_HOSTS)
def _host_text(family: int, raw: bytes) -> str:
    """Canonical text; an IPv4-mapped address is the IPv4 address that it is."""
    if family == AddressFamily.IPV6 and len(raw) == 16:
        if not raw.startswith(_V4_MAPPED):
            return str(ipaddress.IPv6Address(raw))
        raw = raw[12:]
    elif family != AddressFamily.IPV4 or len(raw) != 4:
        raise ValueError(f"address family {family} with {len(raw)} bytes")
    return ".".join(map(str, raw))


@lru_cache(_CACHED_HOSTS)
def _xor_of_ipv4(host: str) -> bytes:
    """Octets XORed with the cookie (RFC 8489 14.2): the same in every message, and quickly made for clients by the thousand."""
    first, second, third, fourth = host.split(".")
    one, two, three, four = COOKIE_BYTES
    return bytes((int(first) ^ one, int(second) ^ two, int(third) ^ three, int(fourth) ^ four))


@lru_cache(_CACHED_HOSTS)
def _ipv4_of_xor(raw: bytes) -> str:
    return _host_text(AddressFamily.IPV4, _xor(raw, b""))


def _xor(raw: bytes, transaction_id: bytes) -> bytes:
    """XOR with the cookie, then with the transaction id (RFC 8489 14.2)."""
    size = len(raw)
    mask = (COOKIE_BYTES + transaction_id)[:size]
    return (int.from_bytes(raw, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def _pack_address(value: Address, _: bytes) -> bytes:
    host, port = value
    family, raw = _host_bytes(host)
    return _ADDRESS_HEAD.pack(family, port) + raw


def _unpack_address(raw: bytes, _: bytes) -> Address:
    family, port = _ADDRESS_HEAD.unpack_from(raw)
    return Address(_host_text(family, raw[4:]), port)


def _pack_xor_address(value: Address, transaction_id: bytes) -> bytes:
    host, port = value
    if ":" not in host:
        return _ADDRESS_HEAD.pack(_IPV4, port ^ _COOKIE_PORT) + _xor_of_ipv4(host)
    family, raw = _host_bytes(host)
    return _ADDRESS_HEAD.pack(family, port ^ _COOKIE_PORT) + _xor(raw, transaction_id)


def _unpack_xor_address(raw: bytes, transaction_id: bytes) -> Address:
    if len(raw) not in (8, 20):
        raise ValueError(f"an address of {len(raw)} bytes")
    family, port = _ADDRESS_HEAD.unpack_from(raw)
    if family == _IPV4 and len(raw) == 8:
        return Address(_ipv4_of_xor(raw[4:]), port ^ _COOKIE_PORT)
    return Address(_host_text(family, _xor(raw[4:], transaction_id)), port ^ _COOKIE_PORT)


ADDRESS: Shape[Address] = Shape(_pack_address, _unpack_address)
XOR_ADDRESS: Shape[Address] = Shape(_pack_xor_address, _unpack_xor_address)


# ------------------------------------------------------------------- composite values


def _pack_error(code: int, reason: str, family: int) -> bytes:
    if not 300 <= code <= 699:
        raise ValueError(f"code {code} is outside 300..699")
    if len(reason) > TEXT_CHARACTERS:
        raise ValueError(f"a reason of {len(reason)} characters, over the limit of {TEXT_CHARACTERS}")
    return bytes((family, 0, code // 100, code % 100)) + reason.encode()


def _read_error(raw: bytes) -> tuple[int, str]:
    if not 4 <= len(raw) <= 4 + TEXT_PARSED_BYTES:
        raise ValueError(f"{len(raw)} bytes, outside 4..{4 + TEXT_PARSED_BYTES}")
    hundreds, number = raw[2] & 0x07, raw[3]  # the bits before the class are reserved: ignored
    if not 3 <= hundreds <= 6 or number > 99:
        raise ValueError(f"class {hundreds} and number {number} make no error code")
    return 100 * hundreds + number, raw[4:].decode()


def _pack_error_code(value: ErrorCode, _: bytes) -> bytes:
    return _pack_error(value.code, value.reason, 0)


def _unpack_error_code(raw: bytes, _: bytes) -> ErrorCode:
    return ErrorCode(*_read_error(raw))


def _pack_address_error_code(value: AddressErrorCode, _: bytes) -> bytes:
    return _pack_error(value.code, value.reason, value.family)


def _unpack_address_error_code(raw: bytes, _: bytes) -> AddressErrorCode:
    code, reason = _read_error(raw)
    return AddressErrorCode(raw[0], code, reason)


def _pack_types(value: tuple[int, ...], _: bytes) -> bytes:
    return struct.pack(f"!{len(value)}H", *value)


def _unpack_types(raw: bytes, _: bytes) -> tuple[int, ...]:
    if len(raw) % 2 or len(raw) > 2 * LIST_ENTRIES:
        raise ValueError(f"a list of types in {len(raw)} bytes")
    return struct.unpack(f"!{len(raw) // 2}H", raw)


def _pack_algorithm(value: PasswordAlgorithm, _: bytes) -> bytes:
    size = len(value.parameters)
    return struct.pack("!HH", value.number, size) + value.parameters + bytes(-size % 4)


def _pack_algorithms(value: tuple[PasswordAlgorithm, ...], _: bytes) -> bytes:
    return b"".join(_pack_algorithm(entry, b"") for entry in value)


def _unpack_algorithms(raw: bytes, _: bytes) -> tuple[PasswordAlgorithm, ...]:
    entries: list[PasswordAlgorithm] = []
    position, end = 0, len(raw)
    while position < end:
        number, size = struct.unpack_from("!HH", raw, position)
        position += 4
        if position + size > end or len(entries) == LIST_ENTRIES:
            raise ValueError("the list of algorithms is cut short or too long")
        entries.append(PasswordAlgorithm(number, raw[position : position + size]))
        position += size + -size % 4
    return tuple(entries)


def _unpack_algorithm(raw: bytes, _: bytes) -> PasswordAlgorithm:
    entries = _unpack_algorithms(raw, b"")
    if len(entries) != 1:
        raise ValueError(f"{len(entries)} algorithms instead of one")
    return entries[0]


def _pack_first_bit(value: bool, _: bytes) -> bytes:
    return b"\x80" if _is_true(value) else b"\0"


def _is_true(value: object) -> bool:
    """What is no bool is a mistake: "0" and a port number are true to Python."""
    if not isinstance(value, bool):
        raise TypeError(f"True or False is wanted, not {value!r:.60}")
    return value


def _unpack_first_bit(raw: bytes, _: bytes) -> bool:
    if len(raw) != 1:
        raise ValueError(f"{len(raw)} bytes instead of 1")
    return raw[0] >= 0x80


def _pack_change_flags(value: ChangeRequest, _: bytes) -> bytes:
    return struct.pack("!I", _is_true(value.change_ip) << 2 | _is_true(value.change_port) << 1)


def _unpack_change_flags(raw: bytes, _: bytes) -> ChangeRequest:
    bits: int = struct.unpack("!I", raw)[0]
    return ChangeRequest(bool(bits & 4), bool(bits & 2))


def _pack_padded_port(value: int, _: bytes) -> bytes:
    return struct.pack("!H2x", value)


def _unpack_padded_port(raw: bytes, _: bytes) -> int:
    if len(raw) not in (2, 4):  # RFC 5780 7.5 leaves open whether the two bytes of padding are counted
        raise ValueError(f"{len(raw)} bytes instead of 2 or 4")
    return raw[0] << 8 | raw[1]


def _pack_icmp(value: Icmp, _: bytes) -> bytes:
    return struct.pack("!2xBBI", value.type, value.code, value.data)


def _unpack_icmp(raw: bytes, _: bytes) -> Icmp:
    return Icmp(*struct.unpack("!2xBBI", raw))


def _pack_counter(value: TransmitCounter, _: bytes) -> bytes:
    return struct.pack("!2xBB", value.request, value.response)


def _unpack_counter(raw: bytes, _: bytes) -> TransmitCounter:
    return TransmitCounter(*struct.unpack("!2xBB", raw))


ERROR: Shape[ErrorCode] = Shape(_pack_error_code, _unpack_error_code)
ADDRESS_ERROR: Shape[AddressErrorCode] = Shape(_pack_address_error_code, _unpack_address_error_code)
ATTRIBUTE_TYPES: Shape[tuple[int, ...]] = Shape(_pack_types, _unpack_types)  # a list of attribute codes
ALGORITHM: Shape[PasswordAlgorithm] = Shape(_pack_algorithm, _unpack_algorithm)
ALGORITHMS: Shape[tuple[PasswordAlgorithm, ...]] = Shape(_pack_algorithms, _unpack_algorithms)
FIRST_BIT: Shape[bool] = Shape(_pack_first_bit, _unpack_first_bit)  # of one byte; the others are reserved
CHANGE_FLAGS: Shape[ChangeRequest] = Shape(_pack_change_flags, _unpack_change_flags)
PADDED_PORT: Shape[int] = Shape(_pack_padded_port, _unpack_padded_port)  # and two bytes that a receiver may miss
ICMP_ERROR: Shape[Icmp] = Shape(_pack_icmp, _unpack_icmp)
TRANSMIT_COUNTER: Shape[TransmitCounter] = Shape(_pack_counter, _unpack_counter)


def computed(hint: str, shape: Shape[Any]) -> Shape[Any]:
    """The shape of an attribute that can be read as ``shape``, but that only `encode` writes.

    Whoever gives a value for it is told so, with the hint what to do instead.
    """

    def refuse(value: object, _: bytes) -> bytes:
        raise ValueError(f"it is computed: {hint}")

    return Shape(refuse, shape.unpack)
