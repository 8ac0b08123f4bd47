"""The contract between a protocol machine and whatever runs it.

A *machine* consumes bytes and timer events and emits *actions* (do this) and *events* (know this).
It owns no socket, clock, thread, log or random source: a driver feeds it through the ``handle_*``
methods and performs what `Machine.take_outputs` hands over. The rules are numbered in
``docs/design.md``; `sansice.simulation.check_machine` tries any machine against them.
"""

from __future__ import annotations

import enum
import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, NewType, TypeAlias

import attrs

from ._enums import IdentityEnum

Entropy: TypeAlias = Callable[[int], bytes]
"""``entropy(n)`` returns ``n`` unpredictable bytes; `os.urandom` unless a test or a replay says otherwise."""

SocketId = NewType("SocketId", int)
"""Names a socket between a machine and its driver. A machine's own are positive; accepted ones are negative."""

QueryId = NewType("QueryId", int)
"""Names a question asked with `Resolve`."""


# --------------------------------------------------------------------------- errors and drop reasons


class LocalProtocolError(Exception):
    """The caller used a machine wrongly. The machine's state is untouched."""


class DropReason(enum.Enum):
    """Why something that arrived from the network was dropped; the keys of ``stats.dropped``."""

    EMPTY = "empty datagram"
    NOT_STUN = "not a STUN message"
    BAD_COOKIE = "wrong magic cookie"
    BAD_LENGTH = "length field does not match"
    TOO_SHORT = "too short to be what it would have to be"
    BAD_ATTRIBUTE = "malformed attribute"
    MISPLACED_ATTRIBUTE = "attribute after FINGERPRINT"
    BAD_FINGERPRINT = "missing or wrong FINGERPRINT"
    UNKNOWN_METHOD = "unknown method"
    BAD_CLASS = "class not allowed for this method"
    BAD_PROXY_HEADER = "missing or malformed header of a proxy"
    UNKNOWN_TRANSACTION = "answers no request of ours"
    WRONG_SOURCE = "answer from another address"
    UNKNOWN_ATTRIBUTE = "unknown comprehension-required attribute"
    BAD_INTEGRITY = "missing or wrong message integrity"
    BAD_USERNAME = "missing or wrong USERNAME"
    STALE_NONCE = "nonce too old, or another client's"
    BID_DOWN = "algorithms withheld or altered that the nonce promises"
    BAD_TOKEN = "access token expired, or not for this server"
    MISSING_ATTRIBUTE = "required attribute missing"
    UNVALIDATED_SOURCE = "data from an address without an authenticated check"
    UNKNOWN_SOCKET = "socket unknown or closed"
    NO_ALLOCATION = "data without an allocation"
    NO_CHANNEL = "channel that is not bound"
    NO_PERMISSION = "from or to a peer without a permission"
    NOT_MDNS = "not a message of multicast DNS"
    BAD_ICMP = "ICMP error of a type that is not relayed"
    REFUSED_NOMINATION = "nomination that the application's policy refuses"
    UNPROVEN_STREAM = "TCP connection without an authenticated check in time"
    UNUSABLE_CANDIDATE = "remote candidate that cannot be used"
    OLD_GENERATION = "candidate of an earlier generation"
    LIMIT = "a bound was reached"
    REPLAYED = "request that has come before, from another address"
    RATE_LIMITED = "too many from one source"
    BANDWIDTH = "more than the bandwidth of a user, or of all"
    QUEUE_FULL = "the application reads too slowly"
    CLOSED = "machine closed"


class DecodeError(ValueError):
    """Bytes from the network are not what they claim to be.

    The only exception that a function named ``*_untrusted`` raises.

    Attributes:
        reason: the counter that the drop belongs to.
    """

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


# --------------------------------------------------------------------------- addresses


_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|\Z)){4}(?<!\.)", re.ASCII)
_SCOPE = re.compile(r"[!-.0-~]{1,64}", re.ASCII)  # an interface's name or number; no space or line break, which would enter SDP


