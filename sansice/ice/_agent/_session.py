"""What all streams of an agent share: the role, the set of checklists, the state (RFC 8445 6.1.2, 6.1.3, 6.1.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import attrs

from sansice._timers import FewTimers
from sansice.ice._candidate import Candidate, HostName
from sansice.ice._config import IceConfig
from sansice.ice._events import ICE_TRANSITIONS, IceCause, IceState, IceStateChanged, ServerAnswered, ServerFailed, StreamFailed
from sansice.ice._joint_state import joint_state
from sansice.ice._nomination import REGULAR, Nomination
from sansice.ice._pair import Pair, PairState
from sansice.ice._priority import Foundations, pair_priority
from sansice.ice._role import IceRole
from sansice.ice._telling._stats import IceStats
from sansice.machine import Action, Address, DropReason, Entropy, Event, Ids
from sansice.stun import Schedule

from ._checklist import Checklist

if TYPE_CHECKING:
    from ._checker import Checker
    from ._names import NameSearch

_CONTROLLING = IceRole.CONTROLLING
_NEW, _FAILED, _CLOSED = IceState.NEW, IceState.FAILED, IceState.CLOSED
_WAITING, _IN_PROGRESS = PairState.WAITING, PairState.IN_PROGRESS
OVER = frozenset({_FAILED, _CLOSED})
# The numbers of timers: of a stream its index in steps of this, of a component (1 to 256) two more each.
_STEP = 1024
MAX_OUTCOMES = 64  # of servers that are remembered: there may be as many addresses, streams and components as one likes
TCP = -4  # another: connections that were not there in time, or whose peer has not shown who it is
NAMES = -3  # a timer beside those of streams: a name is given up


def timer_of(stream: int, component: int = 0) -> int:
    """The number of a component's timer; component 0 is the stream itself, whose patience it is."""
    return stream * _STEP + 2 * component


def nomination_timer(stream: int, component: int) -> int:
    """The number of the timer of a nomination that waits."""
    return timer_of(stream, component) + 1


def owner_of(timer: int) -> tuple[int, int, bool]:
    """Stream and component of a timer, and whether it is that of a nomination."""
    stream, rest = divmod(timer, _STEP)
    return stream, rest >> 1, bool(rest & 1)


class PairBecameValid(NamedTuple):
    """A check succeeded; ``pair`` is the valid pair."""

    pair: Pair


class PairAnswered(NamedTuple):
    """``pair``, which is selected, was answered by a check that was not for consent."""

    pair: Pair


class PairNominated(NamedTuple):
    """``pair`` is the valid pair to use from now on."""

    pair: Pair


class PairDied(NamedTuple):
    """``pair``, which was valid, can be used no more."""

    pair: Pair


News: TypeAlias = PairBecameValid | PairAnswered | PairNominated | PairDied


