"""Data between messages and peers: the path that every packet takes (RFC 8656 11, 12)."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from sansice.machine import Address, DecodeError, DropReason, Entropy, LocalProtocolError
from sansice.stun import (
    DATA,
    DONT_FRAGMENT,
    ICMP,
    XOR_PEER_ADDRESS,
    Attribute,
    Icmp,
    Message,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    new_transaction_id,
)

from ._config import TurnClientConfig
from ._permissions import Permissions
from ._states import HoldState
from ._stats import TurnClientStats

# The largest UDP payload, 65,507 bytes, less what a Send indication for an IPv6 peer adds: header 20, XOR-PEER-ADDRESS 24, DATA's
# own 4, DONT-FRAGMENT 4, FINGERPRINT 8; and a multiple of 4, to which it would be padded.
MAX_DATA = 65_444

DATA_INDICATION = b"\x00\x17"  # RFC 8656 17: method 7, class indication
# RFC 8656 12: 0x4000 to 0x4FFF are channels; messages with the numbers of RFC 5766 above them are discarded (12.6), whole.
_CHANNELS = frozenset(bytes((first,)) for first in range(0x40, 0x80))
_PREFIX = 4  # RFC 8656 12.4
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length % 4 (RFC 8656 12.5)


class _Waiting(NamedTuple):
    peer: Address
    data: bytes
    dont_fragment: bool


class Routes:
    """From peers and data to messages, and back.

    Args:
        config: of the client.
        permissions: of the allocation.
        padded: ChannelData is padded: on streams (RFC 8656 12.5).
        entropy: makes transaction ids of indications.
        stats: what is counted.

    Attributes:
        receiving: peers by the first two bytes of ChannelData.
        sending: the same bytes by peer.
    """

    __slots__ = (
        "_config",
        "_entropy",
        "_padded",
        "_permissions",
        "_stats",
        "_waiting",
        "_waiting_bytes",
        "receiving",
        "sending",
    )

    def __init__(
        self, config: TurnClientConfig, permissions: Permissions, *, padded: bool, entropy: Entropy, stats: TurnClientStats
    ) -> None:
        self.receiving: dict[bytes, Address] = {}
        self.sending: dict[Address, bytes] = {}
        self._config = config
        self._permissions = permissions
        self._padded = padded
        self._entropy = entropy
        self._stats = stats
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0

    # ------------------------------------------------------------- channels

    def listen(self, header: bytes, peer: Address) -> None:
        """Take data on a channel."""
        self.receiving[header] = peer

    def bind(self, header: bytes, peer: Address) -> None:
        """Send data on a channel, too."""
        self.receiving[header] = peer
        self.sending[peer] = header

    def pause(self, peer: Address) -> None:
        """Take data on a channel, and send none."""
        self.sending.pop(peer, None)

    def unbind(self, header: bytes, peer: Address) -> None:
        """Neither any more."""
        self.receiving.pop(header, None)
        self.sending.pop(peer, None)

    # ------------------------------------------------------------- every packet

    def wrap(self, peer: Address, data: bytes) -> bytes | None:
        """The message that has the server send ``data``; ``None`` where the peer has no permission."""
        header = self.sending.get(peer)
        if header is None:
            return self.indication(peer, data)
        size = len(data)
        if size > MAX_DATA:
            check_data(data)
        stats = self._stats
        stats.sent_packets += 1
        stats.sent_bytes += size
        if self._padded:
            return b"%b%c%c%b%b" % (header, size >> 8, size & 0xFF, data, _PADDING[size & 3])
        return b"%b%c%c%b" % (header, size >> 8, size & 0xFF, data)

    def unwrap(self, data: bytes) -> tuple[Address, bytes] | None:
        """The peer and what it sent; ``None`` where ``data`` is no such message: nothing is counted then."""
        peer = self.receiving.get(data[:2])
        if peer is None:
            return self._unwrap_indication(data) if data[:2] == DATA_INDICATION else None
        if len(data) < _PREFIX:
            return None
        end = _PREFIX + (data[2] << 8 | data[3])
        if len(data) < end:  # RFC 8656 12.6
            return None
        stats = self._stats
        stats.received_packets += 1
        stats.received_bytes += end - _PREFIX
        return peer, data[_PREFIX:end]

    # ------------------------------------------------------------- indications

    def indication(self, peer: Address, data: bytes, *, dont_fragment: bool = False) -> bytes | None:
        """A Send indication; ``None`` where the peer has no permission (RFC 8656 11.1)."""
        permission = self._permissions.get(peer.host)
        if permission is None or not permission.active:
            return None
        check_data(data)
        attributes: list[tuple[Attribute[Any], Any]] = [(XOR_PEER_ADDRESS, peer), (DATA, data)]
        if dont_fragment:
            attributes.append((DONT_FRAGMENT, None))
        self._stats.sent_packets += 1
        self._stats.sent_bytes += len(data)
        # Never protected: an indication cannot be challenged (RFC 8656 5).
        transaction_id = new_transaction_id(self._entropy)
        fingerprint = self._config.stun.fingerprint
        return encode(Method.SEND, MessageClass.INDICATION, transaction_id, attributes, fingerprint=fingerprint)

    def decode_indication(self, data: bytes) -> tuple[Message, Address]:
        """A Data indication and its peer, of whom it is believed that he has a permission (RFC 8656 11.4).

        Raises:
            DecodeError: it is to be dropped.
        """
        message = decode_untrusted(data, require_fingerprint=self._config.stun.fingerprint)
        if message.unknown_required():  # RFC 8489 6.3.2
            raise DecodeError(DropReason.UNKNOWN_ATTRIBUTE)
        peer = message.get(XOR_PEER_ADDRESS)
        if peer is None:
            raise DecodeError(DropReason.MISSING_ATTRIBUTE)
        permission = self._permissions.get(peer.host)
        if permission is None or permission.state is HoldState.LOST:
            raise DecodeError(DropReason.NO_PERMISSION)
        return message, peer

    def read_stray(self, data: bytes) -> tuple[Address, Icmp]:
        """The ICMP error that the relay reports about a peer (RFC 8656 11.6).

        Raises:
            DecodeError: ``data``, which `unwrap` has not taken, is to be dropped.
        """
        if data[:2] != DATA_INDICATION:
            raise DecodeError(DropReason.BAD_LENGTH if data[:2] in self.receiving else DropReason.NO_CHANNEL)  # RFC 8656 12.6
        message, peer = self.decode_indication(data)
        icmp = message.get(ICMP) if message.get(DATA) is None else None
        if icmp is None:
            raise DecodeError(DropReason.MISSING_ATTRIBUTE)
        return peer, icmp

    def _unwrap_indication(self, data: bytes) -> tuple[Address, bytes] | None:
        try:
            message, peer = self.decode_indication(data)
            payload = message.get(DATA)
        except DecodeError:
            return None
        if payload is None:
            return None
        self._stats.received_packets += 1
        self._stats.received_bytes += len(payload)
        return peer, payload

    # ------------------------------------------------------------- what waits for a permission

    def wait(self, peer: Address, data: bytes, *, dont_fragment: bool) -> None:
        """Keep a datagram until its peer has a permission; the oldest ones make room."""
        self._waiting.append(_Waiting(peer, data, dont_fragment))
        self._waiting_bytes += len(data)
        while len(self._waiting) > self._config.max_waiting or self._waiting_bytes > self._config.max_waiting_bytes:
            self._waiting_bytes -= len(self._waiting.popleft().data)
            self._stats.unsent += 1

    def take_waiting(self, hosts: tuple[str, ...]) -> list[_Waiting]:
        """What waited for these hosts, in order."""
        taken = [one for one in self._waiting if one.peer.host in hosts]
        if taken:
            self._waiting = deque(one for one in self._waiting if one.peer.host not in hosts)
            self._waiting_bytes -= sum(len(one.data) for one in taken)
        return taken


def check_data(data: bytes) -> None:
    """Refuse what no datagram of a relay can hold.

    Raises:
        LocalProtocolError: says how much it is.
    """
    if len(data) > MAX_DATA:
        raise LocalProtocolError(f"{len(data)} bytes of data: a relay can send {MAX_DATA} in a datagram")


def check_port(peer: Address) -> None:
    """Refuse a peer that nothing can be sent to.

    Raises:
        LocalProtocolError: names it.
    """
    if not 0 < peer.port <= 65535:
        raise LocalProtocolError(f"{peer}: a peer has a port in 1..65535")


def is_data(message: bytes) -> bool:
    """Whether a message from the server is ChannelData or a Data indication, by its first two bytes."""
    return message[:2] == DATA_INDICATION or message[:1] in _CHANNELS