class Address(NamedTuple):
    """A transport address: canonical literal text and port.

    Equal to what ``recvfrom`` returns for IPv4, so a hot path builds nothing. The constructor checks
    nothing; `of` and `parse` are for text that a person or a peer wrote. A name that waits for its
    address is never an ``Address``.
    """

    host: str
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """Check and canonicalise a literal host and a port.

        IPv4-mapped IPv6 is unmapped; the scope id of a link-local IPv6 address is kept, any other
        scope is refused.

        Raises:
            ValueError: a name, an abbreviated or hexadecimal IPv4 form, or a port outside 0..65535.
        """
        if not 0 <= port <= 65535:
            raise ValueError(f"port {port} is outside 0..65535")
        if _IPV4.fullmatch(host):
            return cls(host, port)
        if ":" not in host:
            raise ValueError(f"{host!r} is not a literal IPv4 or IPv6 address")
        try:
            parsed = ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{host!r} is not a literal IPv4 or IPv6 address") from None
        if parsed.ipv4_mapped is not None and parsed.scope_id is None:
            return cls(str(parsed.ipv4_mapped), port)
        if parsed.scope_id is not None and not (parsed.is_link_local and _SCOPE.fullmatch(parsed.scope_id)):
            raise ValueError(f"{host!r}: only a link-local address has a scope, and it is an interface's name or number")
        return cls(str(parsed), port)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``192.0.2.1:5000`` or ``[2001:db8::1]:5000``.

        Raises:
            ValueError: anything else, names included.
        """
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not port.isascii() or not port.isdigit() or len(port) > 5 or bracketed != (":" in host):
            raise ValueError(f"{text!r} is not ADDRESS:PORT (an IPv6 address in square brackets)")
        return cls.of(host[1:-1] if bracketed else host, int(port))

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 literal."""
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


ANY_IPV4 = "0.0.0.0"
"""As the host to bind an `OpenSocket` to that has a remote: the IPv4 address by which the system routes there."""

ANY_IPV6 = "::"
"""The same for IPv6."""


class Transport(IdentityEnum):
    """How bytes travel; the values are the words of URIs and of the command line."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    DTLS = "dtls"

    @property
    def is_stream(self) -> bool:
        """Whether it delivers everything, in order: TCP and TLS. The others carry datagrams."""
        return self in _STREAMS

    @property
    def is_secure(self) -> bool:
        """Whether it is encrypted: TLS and DTLS."""
        return self in _SECURE


_STREAMS = (Transport.TCP, Transport.TLS)
_SECURE = (Transport.TLS, Transport.DTLS)


# --------------------------------------------------------------------------- what the world may say


class SocketErrorKind(enum.Enum):
    """What went wrong with a socket, as far as a machine can act on it."""

    ADDRESS_IN_USE = "address in use"
    ADDRESS_UNAVAILABLE = "address not available"
    PERMISSION = "not permitted"
    NO_RESOURCES = "out of sockets or memory"
    UNSUPPORTED = "not supported here"
    REFUSED = "connection refused"
    RESET = "connection reset"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timed out"
    TLS = "TLS or DTLS failed"
    PROXY = "the proxy refused"
    BACKLOG = "the peer reads too slowly"
    OTHER = "other"


@attrs.frozen
class SocketError:
    """Why a socket could not be opened, or died.

    Attributes:
        kind: what a machine decides by.
        text: the operating system's words, for a person.
    """

    kind: SocketErrorKind
    text: str = ""


@attrs.frozen
class IcmpError:
    """An ICMP error that a datagram of ours caused.

    Attributes:
        type, code: as on the wire (ICMPv4, or ICMPv6 where ``ipv6``).
        mtu: of "fragmentation needed" and "packet too big", in bytes; otherwise 0.
    """

    type: int
    code: int
    ipv6: bool = False
    mtu: int = 0

    @property
    def is_hard(self) -> bool:
        """Whether retrying is pointless: protocol or port unreachable (RFC 1122 4.2.3.9, RFC 4443 3.1)."""
        return (self.type, self.code) == (1, 4) if self.ipv6 else self.type == 3 and self.code in (2, 3)


class RecordKind(enum.Enum):
    """The kinds of DNS record that a machine asks for."""

    A = "A"
    AAAA = "AAAA"
    SRV = "SRV"
    NAPTR = "NAPTR"


@attrs.frozen
class AddressRecord:
    """An A or AAAA record: a canonical literal and its time to live in seconds."""

    host: str
    ttl: int = 0


@attrs.frozen
class SrvRecord:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str
    ttl: int = 0


@attrs.frozen
class NaptrRecord:
    """A NAPTR record (RFC 3403)."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str
    ttl: int = 0


