"""Many datagrams in one system call: recvmmsg(2) and sendmmsg(2) of Linux, through ctypes.

Python has no such calls. The memory that the kernel reads and writes is laid out once for each thread, and then only what
differs from call to call is written: lengths, addresses, payload. Most programs never have several datagrams at once; they
never import this.
"""

from __future__ import annotations

import bisect
import ctypes
import itertools
import mmap
import socket
import struct
from collections.abc import Sequence
from typing import Final

from sansice.machine import Address

from ._addresses import AF_INET, AF_INET6, from_sockaddr, to_sockaddr

MAX_MESSAGES: Final = 64  # in one call: what one flow brings until it is looked at again, while other sockets wait

# <bits/socket.h> and <bits/types/struct_iovec.h> where pointers have 8 bytes: msg_name, msg_namelen, msg_iov, msg_iovlen,
# msg_control, msg_controllen, msg_flags, and behind this msghdr msg_len.
_HEADER = struct.Struct("=QI4xQQQQi4xI4x")
_PART = struct.Struct("=QQ")  # iov_base, iov_len
_LENGTH_AT = 56 // 4  # of msg_len, in units of its own size
_NAME = 32  # bytes a socket address has room in; IPv6 needs 28
_IPV4 = struct.Struct("=H2s4s")  # sin_family, sin_port, sin_addr (both in network order), and nothing
_IPV6 = struct.Struct("=H2sI16sI")  # sin6_family, sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id
_NAME_LENGTHS = {False: 16, True: 28}
_DONTWAIT: Final = 0x40  # MSG_DONTWAIT

# A datagram lands in a slot that holds what networks carry, so that those of a batch lie close together in the caches; the
# rest of a larger one lands elsewhere. Not cut short, whatever comes.
_SLOT = 2048
_REST = 65536
_PAYLOAD = 131_072  # bytes of datagrams to be sent in one call, so that two of the largest fit

# Addresses that are kept in both forms: more than the flows of a busy process, some 300 bytes each. With 8,192 ten thousand
# agents on one port were slowed down. A flood of spoofed sources only makes the table start anew.
_KNOWN = 32_768
_SIZES = 128  # of datagrams, whose parts are kept, a kilobyte each; a codec has few


_libc: Final = ctypes.CDLL(None)


def why_not() -> str:
    """Why these calls cannot be made here; "" where they can."""
    if struct.calcsize("P") != 8:
        return "recvmmsg and sendmmsg are known only where pointers have 8 bytes"
    for name, arguments in _ARGUMENTS.items():
        call = getattr(_libc, name, None)
        if call is None:
            return f"the C library has no {name}"
        call.argtypes = arguments
    return ""


_ARGUMENTS = {
    "recvmmsg": (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p),
    "sendmmsg": (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int),
}


class _Memory:
    """Anonymous memory, of which pages that nobody touches do not exist, with its address."""

    def __init__(self, size: int) -> None:
        self.bytes = mmap.mmap(-1, size)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))


def _headers(names: int, name_length: int, parts: int, parts_each: int) -> bytes:
    """The message headers, whose addresses and parts begin at these places."""
    return b"".join(
        _HEADER.pack(names + _NAME * at, name_length, parts + _PART.size * parts_each * at, parts_each, 0, 0, 0, 0)
        for at in range(MAX_MESSAGES)
    )


