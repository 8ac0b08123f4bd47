"""Data between clients and peers: the way of nearly every packet through a TURN server (RFC 8656 11, 12).

A packet on a channel meets no message object: a look-up or two, the header put on or taken off, and a place in the batch that
leaves through one socket. What is found is valid: the timer table of the server takes away what has expired.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from sansice.machine import (
    Action,
    Address,
    DecodeError,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SetDontFragment,
    SocketId,
    Transport,
)
from sansice.stun import (
    DATA,
    DONT_FRAGMENT,
    ICMP,
    XOR_PEER_ADDRESS,
    AddressFamily,
    Attribute,
    Icmp,
    Message,
    MessageClass,
    Method,
    Path,
    decode_untrusted,
    encode,
    new_transaction_id,
)
from sansice.turn._channel_data import CHANNEL_HEADER_LENGTH, FIRST_CHANNEL, LENGTHS, PADDING

from ._allocation import UDP_PROTOCOL, Allocation, Relay
from ._config import TurnServerConfig
from ._own import OwnAddresses
from ._stats import TurnServerStats

T = TypeVar("T")
_Output: TypeAlias = Action | Event
_Sent: TypeAlias = dict[Relay, list[tuple[Address, bytes]]]

_SEND = b"\x00\x16"  # Method.SEND, an indication (RFC 8656 17)
_CHANNELS = bytes((FIRST_CHANNEL >> 8,))  # from this first byte on; what is above the channel numbers is reserved (RFC 8656 12)
_NOBODY: Mapping[Address, Allocation] = MappingProxyType({})
_IPV4, _IPV6 = AddressFamily.IPV4, AddressFamily.IPV6
_TCP, _TLS = Transport.TCP, Transport.TLS
_make = tuple.__new__  # of the NamedTuples that are made for each packet, without the detour through Python
_DATA_METHOD, _INDICATION = Method.DATA, MessageClass.INDICATION

# The largest data that a Data indication holds, whose own length counts XOR-PEER-ADDRESS of IPv6, the header of DATA and
# padding. No UDP datagram that could be sent on is larger.
_MAX_FROM_PEER = 65_504

_RELAYED_ICMP = {False: (3, 11), True: (1, 2, 3)}  # RFC 8656 11.5: by whether it is ICMPv6
_TOO_BIG = {False: (3, 4), True: (2, 0)}  # whose ICMP attribute carries an MTU (RFC 8656 18.13)


class DataPath:
    """Relays data, and drops and counts what may not be relayed.

    Nothing of this is answered, and nothing refreshes anything (RFC 8656 11.2, 12.6). All methods append to ``outputs`` what
    is to be sent.

    Attributes:
        clients: allocations by the socket and the address of the client.
        arriving: the same for clients on the move, at the address that they have sent no data from yet (RFC 8016 3.2.2).
        relays: by their socket.

    Args:
        config: of the server.
        stats: where packets, bytes and drops are counted.
        entropy: for the transaction ids of Data indications.
        own: the addresses of this server, see `Permission.is_own`.
        arrive: makes the address that a client has just sent data from the only one of its allocation.
    """

    __slots__ = ("_arrive", "_config", "_entropy", "_own", "_stats", "arriving", "clients", "relays")

    def __init__(
        self,
        config: TurnServerConfig,
        stats: TurnServerStats,
        *,
        entropy: Entropy,
        own: OwnAddresses,
        arrive: Callable[[Allocation, float], None] = lambda allocation, now: None,
    ) -> None:
        self._config = config
        self._stats = stats
        self._entropy = entropy
        self._own = own
        self._arrive = arrive
        self.clients: dict[SocketId, dict[Address, Allocation]] = {}
        self.arriving: dict[SocketId, dict[Address, Allocation]] = {}
        self.relays: dict[SocketId, Relay] = {}

    # ------------------------------------------------------------- who there is

    def add(self, allocation: Allocation) -> None:
        """Relay for a client from now on."""
        _put(self.clients, allocation.path, allocation)

    def remove(self, allocation: Allocation) -> None:
        """Relay for it no more: what it sends is a stranger's."""
        _take(self.clients, allocation.path)
        mobile = allocation.mobile
        if mobile is not None and mobile.arriving is not None:
            _take(self.arriving, mobile.arriving)

    def expect(self, allocation: Allocation, path: Path) -> None:
        """A client may come from ``path``, too."""
        _put(self.arriving, path, allocation)

    def expect_no_more(self, path: Path) -> None:
        """Nobody comes from there."""
        _take(self.arriving, path)

    def find(self, socket: SocketId, remote: Address) -> Allocation | None:
        """The allocation of a client, also where that has not arrived."""
        found = self.clients.get(socket, _NOBODY).get(remote)
        return self.arriving.get(socket, _NOBODY).get(remote) if found is None and self.arriving else found

    # ------------------------------------------------------------- from clients

    def from_client(
        self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], start: int, outputs: list[_Output], *, now: float
    ) -> tuple[int, int]:
        """Relay the data at the beginning of ``batch[start:]``, datagrams of clients on a UDP or DTLS listener.

        What is data shows in its first bytes: a channel number, or a Send indication. Where it ends the rest must wait for
        what comes between: a request may open, refresh or delete what the data after it needs.

        Returns:
            The first and the end of what is next, and is not data: both are ``len(batch)`` where all of it was.
        """
        clients = self.clients.get(socket, _NOBODY)
        sent: _Sent = {}
        end = len(batch)
        at = start
        while at < end:
            source, data = batch[at]
            allocation = clients.get(source)
            channel = None if allocation is None else allocation.channels.get(data[:2])
            if channel is not None and not channel.is_own and len(data) - CHANNEL_HEADER_LENGTH == int.from_bytes(data[2:4]):
                relay = channel.relay
                items = sent.get(relay)
                if items is None:
                    sent[relay] = [(channel.peer, data[4:])]
                else:
                    items.append((channel.peer, data[4:]))
            elif allocation is None and (data[:1] >= _CHANNELS or data[:2] == _SEND) and self._arrives(socket, source, now):
                clients = self.clients[socket]
                continue
            elif data[:1] >= _CHANNELS:
                self._from_channel(allocation, data, sent)
            elif data[:2] == _SEND:
                # It may set an option of the socket: what came before must have left.
                self._to_peers(sent, outputs, now)
                self._from_indication(allocation, data, outputs, now)
            else:
                break
            at += 1
        self._to_peers(sent, outputs, now)
        first = at
        while at < end and batch[at][1][:1] < _CHANNELS and batch[at][1][:2] != _SEND:
            at += 1
        return first, at

    def _arrives(self, socket: SocketId, source: Address, now: float) -> bool:
        """Whether this is the first data of a client on the move."""
        arriving = self.arriving.get(socket, _NOBODY).get(source)
        if arriving is None:
            return False
        self._arrive(arriving, now)
        return True

    def from_stream(self, allocation: Allocation, frame: bytes, outputs: list[_Output], *, now: float) -> None:
        """Relay ChannelData that was cut from a client's stream; padding behind it is ignored."""
        sent: _Sent = {}
        self._from_channel(allocation, frame, sent)
        self._to_peers(sent, outputs, now)

    def from_indication(self, allocation: Allocation | None, message: Message, outputs: list[_Output], *, now: float) -> None:
        """Relay the data of a Send indication (RFC 8656 11.2)."""
        try:
            relay, peer, data, whole = self._read_indication(allocation, message)
        except DecodeError as error:
            self._drop(allocation, error.reason)
            return
        if whole:
            outputs.append(SetDontFragment(relay.socket, True))
        self._to_peers({relay: [(self._own.inside(peer), data)]}, outputs, now)
        if whole:
            outputs.append(SetDontFragment(relay.socket, False))

    def _from_indication(self, allocation: Allocation | None, data: bytes, outputs: list[_Output], now: float) -> None:
        if allocation is None:
            self._drop(None, DropReason.NO_ALLOCATION)
            return
        try:
            message = decode_untrusted(data, require_fingerprint=self._config.stun.require_fingerprint)
        except DecodeError as error:
            self._drop(allocation, error.reason)
        else:
            self.from_indication(allocation, message, outputs, now=now)

    def _read_indication(self, allocation: Allocation | None, message: Message) -> tuple[Relay, Address, bytes, bool]:
        """What a Send indication wants: through which relay, to whom, what, and whether unfragmented.

        Raises:
            DecodeError: it may not have it.
        """
        if allocation is None or allocation.protocol != UDP_PROTOCOL:  # over TCP there is no Send (RFC 6062 5)
            raise DecodeError(DropReason.NO_ALLOCATION)
        whole = DONT_FRAGMENT in message
        if message.unknown_required() or (whole and not self._config.dont_fragment):
            raise DecodeError(DropReason.UNKNOWN_ATTRIBUTE)
        peer = _required(message, XOR_PEER_ADDRESS)
        data = _required(message, DATA)
        relay = allocation.relays.get(_IPV6 if peer.is_ipv6 else _IPV4)
        permission = None if relay is None else relay.permissions.get(peer.host)
        if relay is None or permission is None or (permission.is_own and not self._own.may_reach(peer)):
            raise DecodeError(DropReason.NO_PERMISSION)
        path = allocation.path
        # Between UDP and UDP with IPv6 on either side it is ignored (RFC 8656 13).
        return relay, peer, data, whole and (path.transport.is_stream or not (path.remote.is_ipv6 or peer.is_ipv6))

    def _from_channel(self, allocation: Allocation | None, data: bytes, sent: _Sent) -> None:
        """ChannelData that is not just as it should be, but might do (RFC 8656 12.6)."""
        if allocation is None:
            self._drop(None, DropReason.NO_ALLOCATION)
            return
        channel = allocation.channels.get(data[:2])
        length = int.from_bytes(data[2:4])
        if channel is None:
            self._drop(allocation, DropReason.NO_CHANNEL)
        elif len(data) < CHANNEL_HEADER_LENGTH + length:
            self._drop(allocation, DropReason.BAD_LENGTH)
        elif channel.is_own and not self._own.may_reach(channel.peer):
            self._drop(allocation, DropReason.NO_PERMISSION)
        else:
            end = CHANNEL_HEADER_LENGTH + length
            sent.setdefault(channel.relay, []).append((self._own.inside(channel.peer), data[CHANNEL_HEADER_LENGTH:end]))

    def _to_peers(self, sent: _Sent, outputs: list[_Output], now: float) -> None:
        """Send what the bandwidth allows: the batch of each relay as one."""
        packets = total = 0
        for relay, items in sent.items():
            allocation = relay.allocation
            count = len(items)
            size = len(items[0][1]) if count == 1 else sum([len(data) for _, data in items])
            if not allocation.user.may_relay(size, now):
                items = [item for item in items if self._affords(allocation, len(item[1]), now)]
                count = len(items)
                size = sum([len(data) for _, data in items])
            if count == 1:
                peer, data = items[0]
                outputs.append(_make(SendDatagram, (relay.socket, peer, data)))
            elif count:
                outputs.append(SendDatagrams(relay.socket, tuple(items)))
            allocation.received_packets += count
            allocation.received_bytes += size
            packets += count
            total += size
        self._stats.received_packets += packets
        self._stats.received_bytes += total
        sent.clear()

    # ------------------------------------------------------------- from peers

    def from_peer(self, relay: Relay, batch: Sequence[tuple[Address, bytes]], outputs: list[_Output], *, now: float) -> None:
        """Relay what arrived at a relayed address (RFC 8656 11.3, 12.7)."""
        if len(batch) == 1:
            source, data = batch[0]
            if self._from_channel_alone(relay, source, data, outputs, now):
                return
        allocation = relay.allocation
        permissions, channels = relay.permissions, relay.channels
        messages: list[bytes] = []
        sizes: list[int] = []
        for source, data in batch:
            channel = channels.get(source)
            size = len(data)
            if channel is not None and not channel.is_own and size < len(LENGTHS) and source[0] in permissions:
                messages.append(channel.header + LENGTHS[size] + data)
                sizes.append(size)
            elif (message := self._from_peer(relay, source, data)) is not None:
                messages.append(message)
                sizes.append(size)
        total = sum(sizes)
        path = allocation.path
        transport = path.transport
        if not allocation.user.may_relay(total, now):
            messages, sizes = _chosen(messages, sizes, [self._affords(allocation, size, now) for size in sizes])
        if transport is _TCP or transport is _TLS:
            messages, sizes = _chosen(messages, sizes, self._that_fit(allocation, sizes))
        if messages:
            count = len(messages)
            total = sum(sizes)
            stats = self._stats
            allocation.sent_packets += count
            allocation.sent_bytes += total
            stats.sent_packets += count
            stats.sent_bytes += total
            self._to_client(path, messages, outputs)

    def _from_channel_alone(self, relay: Relay, source: Address, data: bytes, outputs: list[_Output], now: float) -> bool:
        """Relay what comes alone, on a channel, to a client without a stream: what a server with many flows does all day.

        The same as what is done for a batch, without the lists: a third less.
        """
        channel = relay.channels.get(source)
        size = len(data)
        if channel is None or channel.is_own or size >= len(LENGTHS) or source[0] not in relay.permissions:
            return False
        allocation = relay.allocation
        path = allocation.path
        if path.transport is _TCP or path.transport is _TLS or not allocation.user.may_relay(size, now):
            return False
        stats = self._stats
        allocation.sent_packets += 1
        allocation.sent_bytes += size
        stats.sent_packets += 1
        stats.sent_bytes += size
        outputs.append(_make(SendDatagram, (path.socket, path.remote, channel.header + LENGTHS[size] + data)))
        return True

    def _from_peer(self, relay: Relay, source: Address, data: bytes) -> bytes | None:
        """The message for a datagram that is not just one of a channel; ``None`` for one that may not be relayed."""
        permission = relay.permissions.get(source[0])
        if permission is None:
            source = self._own.outside(source)
            permission = relay.permissions.get(source[0])
        if permission is None or (permission.is_own and not self._own.may_reach(source)):
            self._drop(relay.allocation, DropReason.NO_PERMISSION)
        elif len(data) > _MAX_FROM_PEER:
            self._drop(relay.allocation, DropReason.LIMIT)
        elif (channel := relay.channels.get(source)) is not None:  # then it is never an indication (RFC 8656 12.5)
            return channel.header + len(data).to_bytes(2) + data
        else:
            return self._indication(source, DATA, data)
        return None

    def from_icmp(self, relay: Relay, peer: Address, error: IcmpError, outputs: list[_Output]) -> None:
        """Tell the client of an ICMP error that a datagram to ``peer`` has caused (RFC 8656 11.5).

        The permission that counts is the peer's; who reported the error is nobody that the client knows.
        """
        allocation = relay.allocation
        peer = self._own.outside(peer)
        permission = relay.permissions.get(peer.host)
        if error.type not in _RELAYED_ICMP[error.ipv6]:
            self._drop(allocation, DropReason.BAD_ICMP)
        elif permission is None or (permission.is_own and not self._own.may_reach(peer)):
            self._drop(allocation, DropReason.NO_PERMISSION)
        else:
            mtu = error.mtu if (error.type, error.code) == _TOO_BIG[error.ipv6] else 0
            message = self._indication(peer, ICMP, Icmp(error.type, error.code, mtu))
            transport = allocation.path.transport
            # Who is a peer can make errors without end.
            if (transport is not _TCP and transport is not _TLS) or all(self._that_fit(allocation, [len(message)])):
                self._to_client(allocation.path, [message], outputs)

    def _that_fit(self, allocation: Allocation, sizes: list[int]) -> list[bool]:
        """Which of these may be queued on the stream of a client that perhaps does not read."""
        room = self._config.max_unsent - allocation.unsent
        fitting: list[bool] = []
        for size in sizes:
            room -= size
            fitting.append(room >= 0)
        self._drop(allocation, DropReason.QUEUE_FULL, fitting.count(False))
        return fitting

    def _indication(self, peer: Address, attribute: Attribute[T], value: T) -> bytes:
        transaction_id = new_transaction_id(self._entropy)
        return encode(_DATA_METHOD, _INDICATION, transaction_id, ((XOR_PEER_ADDRESS, peer), (attribute, value)))

    def _to_client(self, path: Path, messages: list[bytes], outputs: list[_Output]) -> None:
        if path.transport is _TCP or path.transport is _TLS:
            data = b"".join([message + PADDING[len(message) & 3] for message in messages])  # RFC 8656 12.5
            outputs.append(SendStream(path.socket, data))
        elif len(messages) == 1:
            outputs.append(_make(SendDatagram, (path.socket, path.remote, messages[0])))
        else:
            remote = path.remote
            outputs.append(SendDatagrams(path.socket, tuple([(remote, message) for message in messages])))

    # ------------------------------------------------------------- what is not relayed

    def _affords(self, allocation: Allocation, size: int, now: float) -> bool:
        if allocation.user.may_relay(size, now):
            return True
        self._drop(allocation, DropReason.BANDWIDTH)
        return False

    def _drop(self, allocation: Allocation | None, reason: DropReason, count: int = 1) -> None:
        self._stats.drop(reason, count)
        if allocation is not None:
            allocation.dropped += count


def _chosen(messages: list[bytes], sizes: list[int], wanted: list[bool]) -> tuple[list[bytes], list[int]]:
    """Those messages that are wanted, and their sizes."""
    return list(itertools.compress(messages, wanted)), list(itertools.compress(sizes, wanted))


def _put(table: dict[SocketId, dict[Address, Allocation]], path: Path, allocation: Allocation) -> None:
    table.setdefault(path.socket, {})[path.remote] = allocation


def _take(table: dict[SocketId, dict[Address, Allocation]], path: Path) -> None:
    clients = table[path.socket]
    del clients[path.remote]
    if not clients:
        del table[path.socket]


def _required(message: Message, attribute: Attribute[T]) -> T:
    """The value of an attribute without which the message means nothing.

    Raises:
        DecodeError: it is missing, or malformed.
    """
    value = message.get(attribute)
    if value is None:
        raise DecodeError(DropReason.MISSING_ATTRIBUTE, attribute.name)
    return value
