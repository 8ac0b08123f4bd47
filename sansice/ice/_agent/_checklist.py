"""The checklist: order, freezing, pruning and the triggered-check queue (RFC 8445 6.1.2, 6.1.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import attrgetter
from types import MappingProxyType

from sansice._enums import IdentityEnum
from sansice.ice._pair import Pair, PairEvent, PairState
from sansice.machine import Address, LocalProtocolError, SocketId

# RFC 8445 6.1.4.2 has triggered checks first. But two NATs that show each agent ever new addresses of the other, none of which
# works, trigger one with every check, and what does work would never have its turn.
MAX_TRIGGERED_ROW = 4


class ChecklistState(IdentityEnum):
    """RFC 8445 6.1.2.1."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class ChecklistEvent(IdentityEnum):
    """What moves a checklist from state to state."""

    NOMINATE = "every component has a nominated pair"
    FAIL = "no pair can become valid any more, or a nominating check failed"
    REVIVE = "a failed pair is checked again"


_S, _E = ChecklistState, ChecklistEvent
CHECKLIST_TRANSITIONS = MappingProxyType(
    {
        _S.RUNNING: {_E.NOMINATE: _S.COMPLETED, _E.FAIL: _S.FAILED, _E.REVIVE: _S.RUNNING},
        _S.COMPLETED: {_E.NOMINATE: _S.COMPLETED, _E.REVIVE: _S.COMPLETED},
        _S.FAILED: {_E.NOMINATE: _S.COMPLETED, _E.FAIL: _S.FAILED, _E.REVIVE: _S.RUNNING},
    }
)

_FROZEN, _WAITING = PairState.FROZEN, PairState.WAITING  # looked up once: see stun/_transaction.py
_UNFROZEN = (PairState.WAITING, PairState.IN_PROGRESS, PairState.SUCCEEDED)
_FAILED = ChecklistState.FAILED
_descending = attrgetter("priority")
_component_of = attrgetter("local.candidate.component")


class Checklist:
    """The pairs of one stream, by decreasing priority, each once for a local base and a remote address.

    Attributes:
        components: how many the stream has.
        is_running: whether checks are made and new pairs thaw by themselves: from the remote description to the stream's end.
        state: RFC 8445 6.1.2.1.
    """

    __slots__ = ("_pairs", "_row", "_triggered", "components", "is_running", "state")

    def __init__(self, components: int = 1) -> None:
        self.components = components
        self.is_running = False
        self.state = ChecklistState.RUNNING
        self._pairs: list[Pair] = []
        self._triggered: list[Pair] = []
        self._row = 0  # triggered checks since the last ordinary one

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, pair: object) -> bool:
        return pair in self._pairs

    def move(self, event: ChecklistEvent) -> None:
        """Take the transition, which must be in the table."""
        try:
            self.state = CHECKLIST_TRANSITIONS[self.state][event]
        except KeyError:
            raise LocalProtocolError(f"a {self.state.value} checklist: {event.value}") from None

    def find(self, socket: SocketId, remote: Address) -> Pair | None:
        """The pair that sends from ``socket`` to ``remote``."""
        for pair in self._pairs:  # a hundred at most; a dictionary would cost every small agent more than the search
            if pair.remote_address == remote and pair.local.socket == socket:
                return pair
        return None

    def add(self, pair: Pair) -> None:
        """Insert a pair whose path is not in the list yet."""
        self._pairs.append(pair)
        self.sort()

    def sort(self) -> None:
        """Restore the order after priorities changed (RFC 8445 6.1.2.3)."""
        self._pairs.sort(key=_descending, reverse=True)

    def remove(self, pair: Pair) -> None:
        """Forget a pair."""
        self._pairs.remove(pair)
        self.untrigger(pair)

    def trigger(self, pair: Pair) -> None:
        """Queue a triggered check, once (RFC 8445 7.3.1.4)."""
        if pair not in self._triggered:
            self._triggered.append(pair)

    def trigger_next(self, pair: Pair) -> None:
        """Have a pair checked before all others of the triggered-check queue."""
        self.untrigger(pair)
        self._triggered.insert(0, pair)

    def untrigger(self, pair: Pair) -> None:
        """Take a pair out of the triggered-check queue; one that is not there is a no-op."""
        if pair in self._triggered:
            self._triggered.remove(pair)

    def evictable(self) -> Pair | None:
        """The pair to give up for a new one: a failed one, else the one of lowest priority on which no check has been
        spent (RFC 8445 6.1.2.5, RFC 8838 10), of the component that has most: each needs one. Not one whose path must not be
        used again, nor one still listened for.
        """
        for pair in reversed(self._pairs):
            if pair.state is PairState.FAILED and not pair.is_spent and not pair.cancelled:
                return pair
        untried = [
            pair
            for pair in reversed(self._pairs)
            if pair.state in (PairState.FROZEN, PairState.WAITING) and not pair.tally.requests_sent
        ]
        if self.components == 1 or not untried:
            return untried[0] if untried else None
        counts = Counter(map(_component_of, self._pairs))
        return max(untried, key=lambda pair: counts[_component_of(pair)])

    def count(self, *states: PairState) -> int:
        """How many pairs are in one of ``states``."""
        return sum(pair.state in states for pair in self._pairs)

    def has_next(self, lists: Sequence[Checklist]) -> bool:
        """Whether `next` would find a pair."""
        if not self.is_running or self.state is _FAILED:
            return False
        return bool(self._triggered) or self._ordinary(lists) is not None

    def next(self, lists: Sequence[Checklist]) -> Pair | None:
        """The pair to check at this tick: triggered, else Waiting, else one that may thaw (RFC 8445 6.1.4.2).

        After `MAX_TRIGGERED_ROW` triggered ones it is another one's turn.

        Args:
            lists: the whole checklist set, this list included.
        """
        if not self.is_running or self.state is _FAILED:  # a Completed list checks what the peer nominates later
            return None
        pair = None
        if self._row >= MAX_TRIGGERED_ROW or not self._triggered:
            pair = self._ordinary(lists)
            self._row = 0
        if pair is None and self._triggered:
            self._row += 1
            return self._triggered.pop(0)
        if pair is not None and pair.state is PairState.FROZEN:
            pair.move(PairEvent.UNFREEZE)
        return pair

    def _ordinary(self, lists: Sequence[Checklist]) -> Pair | None:
        thawable: Pair | None = None
        for pair in self._pairs:
            state = pair.state
            if state is _WAITING and pair not in self._triggered:
                return pair
            if thawable is None and state is _FROZEN and not _is_busy(lists, pair.foundation):
                thawable = pair
        return thawable