class Receiver:
    """Reads up to `MAX_MESSAGES` datagrams at once from any socket of one family. Not to be shared between threads."""

    def __init__(self, ipv6: bool) -> None:
        self._call = _libc.recvmmsg
        self._ipv6 = ipv6
        self._known: dict[bytes, Address] = {}
        name_length = _NAME_LENGTHS[ipv6]
        slots = MAX_MESSAGES * (_HEADER.size + 2 * _PART.size + _NAME)
        rests = slots + MAX_MESSAGES * _SLOT
        self._memory = memory = _Memory(rests + MAX_MESSAGES * _REST)
        parts_at = MAX_MESSAGES * _HEADER.size
        names_at = parts_at + MAX_MESSAGES * 2 * _PART.size
        memory.bytes[:parts_at] = _headers(memory.address + names_at, name_length, memory.address + parts_at, 2)
        memory.bytes[parts_at:names_at] = b"".join(
            _PART.pack(memory.address + slots + _SLOT * at, _SLOT) + _PART.pack(memory.address + rests + _REST * at, _REST)
            for at in range(MAX_MESSAGES)
        )
        self._lengths = memoryview(memory.bytes).cast("I")[_LENGTH_AT : parts_at // 4 : _HEADER.size // 4]
        self._places = [
            (slice(names_at + _NAME * at, names_at + _NAME * at + name_length), slots + _SLOT * at, rests + _REST * at)
            for at in range(MAX_MESSAGES)
        ]

    def receive(self, descriptor: int, most: int) -> list[tuple[Address, bytes]]:
        """What has arrived, in order; nothing, too, where the system reports an error, which the error queue tells better.

        Args:
            descriptor: of a UDP socket of this family.
            most: datagrams, at most `MAX_MESSAGES`.
        """
        memory = self._memory
        count = self._call(descriptor, memory.address, most, _DONTWAIT, None)
        if count <= 0:
            return []
        known, data = self._known, memory.bytes
        batch: list[tuple[Address, bytes]] = []
        for length, (name, slot, rest) in zip(self._lengths[:count].tolist(), self._places, strict=False):
            raw = data[name]
            source = known.get(raw) or self._learn(raw)
            if length <= _SLOT:
                batch.append((source, data[slot : slot + length]))
            else:
                batch.append((source, data[slot : slot + _SLOT] + data[rest : rest + length - _SLOT]))
        return batch

    def _learn(self, raw: bytes) -> Address:
        if not self._ipv6:
            _, port, host = _IPV4.unpack_from(raw)
            address = Address(socket.inet_ntop(AF_INET, host), int.from_bytes(port))
        else:
            _, port, _, host, scope = _IPV6.unpack(raw)
            address = from_sockaddr((socket.inet_ntop(AF_INET6, host), int.from_bytes(port), 0, scope))
            if scope:
                return address  # the names of interfaces change
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[raw] = address
        return address


class Sender:
    """Sends up to `MAX_MESSAGES` datagrams at once from any socket of one family. Not to be shared between threads."""

    def __init__(self, ipv6: bool) -> None:
        self._call = _libc.sendmmsg
        self._ipv6 = ipv6
        self._known: dict[Address, bytes] = {}
        self._parts_for: dict[int, bytes] = {}
        parts_at = MAX_MESSAGES * _HEADER.size
        names_at = parts_at + MAX_MESSAGES * _PART.size
        self._payload_at = payload_at = names_at + MAX_MESSAGES * _NAME
        self._memory = memory = _Memory(payload_at + _PAYLOAD)
        self._parts_at, self._names_at = parts_at, names_at
        memory.bytes[:parts_at] = _headers(memory.address + names_at, _NAME_LENGTHS[ipv6], memory.address + parts_at, 1)

    def send(self, descriptor: int, items: Sequence[tuple[Address, bytes]]) -> int:
        """Send as many of ``items`` as the system takes, from the first on.

        Args:
            descriptor: of a UDP socket of this family.
            items: at most `MAX_MESSAGES`.

        Returns:
            How many were sent. What comes then was refused, or does not fit with the others: it is to be sent alone.

        Raises:
            OSError, ValueError, OverflowError: a destination is none; nothing was sent.
        """
        memory, known = self._memory, self._known
        names = b"".join([known.get(destination) or self._learn(destination) for destination, _ in items])
        payload = b"".join([data for _, data in items])
        count = len(items)
        sizes = [len(data) for _, data in items]
        if len(payload) > _PAYLOAD:
            fitting = bisect.bisect_right(list(itertools.accumulate(sizes)), _PAYLOAD)
            return self.send(descriptor, items[:fitting]) if fitting else 0
        parts = self._same(sizes[0]) if sizes.count(sizes[0]) == count else self._different(sizes)
        data = memory.bytes
        data[self._names_at : self._names_at + len(names)] = names
        data[self._parts_at : self._parts_at + len(parts)] = parts
        data[self._payload_at : self._payload_at + len(payload)] = payload
        sent: int = self._call(descriptor, memory.address, count, _DONTWAIT)
        return max(sent, 0)

    def _same(self, size: int) -> bytes:
        """The parts of as many datagrams of one size as there may be."""
        parts = self._parts_for.get(size)
        if parts is None:
            if len(self._parts_for) >= _SIZES:
                self._parts_for.clear()
            parts = self._parts_for[size] = self._different([size] * MAX_MESSAGES)
        return parts

    def _different(self, sizes: list[int]) -> bytes:
        at = self._memory.address + self._payload_at
        parts: list[int] = []
        for size in sizes:
            parts += (at, size)
            at += size
        return struct.pack(f"={len(parts)}Q", *parts)

    def _learn(self, destination: Address) -> bytes:
        host, port, *rest = to_sockaddr(destination, self._ipv6)
        raw_port = port.to_bytes(2)
        if not rest:
            raw = _IPV4.pack(AF_INET, raw_port, socket.inet_pton(AF_INET, host))
        else:
            raw = _IPV6.pack(AF_INET6, raw_port, 0, socket.inet_pton(AF_INET6, host), rest[1])
        raw = raw.ljust(_NAME, b"\0")
        if self._ipv6 and rest[1]:
            return raw  # the numbers of interfaces change
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[destination] = raw
        return raw
