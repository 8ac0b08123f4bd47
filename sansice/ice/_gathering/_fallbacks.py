"""In which order the URLs of one TURN server are asked: the best first, and each other one soon enough to be of use (RFC 8305 5).

A server with several URLs is one server, which is there over UDP, and over TCP or TLS for networks that let nothing else out. One
allocation is enough of it: what is asked later is asked only while nothing has come of what is better, and is given up as soon
as anything has. So a network that takes UDP sees nothing else, and one that drops it without a word costs less than a second.

To open a stream takes two round trips with TLS, more through a proxy, and asks for nothing. So where nothing at all has answered
over UDP it is opened early, and held: the request for an allocation is sent on it when its turn has come, and not sooner.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from sansice.ice._server import NamedServer
from sansice.machine import SocketId, Transport

from ._relay import RelayQuestion

# Seconds from the first attempt over UDP to the first over a stream. The first retransmission is after 0.5 s (RFC 8489 6.2.1), so
# that one lost datagram does not make a relay over TCP of what could be one over UDP.
STREAM_DELAY = 0.6
# Seconds to the opening of that stream (RFC 8305 5): an answer over UDP was to be expected by now, unless a datagram was lost, or
# the server is a quarter of a second away. Then this costs a connection that is closed again, and no allocation.
OPENING_DELAY = 0.25
# Seconds from TCP to TLS: the least that RFC 8305 5 has between two attempts, because who lets out nothing but TLS answers TCP
# with silence, and it is the last resort that has the longest way to go.
SECURE_DELAY = 0.1
ATTEMPT_DELAY = 0.25  # seconds between attempts of which none is better by nature (RFC 8305 5, 8)


class _Start(NamedTuple):
    """When the way to a server is opened, and when it is asked, from the first of all on."""

    opening: float
    asking: float


# When each begins, where all are there. DTLS is UDP to a firewall, and only refused by one that looks for the words of STUN.
_STARTS = {
    Transport.UDP: _Start(0.0, 0.0),
    Transport.DTLS: _Start(ATTEMPT_DELAY, ATTEMPT_DELAY),
    Transport.TCP: _Start(OPENING_DELAY, STREAM_DELAY),
    Transport.TLS: _Start(OPENING_DELAY + SECURE_DELAY, STREAM_DELAY + SECURE_DELAY),
}


class _Race:
    """One server's URLs, for one host candidate.

    Attributes:
        begun: when the first could be asked.
        opened, asked: when the way to each was opened, and when it was asked.
        held: those that are opened and not asked yet.
        ended: those that lead to nothing.
        waiting: those that are not opened yet.
    """

    __slots__ = ("asked", "begun", "ended", "held", "opened", "waiting")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.opened: dict[int, float] = {}
        self.asked: dict[int, float] = {}
        self.held: dict[int, None] = {}
        self.ended: dict[int, None] = {}
        self.waiting: dict[int, RelayQuestion] = {}


class Fallbacks:
    """Holds questions for relays until it is their turn.

    Args:
        servers: URLs, which are known by their places among these.
        every_url: each is a server of its own.
    """

    __slots__ = ("_group_of", "_groups", "_races")

    def __init__(self, servers: Sequence[NamedServer], *, every_url: bool) -> None:
        self._groups: dict[object, dict[int, _Start]] = {}  # of each: when its members begin, in this order
        self._group_of: dict[int, object] = {}
        for number, server in enumerate(servers):
            if server.uri.is_turn:
                group = number if every_url else (server.uri.host, server.credentials)
                self._group_of[number] = group
                self._groups.setdefault(group, {})[number] = _start_of(server)
        self._groups = {group: _spread(members) for group, members in self._groups.items()}
        self._races: dict[tuple[SocketId, object], _Race] = {}

    def begin(self, socket: SocketId, relayed: Sequence[int], *, now: float) -> list[int]:
        """Forget what was asked through a host candidate's socket, unless something came of it.

        Args:
            socket: the candidate's.
            relayed: which URLs relay for it, or are about to.

        Returns:
            Those that are not to be asked: the servers of ``relayed``, by all their URLs.
        """
        held = [self._group_of[number] for number in relayed]
        for group in self._groups:
            if group not in held:
                self._races[socket, group] = _Race(now)
        return [number for group in held for number in self._groups[group]]

    def forget(self, socket: SocketId) -> None:
        """Nothing is asked through this socket any more."""
        self._races = {key: race for key, race in self._races.items() if key[0] != socket}

    def clear(self) -> list[RelayQuestion]:
        """Give up what waits; returns it."""
        waiting = [question for race in self._races.values() for question in race.waiting.values()]
        for race in self._races.values():
            race.waiting.clear()
            race.held.clear()
        return waiting

    def add(self, question: RelayQuestion) -> None:
        """A server was found: it is asked in its turn."""
        self._races[question.host.socket, self._group_of[question.number]].waiting[question.number] = question

    def ended(self, socket: SocketId, number: int) -> None:
        """This URL leads to nothing: the next one need not wait for it."""
        race = self._races.get((socket, self._group_of.get(number)))
        if race is not None:
            race.waiting.pop(number, None)
            race.held.pop(number, None)
            race.ended[number] = None

    def won(self, question: RelayQuestion) -> tuple[list[RelayQuestion], list[int]]:
        """One relays: what has waited behind it, and is not asked; and the numbers of all other URLs of its server."""
        race = self._races.get((question.host.socket, self._group_of[question.number]))
        spared: list[RelayQuestion] = []
        if race is not None:  # otherwise the candidate is gone, and what was asked through it is not
            spared += race.waiting.values()
            race.waiting.clear()
            race.held.clear()
        return spared, [number for number in self._groups[self._group_of[question.number]] if number != question.number]

    def take_due(self, now: float, *, early: bool) -> Iterator[RelayQuestion]:
        """Those whose turn it is: to be opened, and held if `is_held` says so.

        Args:
            early: streams are opened before it is their turn to be asked, for nothing has answered over UDP.
        """
        for key, race in self._races.items():
            for number in self._groups[key[1]]:
                if number in race.waiting and self._due(key[1], race, number, early=early) <= now:
                    race.opened[number] = now
                    if self._due(key[1], race, number) <= now:
                        race.asked[number] = now
                    else:
                        race.held[number] = None
                    yield race.waiting.pop(number)

    def is_held(self, question: RelayQuestion) -> bool:
        """Whether a server is not to be asked yet, to which the way is to be opened."""
        race = self._races.get((question.host.socket, self._group_of[question.number]))
        return race is not None and question.number in race.held

    def take_released(self, now: float) -> Iterator[tuple[SocketId, int]]:
        """Those that were held, and whose turn it is now to be asked: by socket and number."""
        for key, race in self._races.items():
            for number in self._groups[key[1]]:
                if number in race.held and self._due(key[1], race, number) <= now:
                    del race.held[number]
                    race.asked[number] = now
                    yield key[0], number

    def deadline(self, *, early: bool) -> float:
        """When it is somebody's turn; ``early`` as for `take_due`."""
        dues = [self._due(key[1], race, one, early=early) for key, race in self._races.items() for one in race.waiting]
        dues += [self._due(key[1], race, one) for key, race in self._races.items() for one in race.held]
        return min(dues, default=math.inf)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return not any(race.waiting for race in self._races.values())

    def _due(self, group: object, race: _Race, number: int, *, early: bool = False) -> float:
        """Not before those that are better had their time: counted from when they were asked, or could have been.

        With ``early`` it is the time to open the way, and not to ask.
        """
        starts, begun = self._groups[group], race.opened if early else race.asked
        better = [one for one in takewhile(lambda other: other != number, starts) if one not in race.ended]
        after = {one: starts[number][not early] - starts[one][not early] for one in better}
        return max((begun.get(one, race.begun) + after[one] for one in better), default=race.begun)


def _start_of(server: NamedServer) -> _Start:
    """By the best transport that a URL may mean; a URL of more than one leaves the others to the TURN client."""
    uri = server.uri
    if uri.transport is not None:
        transport = _NAMED.get((uri.is_secure, uri.transport), Transport.UDP)
    elif server.transports is not None:
        transport = next(one for one in server.transports if one.is_secure == uri.is_secure)
    else:
        transport = Transport.TLS if uri.is_secure else Transport.UDP
    return _STARTS[transport]


_NAMED = {
    (False, "tcp"): Transport.TCP,
    (True, "tcp"): Transport.TLS,
    (True, "udp"): Transport.DTLS,
}


def _spread(members: dict[int, _Start]) -> dict[int, _Start]:
    """In order, beginning at once, and no two at a time."""
    spread: dict[int, _Start] = {}
    first = min(members.values())
    for number in sorted(members, key=lambda one: members[one]):
        opening, asking = members[number].opening - first.opening, members[number].asking - first.asking
        while any(asking == other.asking for other in spread.values()):
            opening, asking = opening + ATTEMPT_DELAY, asking + ATTEMPT_DELAY
        spread[number] = _Start(opening, asking)
    return dict(sorted(spread.items(), key=lambda item: item[1].asking))