Record: TypeAlias = AddressRecord | SrvRecord | NaptrRecord


class ResolveError(enum.Enum):
    """Why a question has no answer."""

    NOT_FOUND = "no such name or record"
    TIMEOUT = "no name server answered"
    FAILURE = "the name server failed or refused"


# --------------------------------------------------------------------------- actions


class Action:
    """Base of what a machine asks its driver to do. Immutable; drivers dispatch by ``type(output)``."""

    __slots__ = ()


class Event:
    """Base of what a machine tells the application. Immutable, named in the past tense."""

    __slots__ = ()


@attrs.frozen
class TlsOptions:
    """How to open a TLS or DTLS socket.

    Attributes:
        server_hostname: the name that the certificate must carry; ``None`` on a listener.
        alpn: protocols offered or accepted, in order of preference (RFC 7443).
        context: what the driver was configured with under this name ("" is its default).
    """

    server_hostname: str | None = None
    alpn: tuple[str, ...] = ()
    context: str = ""


_AUTHORITY = re.compile(r"[!-~]{1,300}", re.ASCII)  # no space or line break, which would end the line it is written in
MAX_PROXY_WORD = 255  # characters of a user name or password: a request to a proxy, with both, fits into any socket's buffer
UNRECORDED = {"unrecorded": True}
"""As ``metadata`` of a field of attrs: no recording holds it, because a machine only hands it on and decides nothing by it."""


@attrs.frozen
class ProxyOptions:
    """An HTTP CONNECT proxy to open a stream through (RFC 9110 9.3.6).

    Attributes:
        address: of the proxy.
        username, password: for a proxy that wants them (Basic, RFC 7617). In no repr and in no recording.
        authority: ``HOST:PORT`` to ask the proxy for. Left out, it is asked for ``OpenSocket.remote``; with it, the name is the
            proxy's to look up, and ``OpenSocket.remote`` is the proxy itself.

    Raises:
        ValueError: a user name with a colon or a control character; an authority that is none.
    """

    address: Address
    username: str | None = attrs.field(default=None, repr=False, metadata=UNRECORDED)
    password: str | None = attrs.field(default=None, repr=False, metadata=UNRECORDED)
    authority: str | None = None

    def __attrs_post_init__(self) -> None:
        for name, text in (("username", self.username), ("password", self.password)):
            if text is not None and not all(character >= " " and character != "\x7f" for character in text):
                raise ValueError(f"{name}: of a proxy, it has no control characters (RFC 7617 2)")
            if text is not None and len(text) > MAX_PROXY_WORD:
                raise ValueError(f"{name}: of a proxy, at most {MAX_PROXY_WORD} characters")
        if self.username is not None and ":" in self.username:
            raise ValueError("username: of a proxy, it has no colon (RFC 7617 2)")
        if self.authority is not None and not _AUTHORITY.fullmatch(self.authority):
            raise ValueError(f"authority: {self.authority!r} is not HOST:PORT")


