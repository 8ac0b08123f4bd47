"""From a URI to the servers that it means: RFC 8489 8.1 for STUN, RFC 5928 and RFC 7350 4.6.2 for TURN.

Nothing here waits. `Search` follows the rules as far as the answers known so far lead, and says what else it wants to
ask; with one more answer known it is made anew and comes further.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import attrs

from sansice.machine import Address, NaptrRecord, ProxyOptions, Record, RecordKind, ResolveError, SrvRecord, Transport
from sansice.stun._uri import DEFAULT_PORT, DEFAULT_SECURE_PORT, ServerUri

from ._order import family_of, interleave, is_server_host, protocol_tags, rank

CLEARTEXT = (Transport.UDP, Transport.TCP)
SECURE = (Transport.TLS, Transport.DTLS)

# Enough for what RFC 5928's examples do several times over; a loop of names ends here.
MAX_NAPTR_DEPTH = 8
# What one URI may make a client race through; also bounds the event.
MAX_TARGETS = 64

_NAMED = {  # RFC 5928 table 1, RFC 7350 4.6.2
    (False, "udp"): Transport.UDP,
    (False, "tcp"): Transport.TCP,
    (True, "tcp"): Transport.TLS,
    (True, "udp"): Transport.DTLS,
    (True, "dtls"): Transport.DTLS,
}
_PROTO = {Transport.UDP: "udp", Transport.TCP: "tcp", Transport.TLS: "tcp", Transport.DTLS: "udp"}  # of SRV names
_TAG = {  # RFC 5928 3, RFC 7350 4.6.2
    Transport.UDP: "turn.udp",
    Transport.TCP: "turn.tcp",
    Transport.TLS: "turn.tls",
    Transport.DTLS: "turn.dtls",
}
_ADDRESS_KIND = {4: RecordKind.A, 6: RecordKind.AAAA}
ADDRESS_KINDS = tuple(_ADDRESS_KIND.values())

Answer: TypeAlias = tuple[Record, ...] | ResolveError


class Question(NamedTuple):
    """What the DNS is asked."""

    name: str
    kind: RecordKind


class _Way(NamedTuple):
    rank: tuple[int, int]
    preference: int
    transport: Transport
    record: NaptrRecord


def _is_signpost(ways: Sequence[_Way]) -> bool:
    return len({way.record for way in ways}) == 1 and not ways[0].record.flags


@attrs.frozen
class ServerTarget:
    """One way to reach a server.

    Attributes:
        transport: to reach it by.
        address: of the server.
        server_hostname: what its certificate must carry, for TLS and DTLS: the host of the URI, whatever name the DNS
            led to (RFC 5928 5), or what the caller knows to be its name. ``None`` for UDP and TCP.
        proxy: through which a connection is opened. Where it is to look the server's name up, ``address`` is the proxy's own.
    """

    transport: Transport
    address: Address
    server_hostname: str | None = None
    proxy: ProxyOptions | None = None

    @property
    def towards(self) -> Address:
        """Where packets go at first: to the proxy, where there is one, otherwise to the server."""
        return self.address if self.proxy is None else self.proxy.address

    def redirected(self, address: Address, server_hostname: str | None) -> ServerTarget:
        """Another server, by the same way."""
        proxy = self.proxy if self.proxy is None else attrs.evolve(self.proxy, authority=None)
        return ServerTarget(self.transport, address, server_hostname, proxy)

    def __str__(self) -> str:
        if self.proxy is None:
            return str(self.address)
        return f"{self.proxy.authority or self.address} through {self.proxy.address}"


def default_transports(uri: ServerUri) -> tuple[Transport, ...]:
    """What a URI is resolved for unless the caller says otherwise."""
    if uri.is_turn:
        return CLEARTEXT + SECURE
    return (Transport.TLS,) if uri.is_secure else (Transport.UDP,)  # RFC 7064 3.2


def usable_transports(uri: ServerUri, supported: Sequence[Transport]) -> tuple[Transport, ...]:
    """Those of the supported transports that the URI allows, in order (RFC 5928 3, the checks and the filter).

    Raises:
        ValueError: there is none; says why.
    """
    if uri.transport is not None:
        named = _NAMED.get((uri.is_secure, uri.transport))
        if named is None:
            raise ValueError(f"no transport {uri.transport!r} is known for {uri.scheme}:")
        if named not in supported:
            raise ValueError(f"{named.name} is not among the transports to be used ({_names(supported)})")
        return (named,)
    allowed = _allowed(uri)
    usable = tuple(transport for transport in supported if transport in allowed)
    if not usable:
        raise ValueError(f"it needs {' or '.join(one.name for one in allowed)}, and may use {_names(supported)}")
    return usable


def _allowed(uri: ServerUri) -> tuple[Transport, ...]:
    if uri.is_secure:
        return SECURE
    return CLEARTEXT + SECURE if _asks_naptr(uri) else CLEARTEXT


def _names(transports: Sequence[Transport]) -> str:
    return ", ".join(one.name for one in transports) or "nothing"


def _asks_naptr(uri: ServerUri) -> bool:
    """Whether RFC 5928 3 comes to its step 4. Only there a ``turn:`` URI can lead to TLS: table 2 has it so."""
    return uri.is_turn and not uri.is_literal and uri.port is None and uri.transport is None


class Search:
    """The rules followed as far as the answers go.

    Attributes:
        wanted: what remains to be asked, what matters more first.
        found: transport and address of servers, in the order to try.

    Args:
        uri: whose server is looked for.
        transports: from `usable_transports`.
        service: of SRV, in place of the scheme's; without the "s" of secure ones.
        families: 4 and 6, the preferred one first.
        answer: what is known, made usable by `usable_records`; ``None``: nothing yet.
    """

    def __init__(
        self,
        uri: ServerUri,
        transports: Sequence[Transport],
        *,
        service: str | None,
        families: Sequence[int],
        answer: Callable[[Question], Answer | None],
    ) -> None:
        self.wanted: dict[Question, None] = {}
        self.found: dict[tuple[Transport, Address], None] = {}
        self._uri = uri
        self._transports = transports
        self._service = service
        self._families = families
        self._answer = answer
        self._seen: set[tuple[str, Transport]] = set()
        self._follow()

    def _follow(self) -> None:
        uri = self._uri
        if uri.is_literal:
            if is_server_host(uri.host) and family_of(uri.host) in self._families:
                self._add([uri.host], uri.port or uri.default_port, self._transports)
        elif uri.port is not None:
            self._add(self._addresses(uri.host), uri.port, self._transports)
        elif _asks_naptr(uri):
            self._by_naptr()
        else:
            self._by_srv()

    def _by_naptr(self) -> None:
        """RFC 5928 3, step 4: the first set of records ranks the transports, the caller's preference breaks ties."""
        ways = self._ways(self._uri.host, self._transports)
        if ways is None:
            return
        if not ways:
            self._by_srv()
            return
        depth = 1
        # The example of RFC 5928 4.2 comes out right only so: one record that points elsewhere ranks nothing yet.
        while _is_signpost(ways) and depth < MAX_NAPTR_DEPTH:
            ways = self._ways(ways[0].record.replacement, [way.transport for way in ways]) or []
            depth += 1
        for way in ways:
            self._follow_naptr(way.record, way.transport, depth=depth)

    def _ways(self, name: str, transports: Sequence[Transport]) -> list[_Way] | None:
        """The first set of NAPTR records, a way for each transport of each record, in the order to go them."""
        answer = self._ask(name, RecordKind.NAPTR)
        if answer is None:
            return None
        ways = [
            _Way(rank(record), preference, transport, record)
            for record in answer
            for preference, transport in enumerate(transports)
            if isinstance(record, NaptrRecord) and _TAG[transport] in protocol_tags(record)
        ]
        return sorted(ways, key=lambda way: way[:2])

    def _follow_naptr(self, record: NaptrRecord, transport: Transport, *, depth: int) -> None:
        match record.flags:
            case "S":
                self._add_services(self._ask(record.replacement, RecordKind.SRV) or (), transport)
            case "A":
                port = DEFAULT_SECURE_PORT if transport in SECURE else DEFAULT_PORT
                self._add(self._addresses(record.replacement), port, (transport,))
            case _:
                self._descend(record.replacement, transport, depth=depth)

    def _descend(self, name: str, transport: Transport, *, depth: int) -> None:
        # What was seen before would lead to the same servers again.
        if depth == MAX_NAPTR_DEPTH or (name, transport) in self._seen:
            return
        self._seen.add((name, transport))
        for record in self._ask(name, RecordKind.NAPTR) or ():
            if isinstance(record, NaptrRecord) and _TAG[transport] in protocol_tags(record):
                self._follow_naptr(record, transport, depth=depth + 1)

    def _by_srv(self) -> None:
        """RFC 5928 3, steps 3 and 5; RFC 8489 8.1."""
        uri = self._uri
        for transport in self._transports:
            if not uri.is_secure and transport in SECURE:
                continue  # RFC 7064 3.2, RFC 7065 3.2: TLS and DTLS belong to the secure schemes
            answer = self._ask_service(transport)
            if answer:
                self._add_services(answer, transport)
            elif answer is not None:
                self._add(self._addresses(uri.host), uri.default_port, (transport,))

    def _ask_service(self, transport: Transport) -> tuple[Record, ...] | None:
        uri = self._uri
        service = uri.scheme
        if self._service is not None:
            if transport is Transport.DTLS:
                return ()  # RFC 5780 9.2 has no such name
            service = self._service + "s" * uri.is_secure
        return self._ask(f"_{service}._{_PROTO[transport]}.{uri.host}", RecordKind.SRV)

    def _add_services(self, records: Sequence[Record], transport: Transport) -> None:
        for record in records:
            if isinstance(record, SrvRecord) and record.target:  # RFC 2782: "." means that there is no such service
                self._add(self._addresses(record.target), record.port, (transport,))

    def _addresses(self, name: str) -> tuple[str, ...]:
        """RFC 8489 8.1: both A and AAAA, in the order of RFC 8305."""
        return interleave(*[self._ask(name, _ADDRESS_KIND[family]) or () for family in self._families])

    def _ask(self, name: str, kind: RecordKind) -> tuple[Record, ...] | None:
        """The records; none for a name that has none, or where asking failed; ``None`` if that is not known yet."""
        question = Question(name, kind)
        answer = self._answer(question)
        if answer is None:
            self.wanted[question] = None
            return None
        return () if isinstance(answer, ResolveError) else answer

    def _add(self, hosts: Sequence[str], port: int, transports: Sequence[Transport]) -> None:
        for transport in transports:
            for host in hosts:
                if len(self.found) < MAX_TARGETS:
                    self.found[transport, Address(host, port)] = None
