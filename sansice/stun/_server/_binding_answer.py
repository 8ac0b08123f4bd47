"""The answer to the plainest of requests, which is nearly all that a public server hears: made as fast as it can be."""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

from sansice.machine import Address
from sansice.stun._attributes import XOR_MAPPED_ADDRESS
from sansice.stun._header import COOKIE, COOKIE_BYTES, MessageClass, Method, join_type
from sansice.stun._values import AddressFamily

_TAG = struct.Struct("!HHI")

PLAIN_REQUEST: Final = _TAG.pack(join_type(Method.BINDING, MessageClass.REQUEST), 0, COOKIE)
"""How a Binding request without attributes begins; its transaction id follows, and nothing else."""

PLAIN_REQUEST_LENGTH: Final = 20
PLAIN_ANSWER_IPV4: Final = 32  # bytes: header and XOR-MAPPED-ADDRESS
PLAIN_ANSWER_IPV6: Final = 44

_SUCCESS = join_type(Method.BINDING, MessageClass.SUCCESS)
_PORT_MASK = COOKIE >> 16
_CACHED_HOSTS = 1024  # the same few hosts ask again and again; a flood from others finds the cache emptied, not grown

# Everything but the transaction id, the port and the address is the same in every answer.
_IPV4 = struct.Struct("!8s12s6sH4s")
_HEAD_IPV4 = _TAG.pack(_SUCCESS, PLAIN_ANSWER_IPV4 - 20, COOKIE)
_ATTRIBUTE_IPV4 = struct.pack("!HHxB", XOR_MAPPED_ADDRESS.code, 8, AddressFamily.IPV4)
_IPV6 = struct.Struct("!8s12s6sH16s")
_HEAD_IPV6 = _TAG.pack(_SUCCESS, PLAIN_ANSWER_IPV6 - 20, COOKIE)
_ATTRIBUTE_IPV6 = struct.pack("!HHxB", XOR_MAPPED_ADDRESS.code, 20, AddressFamily.IPV6)

_pack_ipv4 = _IPV4.pack
_COOKIE_AND_ZEROS = int.from_bytes(COOKIE_BYTES + bytes(12), "big")


class PlainAnswers:
    """Answers `PLAIN_REQUEST` with XOR-MAPPED-ADDRESS alone (RFC 8489 6.3.1.1, 14.2).

    What the address makes of the answer is remembered for some hosts.
    """

    __slots__ = ("_hosts",)

    def __init__(self) -> None:
        self._hosts: dict[str, bytes] = {}  # the XORed address of IPv4; of IPv6 the part that no id changes

    def answer(self, source: Address, request: bytes) -> bytes:
        """The answer to a request that begins with `PLAIN_REQUEST` and is `PLAIN_REQUEST_LENGTH` long."""
        host, port = source
        raw = self._hosts.get(host)
        if raw is None:
            raw = self._remember(host)
        if len(raw) == 4:
            return _pack_ipv4(_HEAD_IPV4, request[8:], _ATTRIBUTE_IPV4, port ^ _PORT_MASK, raw)
        mapped = (int.from_bytes(raw, "big") ^ int.from_bytes(request[8:], "big")).to_bytes(16, "big")
        return _IPV6.pack(_HEAD_IPV6, request[8:], _ATTRIBUTE_IPV6, port ^ _PORT_MASK, mapped)

    def _remember(self, host: str) -> bytes:
        address = ipaddress.ip_address(host)
        number = int(address) ^ (COOKIE if address.version == 4 else _COOKIE_AND_ZEROS)
        if len(self._hosts) >= _CACHED_HOSTS:
            self._hosts.clear()
        raw = self._hosts[host] = number.to_bytes(4 if address.version == 4 else 16, "big")
        return raw
