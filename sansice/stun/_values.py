"""Values of attributes that are more than a number, a text or bytes."""

from __future__ import annotations

import enum

import attrs


class AddressFamily(enum.IntEnum):
    """The families of RFC 8489 14.1."""

    IPV4 = 0x01
    IPV6 = 0x02


@attrs.frozen
class ErrorCode:
    """The value of ERROR-CODE (RFC 8489 14.8).

    Attributes:
        code: 300..699.
        reason: words for a person, under 128 characters.
    """

    code: int
    reason: str = ""


@attrs.frozen
class AddressErrorCode:
    """The value of ADDRESS-ERROR-CODE: which family could not be allocated, and why (RFC 8656 18.12)."""

    family: int
    code: int
    reason: str = ""


@attrs.frozen
class PasswordAlgorithm:
    """An entry of PASSWORD-ALGORITHMS, or the value of PASSWORD-ALGORITHM (RFC 8489 14.11, 14.12)."""

    number: int
    parameters: bytes = attrs.field(default=b"", repr=bytes.hex)


@attrs.frozen
class ChangeRequest:
    """The value of CHANGE-REQUEST (RFC 5780 7.2)."""

    change_ip: bool = False
    change_port: bool = False


@attrs.frozen
class Icmp:
    """The value of ICMP (RFC 8656 18.13): what came back for a datagram that the relay sent.

    Attributes:
        type, code: as in the ICMP message.
        data: the MTU of "packet too big" and "fragmentation needed", otherwise 0.
    """

    type: int
    code: int
    data: int = 0


@attrs.frozen
class TransmitCounter:
    """The value of TRANSACTION-TRANSMIT-COUNTER (RFC 7982 3.1): transmissions so far of each."""

    request: int
    response: int = 0
