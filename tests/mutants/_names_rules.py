"""What must hold of machines of multicast DNS, judged by who really has a name (RFC 6762; the draft on mDNS candidates)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from sansice.ice import MdnsAgent, NameFailed, NameFailure, NameResolved
from sansice.ice._mdns._message import HostRecord, decode_untrusted
from sansice.machine import SocketId
from sansice.simulation import End, Harm, Invariant, Moment
from sansice.simulation._exploration._evidence import EPSILON, Sent
from sansice.simulation._exploration._strangers import STRANGER

if TYPE_CHECKING:
    from ._names_worlds import Office

TOLERABLE = 1  # datagrams lost: what is taken back is told once (RFC 6762 10.1), and a name that is there three times asked for
GOODBYE = 1.0  # seconds that a name is believed after it was taken back (RFC 6762 10.1)
LASTS = 120.0  # seconds that a name is believed where the farewell was lost
PAUSE = 1.0  # seconds between two multicasts of a record, and between two questions at first (RFC 6762 5.2, 6)
TIME_TO_ASK = 3.5  # seconds in which a name is asked for three times: at 0, 1 and 3 s


class OfNames(Invariant):
    """Something about machines of mDNS, and the office that they are in."""

    subject = MdnsAgent

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self.office = cast("Office", self.ends[0].node.listener.__self__.office)  # type: ignore[union-attr]


class QuestionsHaveOneOutcome(OfNames):
    """See ``rule``."""

    rule = "who asks for a name is answered once, and in the time that was given; who has cancelled is not (draft 3.2.1)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._late: dict[str, float] = {}

    def after(self, moment: Moment) -> str | None:
        """How late the timer was, at most: an answer may be as late."""
        name = moment.end.name
        self._late[name] = max(self._late.get(name, 0.0), moment.late)
        return None

    def ended(self, harm: Harm) -> str | None:
        """All that was asked."""
        for end in self.ends:
            told = [(at, event) for at, event in end.node.events if isinstance(event, (NameResolved, NameFailed))]
            for asked in self.office.asked:
                if asked.who != end.name:
                    continue
                outcomes = [(at, event) for at, event in told if event.query == asked.query]
                if len(outcomes) != (0 if asked.is_cancelled else 1) and end.node.running:
                    return f"{end.name} asked for {asked.name} at {asked.at:.3f} s and was told {len(outcomes)} times"
                until = asked.at + asked.timeout + self._late.get(end.name, 0.0) + EPSILON
                if outcomes and not harm.broken and outcomes[0][0] > until:
                    return f"{end.name} asked for {asked.name} at {asked.at:.3f} s, and it took until {outcomes[0][0]:.3f} s"
        return None


class NamesAreTrue(OfNames):
    """See ``rule``."""

    rule = "a name leads to the address of who has it, where it is asked for in time, and nowhere once it was taken back"

    def ended(self, harm: Harm) -> str | None:
        """Every outcome."""
        for end in self.ends:
            for at, event in end.node.events:
                finding = None
                if isinstance(event, NameResolved):
                    finding = self._judge_found(at, event, harm)
                elif isinstance(event, NameFailed) and not harm.broken and harm.lost <= TOLERABLE and end.node.running:
                    finding = self._judge_failed(end, at, event)
                if finding is not None:
                    return f"{end.name} was told at {at:.3f} s that {finding}"
        return None

    def _judge_found(self, at: float, event: NameResolved, harm: Harm) -> str | None:
        for one in self.office.had:
            # A farewell that was lost, or that somebody had no link for, nobody has heard (RFC 6762 10.1).
            lasts = LASTS if harm.lost or harm.broken or self.office.was_away(one.who) else GOODBYE
            if one.name == event.name and one.host == event.host and one.since <= at <= one.until + lasts + PAUSE:
                return None
        return f"{event.name} is {event.host}, which nobody has said, or who did has taken it back"

    def _judge_failed(self, end: End, at: float, event: NameFailed) -> str | None:
        """Whether somebody had it all the time, on the link of who asked."""
        [asked] = [one for one in self.office.asked if one.who == end.name and one.query == event.query]
        had = [one for one in self.office.had if one.name == event.name]
        if event.reason is NameFailure.SEVERAL:
            return None if len({one.host for one in had}) > 1 else f"{event.name} has several addresses, and it has not"
        if event.reason is not NameFailure.TIMEOUT or self.office.was_away(end.name):
            return None
        for one in had:
            if one.since <= at - TIME_TO_ASK and one.until >= at and not self.office.was_away(one.who):
                return f"nobody has {event.name}, and {one.who} has it since {one.since:.3f} s; asked at {asked.at:.3f} s"
        return None


class StrangersAreNotOnTheLink(OfNames):
    """See ``rule``."""

    rule = "what comes from an address that is not on the link is believed by nobody and not answered (RFC 6762 11)"

    def after(self, moment: Moment) -> str | None:
        """Whatever it says."""
        if moment.path is None or moment.path[1] not in STRANGER.values():
            return None
        if moment.events or moment.sent:
            return f"{moment.end.name} acted on what came from {moment.path[1]}"
        return None


class TheLinkIsSpared(OfNames):
    """See ``rule``."""

    rule = "a record is multicast once a second at most, a question ever more seldom, what was taken back never (RFC 6762 6)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._told: dict[tuple[str, SocketId, str], float] = {}
        self._asked: dict[tuple[str, SocketId, str, int], tuple[float, float]] = {}

    def after(self, moment: Moment) -> str | None:
        """Every datagram to a group."""
        end, now = moment.end, moment.now
        for sent in moment.sent:
            if sent.path[1].host != "224.0.0.251":
                continue
            for record in _records(sent):
                if not record.ttl:
                    continue
                if not self.office.has(end.name, record.name):
                    return f"{end.name} tells of {record.name}, which it has not"
                place = end.name, sent.path[0], record.name
                if now < self._told.get(place, -math.inf) + PAUSE - EPSILON:
                    return f"{end.name} multicast {record.name} at {self._told[place]:.3f} and {now:.3f} s"
                self._told[place] = now
            finding = self._judge_questions(end, sent, now)
            if finding is not None:
                return finding
        return None

    def _judge_questions(self, end: End, sent: Sent, now: float) -> str | None:
        message = decode_untrusted(sent.data)
        for question in () if message.is_response else message.questions_untrusted():
            place = end.name, sent.path[0], question.name, question.type
            last, pause = self._asked.get(place, (-math.inf, PAUSE))
            if self.office.times_asked(end.name, question.name) < 2 and now < last + pause - EPSILON:
                return f"{end.name} asked for {question.name} at {last:.3f} and again at {now:.3f} s"
            self._asked[place] = now, PAUSE if last == -math.inf else 2 * pause
        return None


class ItIsOverAndTidy(OfNames):
    """See ``rule``."""

    rule = "what is remembered is bounded; who was closed has no socket and no timer, and has taken back all that was his"

    def after(self, moment: Moment) -> str | None:
        """All tables."""
        machine, config = cast(MdnsAgent, moment.end.machine), cast(MdnsAgent, moment.end.machine)._config
        cached, searches = len(machine._querier.cache), len(machine._querier)
        if cached > config.max_cached or searches > config.max_searches:
            return f"{moment.end.name} remembers {cached} names and looks for {searches}"
        return None

    def ended(self, harm: Harm) -> str | None:
        """All were closed, if they live."""
        for end in self.ends:
            machine = cast(MdnsAgent, end.machine)
            if not end.node.running:
                continue
            if end.node.sockets or machine.deadline() != math.inf or machine.names:
                return f"{end.name} was closed and has {len(end.node.sockets)} sockets and {len(machine.names)} names"
        return None


def _records(sent: Sent) -> Iterator[HostRecord]:
    message = decode_untrusted(sent.data)
    if message.is_response:
        yield from message.hosts_untrusted()


NAMES_RULES = (QuestionsHaveOneOutcome, NamesAreTrue, StrangersAreNotOnTheLink, TheLinkIsSpared, ItIsOverAndTidy)
