"""Invariants about the order of things: triggered checks, answers that count, pacing, freezing, priorities of pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sansice.ice import CandidatePair, ConsentExpired, IceRole, IceState, PairState, pair_priority
from sansice.stun import Message

from ._evidence import EPSILON, End, InputKind, Moment, Path
from ._invariant import Invariant


class ChecksAreTriggered(Invariant):
    """See ``rule``."""

    rule = "an authentic check on a path that does not work yet is followed by one of ours on it, in its turn (RFC 8445 7.3.1.4)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._owed: dict[str, dict[Path, float]] = {name: {} for name in ends}
        self._ta = max((end.config.ta for end in self.ends), default=0.0)

    def after(self, moment: Moment) -> str | None:
        """Note what is owed, strike out what was done, and see what is overdue."""
        end, now = moment.end, moment.now
        owed = self._owed[end.name]
        if not end.is_live or end.agent.selected_pair is not None:
            owed.clear()
            return None
        if moment.late > EPSILON:
            for path in owed:
                owed[path] += moment.late
        finding = None
        if moment.kind is InputKind.TIMER:
            finding = next((path for path, due in owed.items() if now > due + EPSILON), None)
        for sent in moment.sent:
            asked = None if sent.message is None else end.asked.get(sent.message.transaction_id)
            if asked is not None and asked.is_check and asked.times == 1:
                owed.pop(asked.path, None)
        if finding is not None and finding in owed:
            return f"{end.name} was checked by {finding[1]} and did not check back by {now:.3f} s"
        self._note(moment, owed)
        return None

    def _note(self, moment: Moment, owed: dict[Path, float]) -> None:
        end = moment.end
        waits_for_peer = end.agent.state is IceState.NEW  # checks that come before the description wait for it
        turns = (len(end.agent.pairs) + 2) * self._ta
        if moment.is_request and moment.authentic and moment.path is not None:
            sent_now = any(sent.path == moment.path and _starts(end, sent.message) for sent in moment.sent)
            if not sent_now and moment.is_accepted and not _works(end, moment.path):
                owed.setdefault(moment.path, math.inf if waits_for_peer else moment.now + turns)
        for path in list(owed):
            if _works(end, path):
                del owed[path]
            elif owed[path] == math.inf and not waits_for_peer:
                owed[path] = moment.now + turns


class AnswersCount(Invariant):
    """See ``rule``."""

    rule = "the answer to a check counts also after a triggered check has cancelled it (RFC 8445 7.3.1.4)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._expired: dict[str, float] = {}

    def after(self, moment: Moment) -> str | None:
        """The first good answer, within the time that the check listens."""
        asked, path, end = moment.asked, moment.path, moment.end
        if any(isinstance(event, ConsentExpired) for event in moment.events):
            self._expired[end.name] = moment.now
        if (
            asked is None or path is None or not moment.is_first or asked.in_doubt
        ):  # a second counts no more, nor one after another address's
            return None
        if not moment.is_good_answer or not moment.is_success or asked.is_consent or moment.before.selected is not None:
            return None
        if not end.listens(asked, moment.now) or not end.is_live:
            return None
        if asked.at <= self._expired.get(end.name, -math.inf):  # nothing revives a pair after consent (RFC 7675 5.1)
            return None  # pragma: no cover - an order of events that only long explorations find
        if any(other.in_doubt and other.path == path for other in end.asked.values()):  # another check of the pair failed it
            return None
        pair = end.pair_on(path)
        if pair is None or pair.state is PairState.SUCCEEDED or path[0] not in end.node.sockets:
            return None
        return f"{end.name} had the answer of {path[1]} and its pair is {pair.state.value}"


class PairsAreInOrder(Invariant):
    """See ``rule``."""

    rule = "pairs have the priority that the role gives them, and are in its order (RFC 8445 6.1.2.3, 7.2.5.1)"

    def after(self, moment: Moment) -> str | None:
        """By the formula, from the candidates."""
        agent = moment.end.agent
        before = math.inf
        for pair in agent.pairs:
            if pair.priority != _priority(pair, agent.role):
                return f"{moment.end.name} is {agent.role.value}, and {_text(pair)} has the priority of the other role"
            if pair.priority > before:
                return f"{moment.end.name} is {agent.role.value} and has {_text(pair)} behind a pair of lower priority"
            before = pair.priority
        return None


class FoundationsThaw(Invariant):
    """See ``rule``."""

    rule = "when a pair has succeeded, no pair of its foundation stays frozen (RFC 8445 7.2.5.3.3)"

    def after(self, moment: Moment) -> str | None:
        """Among the pairs of the checklist."""
        pairs = moment.end.agent.pairs
        succeeded = [_foundation(pair) for pair in pairs if pair.state is PairState.SUCCEEDED]
        for pair in pairs:
            if pair.state is PairState.FROZEN and _foundation(pair) in succeeded:
                return f"{moment.end.name} keeps {_text(pair)} frozen, though a pair of its foundation has succeeded"
        return None


class PacingIsKept(Invariant):
    """See ``rule``."""

    rule = "new transactions start Ta apart, whatever starts them (RFC 8445 14.2); consent checks are apart (RFC 7675 5.1)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._last: dict[str, float] = {}

    def after(self, moment: Moment) -> str | None:
        """Every request that is sent for the first time."""
        end, now = moment.end, moment.now
        for sent in moment.sent:
            if not _starts(end, sent.message):
                continue
            last, self._last[end.name] = self._last.get(end.name, -math.inf), now
            if now < last + end.config.ta - EPSILON:
                return f"{end.name} started a transaction {(now - last) * 1000:.1f} ms after another"
        return None


def _starts(end: End, message: Message | None) -> bool:
    """Whether a datagram is the first transmission of a request that is paced."""
    asked = None if message is None else end.asked.get(message.transaction_id)
    return asked is not None and asked.times == 1 and not asked.is_consent


def _works(end: End, path: Path) -> bool:
    if path in end.answered:
        return True
    pair = end.pair_on(path)
    return pair is not None and pair.state is PairState.SUCCEEDED


def _priority(pair: CandidatePair, role: IceRole) -> int:
    ours, theirs = pair.local.priority, pair.remote.priority
    return pair_priority(ours, theirs) if role is IceRole.CONTROLLING else pair_priority(theirs, ours)


def _foundation(pair: CandidatePair) -> tuple[str, str]:
    return pair.local.foundation, pair.remote.foundation


def _text(pair: CandidatePair) -> str:
    return f"{pair.local.address} - {pair.remote.address}"