@attrs.frozen
class SocketOptions:
    """Everything that a socket may be opened with beside its addresses.

    Attributes:
        tls: for the transports TLS and DTLS.
        proxy: open the stream, which connects, through this proxy. With TLS, that is spoken with the server, inside.
        multicast_groups: groups to join, on ``interface`` where one is named, and otherwise on that of the address. Real sockets
            join one, and hear nothing else, as the port may be shared with a daemon of the system; simulated ones any number,
            and unicast, too.
        reuse_port: share the port with other processes (SO_REUSEPORT).
        dscp: differentiated services code point, 0..63.
        dont_fragment: ``True``: no datagram may be fragmented, here or on the way. ``False``: all may (the DF bit of IPv4 is 0).
            ``None``: as the system does by default, which may look for the path's MTU by itself. See `SetDontFragment`, too.
        interface: name of the interface that traffic must use.
        receive_buffer: bytes that may wait to be read (SO_RCVBUF), as far as the system allows; 0 for its default. For
            a server, whose clients all send to one socket.
        trusted_proxies: networks, as text, from which a listener's connections begin with a header that tells whose they
            are (the PROXY protocol). Connections from elsewhere have none.
    """

    tls: TlsOptions | None = None
    proxy: ProxyOptions | None = None
    multicast_groups: tuple[str, ...] = ()
    reuse_port: bool = False
    dscp: int = 0
    dont_fragment: bool | None = None
    interface: str | None = None
    receive_buffer: int = 0
    trusted_proxies: tuple[str, ...] = ()


DEFAULT_OPTIONS = SocketOptions()


@attrs.frozen
class OpenSocket(Action):
    """Open a socket bound to ``bind`` (port 0: any).

    A stream with a ``remote`` connects; one without listens. A UDP socket with a ``remote`` is not connected, but a
    driver may choose by it: where the host of ``bind`` is `ANY_IPV4` or `ANY_IPV6`, the socket is bound to the one
    address by which the system routes to ``remote``. The wildcard address itself is never bound, because answers
    could leave from another address than the one that was asked.

    DTLS is datagrams: `SendDatagram`, `SendDatagrams` and `Machine.handle_datagrams`, with or without a ``remote``. A
    listener's associations are the driver's business: its peers are known by the source of their datagrams, on the
    listener's own id, and one without an association cannot be sent to. TLS streams are accepted once their handshake is done.

    The driver answers with `Machine.handle_socket_opened`, which tells the address, or `Machine.handle_socket_failed`.
    """

    socket: SocketId
    transport: Transport
    bind: Address
    remote: Address | None = None
    options: SocketOptions = DEFAULT_OPTIONS

    @property
    def towards(self) -> Address | None:
        """Where a connection leads at first: to the proxy, where there is one, otherwise to the remote."""
        return self.remote if self.options.proxy is None else self.options.proxy.address


class CloseMode(enum.Enum):
    """``FLUSH`` sends what is queued first; ``RESET`` drops it."""

    FLUSH = "flush"
    RESET = "reset"


@attrs.frozen
class CloseSocket(Action):
    """Close a socket. Nothing more is heard of it; closing an unknown one is a no-op."""

    socket: SocketId
    mode: CloseMode = CloseMode.FLUSH


@attrs.frozen
class SetReading(Action):
    """Pause or resume reading a stream: back-pressure towards the peer."""

    socket: SocketId
    enabled: bool


@attrs.frozen
class SetDontFragment(Action):
    """Say whether datagrams that are sent from now on from a UDP socket may be fragmented, as `SocketOptions.dont_fragment` does.

    One that must not be and is too big comes back through `Machine.handle_icmp`, also where it never left. Its place among the
    actions is what counts: before and after a `SendDatagram` it is about that datagram alone. For an unknown socket, and for one
    of another transport, it is a no-op.
    """

    socket: SocketId
    enabled: bool


@attrs.frozen
class Resolve(Action):
    """Look up ``kind`` records of ``name``; answered by `Machine.handle_resolved`."""

    query: QueryId
    name: str
    kind: RecordKind