class Session:
    """What the streams of one agent share. It knows none of them, so that all of them may know it.

    Attributes:
        role: of this moment; change it with `take_role`.
        is_to_consider: what nominations wait for has changed, so that those of every stream are to be considered anew.
        gathered_at: when the local candidates were complete that the peer was told; infinite while they are not.
        silent_since: when the first server was asked over UDP, while none has answered; infinite otherwise.
        relays_only: whether the policy is that nothing but relays is used.
        has_tcp: whether there are TCP candidates (RFC 6544), so that the peer's are of use.
        has_discovered: a remote candidate was learned by its checks, and relays are to let it in.
        has_failed: one of several streams has, and the others may be all that was waited for.
        tiebreaker: for conflicts about the role (RFC 8445 7.3.1.1).
        nomination: the application's policy.
        ta: the pacing on which both agents agreed.
        lists: the checklist set: the list of each stream's present generation.
        states: of each stream; change one with `move`.
        state: of the agent.
        outputs: what the agent wants done and known, in order.
        news: what became of pairs, for the streams to act on.
        servers: what each server said to each local address, the latest last; ``None``: nothing yet.
        timers: of the agent, its streams and its components, by number: see `timer_of`.
    """

    __slots__ = (
        "_pairs",
        "_turn",
        "config",
        "entropy",
        "foundations",
        "gathered_at",
        "has_discovered",
        "has_failed",
        "has_tcp",
        "ids",
        "is_to_consider",
        "lists",
        "names",
        "news",
        "nomination",
        "outputs",
        "relays_only",
        "role",
        "servers",
        "silent_since",
        "state",
        "states",
        "stats",
        "ta",
        "tiebreaker",
        "timers",
    )

    def __init__(
        self,
        *,
        role: IceRole,
        config: IceConfig,
        entropy: Entropy,
        outputs: list[Action | Event],
        nomination: Nomination = REGULAR,
        ids: Ids | None = None,
    ) -> None:
        self.role = role
        self.nomination = nomination
        self.has_tcp = self.relays_only = False
        self.is_to_consider = self.has_failed = self.has_discovered = False
        self.gathered_at = self.silent_since = math.inf
        self.config = config
        self.entropy = entropy
        self.ids = ids or Ids()
        self.names: NameSearch | None = None
        self.stats = IceStats()
        self.servers: dict[tuple[str, str, Address | None], ServerAnswered | ServerFailed] | None = None
        self.foundations = Foundations()
        self.tiebreaker = 0
        self.ta = config.ta
        self.lists: list[Checklist] = []
        self.states: list[IceState] = []
        self.state = _NEW
        self.outputs = outputs
        self.news: Sequence[News] = ()
        self.timers: FewTimers[int] = FewTimers()
        self._turn = 0
        self._pairs = 0

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count what arrived and was dropped."""
        self.stats.dropped[reason] += count

    def note_server(self, outcome: ServerAnswered | ServerFailed) -> None:
        """Keep what a server said, for who asks why nothing connects."""
        if self.servers is None:
            self.servers = {}
        mapped = outcome.mapped if isinstance(outcome, ServerAnswered) else None  # another one for each component
        self.servers.pop((outcome.url, outcome.local, None), None)
        self.servers.pop((outcome.url, outcome.local, mapped), None)
        self.servers[outcome.url, outcome.local, mapped] = outcome
        if len(self.servers) > MAX_OUTCOMES:
            del self.servers[next(iter(self.servers))]

    def tell(self, news: News) -> None:
        """Have a stream act on what became of a pair."""
        self.news = (*self.news, news)

    def draw_tiebreaker(self) -> None:
        """Draw another one: at the start, and after a 487 (RFC 8445 7.2.5.1)."""
        self.tiebreaker = int.from_bytes(self.entropy(8), "big")

    # ------------------------------------------------------------- names

    def find(self, candidate: Candidate, name: HostName, generation: Checker) -> bool:
        """Have a name looked up that a remote candidate has in place of an address; ``False``: it is not."""
        if not self.config.resolve_names:  # RFC 8839 5.1
            self.drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        if self.names is None:
            from ._names import NameSearch  # most peers have addresses

            self.names = NameSearch(self.ids, self.config, self.drop, relays_only=self.relays_only)
        return self.names.add(candidate, name, generation)

    def follow(self, names: NameSearch, now: float) -> None:
        """Ask for names that are new, and pair those that were found, unless their generation is over."""
        names.start(now=now)
        self.outputs.extend(names.take_outputs())
        for found in names.take_found():
            if any(found.generation.list is checklist for checklist in self.lists):
                found.generation.add_found(found.candidate, found.hosts)
        self.timers.set(NAMES, names.deadline())

    # ------------------------------------------------------------- states

    def add_stream(self, checklist: Checklist) -> None:
        """Know one stream more, the last of the checklist set."""
        self.lists.append(checklist)
        self.states.append(_NEW)

    def move(self, stream: int, cause: IceCause) -> None:
        """Take a stream's transition, which is in the table, and tell when the agent's state is another one."""
        states = self.states
        before = states[stream]
        states[stream] = ICE_TRANSITIONS[before][cause]
        if len(states) > 1 and states[stream] is IceState.FAILED is not before:
            self.outputs.append(StreamFailed(stream))
            self.has_failed = True
        old, new = self.state, joint_state(states)
        if new is not old:
            self.state = new
            self.outputs.append(IceStateChanged(old, new))

    # ------------------------------------------------------------- roles and priorities

    def take_role(self, role: IceRole) -> None:
        """Change the role, if it is another one: recompute all priorities (RFC 8445 7.2.5.1).

        Nominations begun in the old role are void in the new one.
        """
        if role is self.role:
            return
        self.role = role
        self.is_to_consider = True
        for checklist in self.lists:
            for pair in checklist:
                if pair.nominating:
                    checklist.untrigger(pair)
                pair.nominating, pair.nominate_on_success = False, 0
                pair.priority = self.priority(pair.local.candidate, pair.remote)
                if pair.valid is not None:
                    pair.valid.priority = self.priority(pair.valid.local.candidate, pair.valid.remote)
            checklist.sort()

    def priority(self, local: Candidate, remote: Candidate) -> int:
        """Of a pair, in the role of this moment (RFC 8445 6.1.2.3)."""
        if self.role is _CONTROLLING:
            return pair_priority(local.priority, remote.priority)
        return pair_priority(remote.priority, local.priority)

    # ------------------------------------------------------------- the checklist set

    def has_next(self) -> bool:
        """Whether `next_pair` would find one."""
        lists = self.lists
        if len(lists) == 1:
            return lists[0].has_next(lists)
        return any(checklist.has_next(lists) for checklist in lists)

    def next_pair(self) -> tuple[int, Pair] | None:
        """The stream whose turn it is and the pair to check (RFC 8445 6.1.4.2).

        Round robin, and a list that has nothing to do is passed over in the same tick.
        """
        lists = self.lists
        count = len(lists)
        if count == 1:
            pair = lists[0].next(lists)
            return None if pair is None else (0, pair)
        for offset in range(count):
            stream = (self._turn + offset) % count
            pair = lists[stream].next(lists)
            if pair is not None:
                self._turn = stream + 1
                return stream, pair
        return None

    def next_pair_number(self) -> int:
        """Of a pair that is made, or a candidate that is discovered: none other has it, whatever generation it is of."""
        self._pairs += 1
        return self._pairs

    def pair_count(self) -> int:
        """How many pairs the whole set has."""
        lists = self.lists
        return len(lists[0]) if len(lists) == 1 else sum(map(len, lists))

    def is_full(self) -> bool:
        """Whether the set has all the pairs that it may have (RFC 8445 6.1.2.5)."""
        return self.pair_count() >= self.config.max_pairs

    def evict(self, favoured: Checklist) -> bool:
        """Give up a pair for a new one of ``favoured``: of the longest list, so that all lose evenly (RFC 8445 6.1.2.5).

        ``False``: no list that is at least as long as ``favoured`` has one to spare.
        """
        for checklist in sorted(self.lists, key=len, reverse=True):
            if len(checklist) < len(favoured):
                break
            victim = checklist.evictable()
            if victim is not None:
                checklist.remove(victim)
                return True
        return False

    def schedule(self) -> Schedule:
        """Retransmissions of a check that starts now (RFC 8445 14.3); the RTO is capped, see `IceConfig`."""
        config, count = self.config, self.pair_count()
        if self.ta * count**2 <= config.schedule.rto:  # all active: not worth counting
            return config.schedule
        active = sum(checklist.count(_WAITING, _IN_PROGRESS) for checklist in self.lists)
        rto = max(config.schedule.rto, min(config.max_check_rto, self.ta * count * active))
        return config.schedule if rto == config.schedule.rto else attrs.evolve(config.schedule, rto=rto)
