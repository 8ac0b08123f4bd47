"""A stream of a lite agent, and its generations (RFC 8445 9)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import attrs

from sansice._enums import IdentityEnum
from sansice.ice._binding import Check
from sansice.ice._candidate import Candidate
from sansice.ice._config import IceConfig
from sansice.ice._description import Credentials, Description
from sansice.ice._events import IceState
from sansice.ice._reachability import is_reachable
from sansice.ice._telling._tally import Ending, Ledger
from sansice.machine import Address, DropReason, SocketError, SocketId, Transport
from sansice.stun import TransactionId, short_term_key

from ._component import Component, LitePair
from ._hosts import Host

# Checks and nominations remembered by their transaction ids, so that one that somebody has seen and sends again from elsewhere is
# known for what it is: those of a browser's last minutes, and of the pairs that an aggressive partner tries in a second. Only
# new ones displace others, so what a peer sent last is remembered for as long as it is silent.
MAX_REMEMBERED = 64
_OVER = frozenset({IceState.FAILED, IceState.CLOSED})


@attrs.frozen
class EarlyCheck:
    """A check that came before the peer's description."""

    host: Host
    source: Address
    check: Check


class Novelty(IdentityEnum):
    """Whether a nomination has come before, by its transaction id."""

    FIRST = "it has not"
    REPEATED = "over the same path: the peer retransmits"
    REPLAYED = "over another path: somebody has seen it, and sends it again"


class Generation:
    """What a lite agent and its peer have told each other about one stream, between two restarts.

    Attributes:
        number: among the generations of the stream, from 0.
        remote: the peer's description, once known.
        remote_complete: whether no more of the peer's candidates follow.
        heard_at: when the last authenticated check came, or the description.
        waiting: candidates, and ends of candidates (``None``), that came before the description, each with the ufrag it is for.
        early: checks that came before the description.
        lifetime: a pair lasts so long after its last check, seconds.
        is_selected: whether its valid pairs are the selected ones.
        is_chosen: it chose among several pairs with a lite peer, so that now its description has only these (RFC 8445 8.2).
        heard: the ids of its latest checks: one that is sent again is no new consent.
        nominations: the latest, by transaction id, and the paths that they came over.
    """

    __slots__ = (
        "components",
        "credentials",
        "early",
        "heard",
        "heard_at",
        "is_chosen",
        "is_selected",
        "key",
        "lifetime",
        "nominations",
        "number",
        "remote",
        "remote_complete",
        "waiting",
    )

    def __init__(self, credentials: Credentials, components: int, number: int = 0) -> None:
        self.number = number
        self.credentials = credentials
        self.key = short_term_key(credentials.pwd)
        self.components = tuple(Component(number + 1) for number in range(components))
        self.remote: Description | None = None
        self.remote_complete = False
        self.heard_at = -math.inf
        self.waiting: list[tuple[str | None, Candidate | None]] = []
        self.early: list[EarlyCheck] = []
        self.lifetime = math.inf
        self.is_selected = False
        self.is_chosen = False
        self.heard: dict[TransactionId, None] = {}
        self.nominations: dict[TransactionId, tuple[Host, Address]] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every component has a valid pair; only then anything is sent (RFC 8445 12.1.1)."""
        return all(component.pair is not None for component in self.components)

    @property
    def pairs(self) -> Iterator[LitePair]:
        """The valid pairs, in the order of the components."""
        return (component.pair for component in self.components if component.pair is not None)

    @property
    def silent_since(self) -> float:
        """When the last check came over the pair that has been silent for longest."""
        return min((pair.heard_at for pair in self.pairs), default=math.inf)

    def is_from(self, description: Description) -> bool:
        """Whether a description has the credentials of the one that is known."""
        remote = self.remote
        return remote is not None and (remote.ufrag, remote.pwd) == (description.ufrag, description.pwd)

    def is_of(self, ufrag: str) -> bool:
        """Whether it is the peer's of this generation."""
        return self.remote is not None and self.remote.ufrag == ufrag

    def know(self, description: Description, lifetime: float, *, now: float) -> None:
        """The peer's description, at last."""
        self.remote = description
        self.lifetime = lifetime
        self.heard_at = now

    def add_remote(self, candidate: Candidate, config: IceConfig) -> DropReason | None:
        """Know one of the peer's candidates, or say why not; ``None`` also for what is known already."""
        address = candidate.address
        if (
            not isinstance(address, Address)
            or candidate.component > len(self.components)
            or candidate.transport is not Transport.UDP
            or not is_reachable(address)
        ):
            return DropReason.UNUSABLE_CANDIDATE
        component = self.components[candidate.component - 1]
        if address not in component.remotes and self.remote_count >= config.max_remote_candidates:
            return DropReason.LIMIT
        component.remotes[address] = candidate
        if self.remote is not None and self.remote.lite:  # it sends no checks: what it says is all there will be
            component.sources[address] = None
        return None

    def forget_remotes(self) -> None:
        """What was known of the candidates of a lite peer, which may have narrowed them (RFC 8445 8.2)."""
        self.early.clear()
        for component in self.components:
            component.remotes.clear()
            component.sources.clear()

    @property
    def remote_count(self) -> int:
        """How many candidates the peer has told."""
        return sum(len(component.remotes) for component in self.components)

    def is_new(self, transaction_id: TransactionId) -> bool:
        """Whether a check has not come before: else it is retransmitted, or replayed by somebody who has seen it."""
        if transaction_id in self.heard:
            return False
        self.heard[transaction_id] = None
        if len(self.heard) > MAX_REMEMBERED:
            del self.heard[next(iter(self.heard))]
        return True

    def remember(self, transaction_id: TransactionId, host: Host, source: Address) -> Novelty:
        """A nomination came over a path."""
        known = self.nominations.get(transaction_id)
        if known is not None:
            return Novelty.REPEATED if known == (host, source) else Novelty.REPLAYED
        self.nominations[transaction_id] = (host, source)
        if len(self.nominations) > MAX_REMEMBERED:
            del self.nominations[next(iter(self.nominations))]
        return Novelty.FIRST