class _PublishName(NamedTuple):  # a quarter of an attrs class's time of import, which hardly any program has any use for
    name: str
    host: str


class PublishName(_PublishName, Action):
    """Answer for ``name`` on the link of ``host``, one of this machine's addresses, until `WithdrawName` (RFC 6762).

    Nothing tells whether that can be done: a machine goes on as if it could.
    """

    __slots__ = ()


class _WithdrawName(NamedTuple):
    name: str


class WithdrawName(_WithdrawName, Action):
    """Answer for ``name`` no more, and say so to who has heard of it (RFC 6762 10.1). An unknown one is a no-op."""

    __slots__ = ()


class _SendDatagram(NamedTuple):
    socket: SocketId
    destination: Address
    data: bytes


class SendDatagram(_SendDatagram, Action):
    """Send one datagram. It is never retried: a refusal by the system is a lost packet, counted.

    A NamedTuple: it is made for every packet, and costs half of a frozen attrs class.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SendDatagram(socket={self.socket}, destination={self.destination}, data={self.data.hex()})"


class _SendDatagrams(NamedTuple):
    socket: SocketId
    items: tuple[tuple[Address, bytes], ...]


class SendDatagrams(_SendDatagrams, Action):
    """Send datagrams, in order: just what a `SendDatagram` for each of ``items``, (destination, data), would do.

    For machines that forward batches. A driver hands all of them to the system at once where it can, and one that the
    system refuses does not keep the others from leaving.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        items = ", ".join(f"({destination}, {data.hex()})" for destination, data in self.items)
        return f"SendDatagrams(socket={self.socket}, items=({items}))"


class _SendStream(NamedTuple):
    socket: SocketId
    data: bytes


class SendStream(_SendStream, Action):
    """Append ``data`` to a stream; progress is told by `Machine.handle_stream_sent`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"SendStream(socket={self.socket}, data={self.data.hex()})"


# --------------------------------------------------------------------------- machines


class Ids:
    """The one counter of socket and query ids in a tree of machines.

    The root machine makes it and hands it to its children, so that no two of them open the same id.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def socket(self) -> SocketId:
        """A socket id never handed out before."""
        self._last += 1
        return SocketId(self._last)

    def query(self) -> QueryId:
        """A query id never handed out before."""
        self._last += 1
        return QueryId(self._last)


class Machine:
    """Base of every protocol machine: the output queue, and inputs that are ignored unless overridden.

    ``now`` is monotonic seconds of arbitrary origin. It never decreases; it may jump forward. Nothing
    that the peer sends makes a ``handle_*`` method raise.
    """

    __slots__ = ("_outputs",)

    def __init__(self) -> None:
        self._outputs: list[Action | Event] = []

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """``socket`` is bound to ``local`` (and connected; TLS and DTLS: the handshake is done)."""

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """``socket`` could not be opened, or died. It is closed; its id is never used again."""

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """``listener`` accepted a stream from ``remote``, now known as ``socket``."""

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Datagrams arrived on ``socket``: (source, data) in order of arrival."""

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Bytes arrived on a stream; ``b""`` is its end."""

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """The backlog of a stream moved: ``unsent`` bytes still wait."""

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A datagram sent from ``socket`` to ``destination`` came back as an ICMP error."""

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """The answer to a `Resolve`."""

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        """The wall clock reads ``unix`` seconds: told once at the start, and again when it jumps."""

    def handle_timer(self, *, now: float) -> None:
        """Time passed. Afterwards ``deadline() > now``; an early or a late call is safe."""

    def deadline(self) -> float:
        """When `handle_timer` wants to be called next, absolute; `math.inf` for never. Pure."""
        return math.inf

    def take_outputs(self) -> list[Action | Event]:
        """What the machine wants done and known, in order. Empties the queue; draining late changes nothing."""
        outputs = self._outputs
        self._outputs = []
        return outputs
