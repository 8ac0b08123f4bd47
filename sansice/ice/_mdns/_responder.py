"""Our own names: announced, answered for and taken back (RFC 6762 6, 8.3, 10.1; draft-ietf-mmusic-mdns-ice-candidates 3.1.1).

Nobody is asked before whether a name is in use: it was drawn so that it cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sansice._timers import Timers
from sansice.ice._mdns_name import mdns_name
from sansice.machine import Address, Entropy, SendDatagram

from ._config import MdnsConfig
from ._delay import delay_for_more, random_delay
from ._link import PORT, Link
from ._message import ANY, HostRecord, MdnsMessage, Question, encode_legacy_response, encode_response

ANNOUNCEMENTS = 2  # RFC 6762 8.3: at least
_ANNOUNCEMENT_INTERVAL = 1.0  # RFC 6762 8.3
RECORDS_A_MESSAGE = 12  # with a name of its own each takes 92 bytes at most; together less than any MTU of IPv6
LEGACY_TTL = 10  # RFC 6762 6.7: seconds at most
_RECENTLY = 4  # RFC 6762 5.4: within this part of its time to live a record has been multicast recently


class _Own:
    """A name of ours."""

    __slots__ = ("announcements", "host", "session")

    def __init__(self, host: str, session: str) -> None:
        self.host = host
        self.session = session
        self.announcements = 0  # left


class Responder:
    """Which names are ours, and what is said about them on each link.

    Args:
        config: times to live and bounds.
        entropy: for names and delays.
    """

    __slots__ = ("_announcements", "_by_host", "_config", "_entropy", "_names")

    def __init__(self, config: MdnsConfig, entropy: Entropy) -> None:
        self._config = config
        self._entropy = entropy
        self._names: dict[str, _Own] = {}
        self._by_host: dict[tuple[str, str], str] = {}  # by session and address
        self._announcements: Timers[str] = Timers()

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> tuple[str, ...]:
        """Ours, in the order of making."""
        return tuple(self._names)

    def names_of(self, session: str) -> tuple[str, ...]:
        """Those of a session."""
        return tuple(name for name, own in self._names.items() if own.session == session)

    def host_of(self, name: str) -> str | None:
        """The address of a name of ours."""
        own = self._names.get(name)
        return None if own is None else own.host

    def known(self, host: str, session: str) -> str | None:
        """The name that an address has in a session already."""
        return self._by_host.get((session, host))

    def add(self, host: str, session: str, *, now: float) -> str:
        """Make a name for an address, and announce it soon."""
        name = mdns_name(self._entropy)
        self.take(name, host, session, now=now)
        return name

    def take(self, name: str, host: str, session: str, *, now: float) -> None:
        """Announce a name that is new here."""
        self._names[name] = _Own(host, session)
        self._by_host[session, host] = name
        self._announce(name, now)

    def remove(self, names: Iterable[str], links: Sequence[Link]) -> list[SendDatagram]:
        """Take names back: who has heard of them is told (RFC 6762 10.1). Names that are not ours are passed over."""
        gone: dict[str, HostRecord] = {}
        for name in names:
            own = self._names.pop(name, None)
            if own is not None:
                del self._by_host[own.session, own.host]
                self._announcements.cancel(name)
                gone[name] = _record(name, own.host, 0)
        sent: list[SendDatagram] = []
        for link in links:
            heard = [record for name, record in gone.items() if link.forget(name)]
            if link.is_open:
                sent += _multicasts(link, heard)
        return sent

    def announce_on(self, link: Link, *, now: float) -> None:
        """A link has come up: tell there what is to be told."""
        for name, own in self._names.items():
            if own.host in link.hosts:
                self._announce(name, now)

    def deadline(self) -> float:
        """When something is to be announced."""
        return self._announcements.deadline()

    def announce_due(self, links: Sequence[Link], *, now: float) -> None:
        """Have what is due leave with the next multicast."""
        while (name := self._announcements.pop_due(now)) is not None:
            own = self._names[name]
            own.announcements -= 1
            if own.announcements:
                self._announcements.set(name, now + _ANNOUNCEMENT_INTERVAL)
            for link in links:
                if link.is_open and own.host in link.hosts:
                    link.put(name, now)

    def multicast_due(self, link: Link, *, now: float) -> list[SendDatagram]:
        """What is to leave on a link now."""
        return _multicasts(link, [_record(name, self._names[name].host, self._config.ttl) for name in link.take_due(now=now)])

    def handle_query(self, link: Link, source: Address, message: MdnsMessage, *, now: float) -> tuple[list[SendDatagram], bool]:
        """Answer what somebody on a link asks about names of ours there.

        Returns:
            What leaves at once by unicast, and whether something was left out because there were too many.

        Raises:
            DecodeError: the message is malformed.
        """
        known = self._known_by(message)
        if not message.asks:
            for name in known:  # RFC 6762 7.2: what the asker had no room for before
                link.take_back(name, source)
            return [], False
        asked = [question for question in message.questions_untrusted() if self._is_told(link, question, known)]
        if not asked:
            return [], False
        if source.port != PORT:
            return self._answer_legacy(link, source, message.id, asked, now)
        direct = [question.name for question in asked if question.unicast and self._is_fresh(link, question.name, now)]
        for question in asked:
            if question.name not in direct:
                if message.is_truncated:
                    link.put(question.name, now + delay_for_more(self._entropy), source)
                else:
                    link.put(question.name, now)
        if not direct:
            return [], False
        if not link.may_unicast(self._config.max_unicast_answers, now=now):
            return [], True
        records = [_record(name, self._names[name].host, self._config.ttl) for name in dict.fromkeys(direct)]
        return [SendDatagram(link.socket, source, encode_response(records[:RECORDS_A_MESSAGE]))], False

    def _known_by(self, message: MdnsMessage) -> dict[str, None]:
        """The names of ours that an asker knows well enough (RFC 6762 7.1): for at least half of their time."""
        return {
            record.name: None
            for record in message.answers_untrusted()
            if record.ttl * 2 >= self._config.ttl and self._tells(record)
        }

    def _tells(self, record: HostRecord) -> bool:
        own = self._names.get(record.name)
        return own is not None and own.host.partition("%")[0] == record.host

    def _is_told(self, link: Link, question: Question, known: dict[str, None]) -> bool:
        own = self._names.get(question.name)
        return own is not None and own.host in link.hosts and question.name not in known

    def _is_fresh(self, link: Link, name: str, now: float) -> bool:
        """RFC 6762 5.4: or else everybody is to hear it again."""
        told = link.told.get(name)
        return told is not None and now - told < self._config.ttl / _RECENTLY

    def _answer_legacy(
        self, link: Link, source: Address, id: int, asked: Sequence[Question], now: float
    ) -> tuple[list[SendDatagram], bool]:
        ttl = min(LEGACY_TTL, self._config.ttl)
        records = [_record(name, self._names[name].host, ttl) for name in dict.fromkeys(question.name for question in asked)]
        fitting = [record for record in records if any(_fits(question, record) for question in asked)][:RECORDS_A_MESSAGE]
        if not fitting:
            return [], False
        if not link.may_unicast(self._config.max_unicast_answers, now=now):
            return [], True
        data = encode_legacy_response(id, asked[:RECORDS_A_MESSAGE], fitting)
        return [SendDatagram(link.socket, source, data)], False

    def _announce(self, name: str, now: float) -> None:
        self._names[name].announcements = ANNOUNCEMENTS
        self._announcements.set(name, now + random_delay(self._entropy))


def _fits(question: Question, record: HostRecord) -> bool:
    return question.name == record.name and question.type in (record.type, ANY)


def _record(name: str, host: str, ttl: int) -> HostRecord:
    return HostRecord(name, host.partition("%")[0], ttl)


def _multicasts(link: Link, records: Sequence[HostRecord]) -> list[SendDatagram]:
    return [
        SendDatagram(link.socket, link.group, encode_response(records[start : start + RECORDS_A_MESSAGE]))
        for start in range(0, len(records), RECORDS_A_MESSAGE)
    ]