class Stream:
    """A stream: the generation that is being negotiated, and the one before while it still carries the data.

    Attributes:
        index: from 0.
        current: the latest generation.
        previous: the one that a restart is to replace, until the new one has a pair for every component.
        carrier: the one whose pairs data is sent on.
        state: this stream's part of the agent's.
        ledgers: of each component: the data that it has carried.
        selections: of each component: how often another pair was selected, or none any more.
        is_lost: its pairs fell silent, and that was its end.
        ending: how, in that case.
        lost_socket: or the socket of one died.
        is_cut_off: the address is gone that it sent from.
        needs_restart: the application was told that nothing else helps.
    """

    __slots__ = (
        "carrier",
        "current",
        "ending",
        "index",
        "is_cut_off",
        "is_lost",
        "ledgers",
        "lost_socket",
        "needs_restart",
        "previous",
        "selections",
        "state",
    )

    def __init__(self, index: int, credentials: Credentials, ledgers: Sequence[Ledger]) -> None:
        self.index = index
        self.ledgers = ledgers
        self.selections = [0] * len(ledgers)
        self.current = Generation(credentials, len(ledgers))
        self.previous: Generation | None = None
        self.carrier: Generation | None = None
        self.state = IceState.NEW
        self.is_lost = self.is_cut_off = self.needs_restart = False
        self.ending: Ending | None = None
        self.lost_socket: SocketError | None = None

    @property
    def generations(self) -> Iterable[Generation]:
        """The current one first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)

    @property
    def heard_at(self) -> float:
        """When the peer last gave a sign of life."""
        return max(generation.heard_at for generation in self.generations)

    @property
    def is_waiting(self) -> bool:
        """Whether the peer is known and has still to nominate."""
        return self.current.remote is not None and self.carrier is not self.current and self.state not in _OVER

    def is_restarted_by(self, description: Description) -> bool:
        """Whether a description is the peer's restart (RFC 8445 9)."""
        return self.current.remote is not None and not self.current.is_from(description)

    def renew(self, credentials: Credentials) -> None:
        """Begin a generation. What carries data goes on doing so."""
        self.previous = self.carrier or self.previous or self.current
        self.current = Generation(credentials, len(self.current.components), self.current.number + 1)
        self.is_lost = self.is_cut_off = self.needs_restart = False
        self.lost_socket = None

    def conclude(self) -> None:
        """The current generation has a pair for every component: it carries the data."""
        self.carrier = self.current
        self.previous = None
        self.is_cut_off = self.needs_restart = False

    def lose(self) -> None:
        """What carries data does so no more, and the generation before is gone with it."""
        for pair in () if self.carrier is None or not self.carrier.is_selected else self.carrier.pairs:
            self.count_selection(pair.host.component)
        for ledger in self.ledgers:
            ledger.use(None)
        self.carrier = self.previous = None

    def forget(self, host: Host) -> bool:
        """The pairs of a socket that is gone; whether data was sent on one of them."""
        was_used = False
        for generation in self.generations:
            for component in generation.components:
                if component.pair is not None and component.pair.host is host:
                    component.pair = None
                    generation.is_selected = False
                    was_used = was_used or generation is self.carrier
        return was_used

    def of_username(self, username: str | None) -> Generation:
        """The generation that a request is for; the current one where it is for neither."""
        previous = self.previous
        if previous is not None and username is not None and username.partition(":")[0] == previous.credentials.ufrag:
            return previous
        return self.current

    def count_selection(self, component: int) -> None:
        """Another pair of a component is selected, or none any more."""
        self.selections[component - 1] += 1

    def is_trusted(self, component: int, source: Address) -> bool:
        """Whether data may come from there: an authenticated check has, or a lite peer said that it would."""
        index = component - 1
        if source in self.current.components[index].sources:
            return True
        return self.previous is not None and source in self.previous.components[index].sources

    def count_received(self, component: int, socket: SocketId, source: Address, size: int, now: float) -> None:
        """A datagram of the application's came."""
        pair = None if self.carrier is None else self.carrier.components[component - 1].pair
        ledger = self.ledgers[component - 1]
        if pair is None or not pair.is_on(socket, source):
            ledger.stray(None, size, now)
        else:
            ledger.use(pair.tally)
            ledger.total.receive(size, now)