def _is_busy(lists: Sequence[Checklist], foundation: tuple[str, str]) -> bool:
    """Whether a pair of this foundation is Waiting or In-Progress anywhere (RFC 8445 6.1.4.2)."""
    busy = (PairState.WAITING, PairState.IN_PROGRESS)
    return any(pair.foundation == foundation and pair.state in busy for pairs in lists for pair in pairs)


def unfreeze_initial(lists: Sequence[Checklist]) -> None:
    """Thaw one pair of each foundation over the whole set: in the first list that has it, the lowest
    component, then the highest priority (RFC 8445 6.1.2.6).

    Lists that do not run yet are left out. Others may have run before: a foundation that is being tried there, or works,
    needs no second pair.
    """
    lists = [pairs for pairs in lists if pairs.is_running]
    seen = {pair.foundation for pairs in lists for pair in pairs if pair.state in _UNFROZEN}
    for pairs in lists:
        for pair in sorted(pairs, key=lambda pair: pair.local.candidate.component):
            if pair.state is _FROZEN and pair.foundation not in seen:
                seen.add(pair.foundation)
                pair.move(PairEvent.UNFREEZE)
    if len(lists) > 1:  # a stream may join others that have found what works (RFC 8445 7.2.5.3.3)
        for pairs in lists:
            for pair in pairs:
                if pair.state is PairState.SUCCEEDED:
                    unfreeze_foundation(lists, pair.foundation)


def unfreeze_foundation(lists: Sequence[Checklist], foundation: tuple[str, str]) -> None:
    """A pair of ``foundation`` succeeded: thaw the others in every checklist (RFC 8445 7.2.5.3.3)."""
    for pairs in lists:
        for pair in pairs:
            if pair.state is PairState.FROZEN and pair.foundation == foundation:
                pair.move(PairEvent.UNFREEZE)


def thaw_late(lists: Sequence[Checklist], new: Pair) -> None:
    """Decide the state of a pair that joined a running checklist (RFC 8838 12).

    Waiting if it is the top pair of its foundation, or if that foundation has succeeded; else Frozen.
    """
    for pairs in lists:
        for pair in pairs:
            if pair is new or pair.foundation != new.foundation:
                continue
            if pair.state is PairState.SUCCEEDED:
                new.move(PairEvent.UNFREEZE)
                return
    top = max(
        (pair for pairs in lists for pair in pairs if pair.foundation == new.foundation),
        key=lambda pair: (-pair.local.candidate.component, pair.priority),
    )
    if top is new:
        new.move(PairEvent.UNFREEZE)
