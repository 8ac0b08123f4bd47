"""The machine of multicast DNS: it finds the addresses of names, and answers for names of our own (RFC 6762)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from sansice.ice._gathering._addresses import look_at
from sansice.ice._gathering._hosts import HostAddress
from sansice.ice._mdns_name import is_concealing_name
from sansice.machine import (
    Address,
    CloseSocket,
    DecodeError,
    DropReason,
    Entropy,
    Ids,
    LocalProtocolError,
    Machine,
    QueryId,
    SendDatagram,
    SocketError,
    SocketId,
)

from ._config import DEFAULT_CONFIG, MdnsConfig
from ._events import NameResolved
from ._link import PORT, Link, Place, places_of
from ._message import MdnsMessage, Question, decode_untrusted, encode_query
from ._querier import Querier
from ._responder import Responder
from ._stats import MdnsStats

NAMES_A_QUERY = 16  # names in one message: each takes 49 bytes at most, so that it is less than any MTU of IPv6


class MdnsAgent(Machine):
    """Names in place of addresses, for all agents of a process (draft-ietf-mmusic-mdns-ice-candidates).

    It has a socket for each interface and family, a member of the group of mDNS. `register` makes a name that conceals an
    address, announces it and answers for it until `withdraw` or `end_session`; `resolve` finds the address of a peer's name,
    which is told by `NameResolved` or `NameFailed`. What others announce is remembered, so that most names are known before
    they are asked for.

    Only names of the form that conceals an address are looked for, and only what comes from the link, from the port of mDNS,
    is believed (RFC 6762 11). That a message came by multicast proves that it did; where a socket hears unicast too, give
    addresses with the length of their prefix.

    Args:
        config: times and bounds.
        entropy: for names and delays.
        ids: of sockets and queries, where another machine shares them.
    """

    __slots__ = ("_closed", "_config", "_ids", "_links", "_querier", "_responder", "stats")

    def __init__(self, *, config: MdnsConfig = DEFAULT_CONFIG, entropy: Entropy = os.urandom, ids: Ids | None = None) -> None:
        super().__init__()
        self._config = config
        self._ids = Ids() if ids is None else ids
        self._links: dict[SocketId, Link] = {}
        self._querier = Querier(config, entropy)
        self._responder = Responder(config, entropy)
        self._closed = False
        self.stats: MdnsStats = MdnsStats()

    @property
    def names(self) -> tuple[str, ...]:
        """Our own, in the order of making."""
        return self._responder.names

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses at which it has a socket that is open, in the order of opening."""
        return tuple(link.place.host for link in self._links.values() if link.is_open)

    # ------------------------------------------------------------- commands

    def update_addresses(self, addresses: Iterable[HostAddress | str], *, now: float) -> None:
        """Say which addresses this machine has: at the start, and whenever they change.

        One socket is opened for each interface and family, and those of addresses that are gone are closed. A socket that
        could not be opened before is tried again. Loopback is no link.

        Args:
            addresses: with their interfaces, as `sansice.sockets.local_hosts` tells them; or text, perhaps with the length
                of the prefix, ``"192.168.1.2/24"``: each is then taken for a link of its own.
            now: seconds.

        Raises:
            LocalProtocolError: not a literal, or closed.
        """
        self._check_open()
        try:
            places = list(places_of(addresses))
        except ValueError as error:
            raise LocalProtocolError(f"addresses: {error}") from None
        chosen = self._choose(places)
        for link in tuple(self._links.values()):
            if chosen.get(link.place.key) == link.place:
                del chosen[link.place.key]
                self._tell_of(link, _hosts_beside(link.place, places), now)
            else:
                self._shut(link)
        for place in chosen.values():
            link = Link(place, _hosts_beside(place, places), self._ids.socket())
            self._links[link.socket] = link
            self._outputs.append(link.opening())

    def register(self, address: str, *, session: str = "", now: float) -> str:
        """The name that conceals an address, made when it is asked for the first time.

        It is there at once, whether or not anybody on the link can ever resolve it (draft 3.1.1).

        Args:
            address: a literal, one of this machine's.
            session: what shares names: a page, a call. Another session has other names for the same address, so that nobody
                is recognised by them (draft 3.3.3).
            now: seconds.

        Raises:
            LocalProtocolError: not a literal, too many names, or closed.
        """
        self._check_open()
        try:
            host = look_at(address)[0]
        except ValueError as error:
            raise LocalProtocolError(f"address: {error}") from None
        known = self._responder.known(host, session)
        if known is not None:
            return known
        self._check_room()
        return self._responder.add(host, session, now=now)

    def publish(self, name: str, address: str, *, now: float) -> None:
        """Answer for a name that was made elsewhere, as `sansice.PublishName` asks for; it is announced as one of `register`.

        Args:
            name: of the form that conceals an address; `mdns_name` makes such names. Saying the same twice is harmless.
            address: a literal, one of this machine's.
            now: seconds.

        Raises:
            LocalProtocolError: of another form, in use for another address, not a literal, too many names, or closed.
        """
        self._check_open()
        name = name.lower()
        if not is_concealing_name(name):
            raise LocalProtocolError(f"name: {name!r} is no UUID under .local")
        try:
            host = look_at(address)[0]
        except ValueError as error:
            raise LocalProtocolError(f"address: {error}") from None
        known = self._responder.host_of(name)
        if known not in (None, host):
            raise LocalProtocolError(f"name: {name} is that of {known}")
        if known is None:
            self._check_room()
            self._responder.take(name, host, name, now=now)  # a session of its own: nobody else shares it

    def withdraw(self, name: str, *, now: float) -> None:
        """Take a name back, and say so on its link (RFC 6762 10.1). One that is not ours is a no-op."""
        self._remove((name.lower(),))

    def end_session(self, session: str, *, now: float) -> None:
        """Take back all names of a session."""
        self._remove(self._responder.names_of(session))

    def resolve(self, name: str, *, timeout: float | None = None, now: float) -> QueryId:
        """Look for the address of a name: answered by `NameResolved` or `NameFailed`, once, perhaps at once.

        Args:
            name: as the peer told it; of any form.
            timeout: seconds; `math.inf` asks ever more seldom until somebody answers, or `cancel`. ``None`` for
                `MdnsConfig.query_timeout`.
            now: seconds.

        Raises:
            LocalProtocolError: a timeout that is not more than 0, or closed.
        """
        self._check_open()
        timeout = self._config.query_timeout if timeout is None else timeout
        if not timeout > 0:
            raise LocalProtocolError(f"timeout must be more than 0 s, not {timeout!r}")
        query, name = self._ids.query(), name.lower()
        own = self._responder.host_of(name)
        known = self._querier.resolve(query, name, timeout, now=now) if own is None else NameResolved(query, name, own)
        if known is not None:
            self._outputs.append(known)
        return query

    def cancel(self, query: QueryId, *, now: float) -> None:
        """Look for it no more; nothing is told. One that has been answered is a no-op."""
        self._querier.cancel(query)

    def close(self, *, now: float) -> None:
        """Say goodbye for all names, close the sockets, and fail what is looked for. The second time it is a no-op."""
        if self._closed:
            return
        self._closed = True
        self._outputs += self._querier.close()
        self._remove(self._responder.names)
        for link in tuple(self._links.values()):
            self._shut(link)

    # ------------------------------------------------------------- what the world tells

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A link is up: what is to be told is told there."""
        link = self._links.get(socket)
        if link is not None and not link.is_open:
            link.is_open = True
            self._announce_on(link, now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """Without a socket there is no link; `update_addresses` tries again."""
        if self._links.pop(socket, None) is not None:
            self._querier.cache.clear()

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Questions, answers, announcements and noise."""
        link = self._links.get(socket)
        if link is None or not link.is_open:
            self.stats.dropped[DropReason.CLOSED if self._closed else DropReason.UNKNOWN_SOCKET] += len(batch)
            return
        for source, data in batch:
            reason = self._take(link, source, data, now)
            if reason is not None:
                self.stats.dropped[reason] += 1

    def handle_timer(self, *, now: float) -> None:
        """Give up what took too long, ask again, announce and answer."""
        links = tuple(self._links.values())
        self._outputs += self._querier.take_expired(now=now)
        questions = self._querier.due_questions(now=now)
        self._responder.announce_due(links, now=now)
        for link in links:
            if link.is_open:
                self._ask(link, questions)
                self._say(self._responder.multicast_due(link, now=now))

    def deadline(self) -> float:
        """When something is to be asked, said or given up."""
        links = min((link.deadline() for link in self._links.values()), default=self._querier.deadline())
        return min(self._querier.deadline(), self._responder.deadline(), links)

    # ------------------------------------------------------------- inside

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("closed")

    def _check_room(self) -> None:
        if len(self._responder) >= self._config.max_names:
            raise LocalProtocolError(f"{self._config.max_names} names are in use: withdraw those of sessions that have ended")

    def _choose(self, places: Sequence[Place]) -> dict[tuple[str, bool], Place]:
        """One of each interface and family; those that have a socket already before others."""
        in_use = {link.place: None for link in self._links.values()}
        chosen: dict[tuple[str, bool], Place] = {}
        for place in sorted(places, key=lambda place: place not in in_use):
            chosen.setdefault(place.key, place)
        for key in tuple(chosen)[self._config.max_links :]:
            del chosen[key]
            self.stats.dropped[DropReason.LIMIT] += 1
        return chosen

    def _announce_on(self, link: Link, now: float) -> None:
        if link.is_open:
            self._responder.announce_on(link, now=now)

    def _tell_of(self, link: Link, hosts: tuple[str, ...], now: float) -> None:
        if hosts != link.hosts:
            link.hosts = hosts
            self._announce_on(link, now)

    def _shut(self, link: Link) -> None:
        """What was told there may be taken back there, and nobody hears it (RFC 6762 10.3). Other links are asked anew."""
        del self._links[link.socket]
        self._querier.cache.clear()
        self._outputs.append(CloseSocket(link.socket))

    def _remove(self, names: Iterable[str]) -> None:
        self._say(self._responder.remove(names, tuple(self._links.values())))

    def _take(self, link: Link, source: Address, data: bytes, now: float) -> DropReason | None:
        """What one datagram brings; or why it is dropped."""
        if not link.has(source):
            return DropReason.WRONG_SOURCE
        try:
            message = decode_untrusted(data)
            if message.is_response:
                return self._take_response(link, source, message, now)
            sent, refused = self._responder.handle_query(link, source, message, now=now)
        except DecodeError as error:
            return error.reason
        self._say(sent)
        self._say(self._responder.multicast_due(link, now=now))
        return DropReason.RATE_LIMITED if refused else None

    def _take_response(self, link: Link, source: Address, message: MdnsMessage, now: float) -> DropReason | None:
        if source.port != PORT:  # RFC 6762 6: nobody who may have this port is anybody
            return DropReason.WRONG_SOURCE
        records = [record for record in message.hosts_untrusted() if self._responder.host_of(record.name) is None]
        self._outputs += self._querier.handle_hosts(link, records, now=now)
        return None

    def _ask(self, link: Link, questions: Sequence[Question]) -> None:
        size = 2 * NAMES_A_QUERY  # two for each
        for start in range(0, len(questions), size):
            self._outputs.append(SendDatagram(link.socket, link.group, encode_query(questions[start : start + size])))
            self.stats.queries_sent += 1

    def _say(self, sent: Sequence[SendDatagram]) -> None:
        self._outputs += sent
        self.stats.responses_sent += len(sent)


def _hosts_beside(place: Place, places: Sequence[Place]) -> tuple[str, ...]:
    """All addresses of the interface, of both families: who asks over IPv6 is told an IPv4 address as well (RFC 6762 6)."""
    return tuple(other.host for other in places if (other.interface or other.host) == (place.interface or place.host))
