"""Values of attributes in words."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from sansice import Address, stun
from sansice.stun import (
    AddressErrorCode,
    Attribute,
    ChangeRequest,
    ErrorCode,
    Icmp,
    PasswordAlgorithm,
    TransmitCounter,
    is_stun,
)
from sansice_cli._text import count, printable

KNOWN = MappingProxyType({one.code: one for one in vars(stun).values() if isinstance(one, Attribute)})

_ALGORITHMS = {1: "MD5", 2: "SHA-256"}  # RFC 8489 18.5.1
_FAMILIES = {1: "IPv4", 2: "IPv6"}  # RFC 8489 14.1
_TRANSPORTS = {6: "TCP", 17: "UDP"}  # RFC 8656 18.8: IANA's protocol numbers


def name_of(code: int) -> str:
    """An attribute's name, or what there is of one."""
    known = KNOWN.get(code)
    return known.name if known else f"unknown attribute {code:#06x}"


def meaning(attribute: Attribute[Any], value: object) -> str:
    """A value in words; "" where the name and the bytes say it all."""
    words = _OF_ATTRIBUTE.get(attribute)
    if words is not None:
        return words(value)
    words = _OF_TYPE.get(type(value))
    return words(value) if words is not None else str(value)


def _text(value: str) -> str:
    return f'"{printable(value)}"'


def _bytes(value: bytes) -> str:
    return f"carries STUN, {count(len(value), 'byte')}" if is_stun(value) else ""


def _list(value: tuple[Any, ...]) -> str:
    return ", ".join(name_of(one) if isinstance(one, int) else _algorithm(one) for one in value) or "none"


def _algorithm(value: PasswordAlgorithm) -> str:
    name = _ALGORITHMS.get(value.number, f"unknown algorithm {value.number:#06x}")
    return f"{name} with parameters {value.parameters.hex()}" if value.parameters else name


def _error(value: ErrorCode) -> str:
    return f"{value.code} {_text(value.reason)}"


def _address_error(value: AddressErrorCode) -> str:
    return f"{_FAMILIES.get(value.family, f'family {value.family}')}: {value.code} {_text(value.reason)}"


def _change(value: ChangeRequest) -> str:
    wanted = [word for word, is_wanted in (("address", value.change_ip), ("port", value.change_port)) if is_wanted]
    return f"answer from another {' and '.join(wanted)}" if wanted else "answer from here"


def _icmp(value: Icmp) -> str:
    return f"type {value.type}, code {value.code}, data {value.data}"


def _counter(value: TransmitCounter) -> str:
    return f"request {value.request}, response {value.response}"


def _priority(value: int) -> str:
    """RFC 8445 5.1.2.1, read backwards."""
    return f"{value} (type preference {value >> 24}, local preference {value >> 8 & 0xFFFF}, component {256 - (value & 0xFF)})"


_OF_TYPE: dict[type, Callable[[Any], str]] = {
    Address: str,
    str: _text,
    bytes: _bytes,
    type(None): lambda value: "",
    tuple: _list,
    PasswordAlgorithm: _algorithm,
    ErrorCode: _error,
    AddressErrorCode: _address_error,
    ChangeRequest: _change,
    Icmp: _icmp,
    TransmitCounter: _counter,
}

_OF_ATTRIBUTE: dict[Attribute[Any], Callable[[Any], str]] = {
    stun.LIFETIME: lambda value: count(value, "second"),
    stun.CACHE_TIMEOUT: lambda value: count(value, "second"),
    stun.CHANNEL_NUMBER: lambda value: f"{value:#06x}",
    stun.CONNECTION_ID: lambda value: f"{value:#010x}",
    stun.ICE_CONTROLLED: lambda value: f"tie-breaker {value:#018x}",
    stun.ICE_CONTROLLING: lambda value: f"tie-breaker {value:#018x}",
    stun.PRIORITY: _priority,
    stun.REQUESTED_TRANSPORT: lambda value: _TRANSPORTS.get(value, f"protocol {value}"),
    stun.REQUESTED_ADDRESS_FAMILY: lambda value: _FAMILIES.get(value, f"family {value}"),
    stun.ADDITIONAL_ADDRESS_FAMILY: lambda value: _FAMILIES.get(value, f"family {value}"),
    stun.EVEN_PORT: lambda value: "and reserve the next port" if value else "",
}
