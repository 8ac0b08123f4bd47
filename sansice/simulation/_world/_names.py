"""Names: what a host is told when it asks for one, when, and how that fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sansice.machine import AddressRecord, Record, RecordKind, ResolveError, SrvRecord


class Resolver(Protocol):
    """What a host asks for names: a `NameService`, or something in front of one, such as DNS64."""

    def look_up(self, name: str, kind: RecordKind) -> tuple[float, tuple[Record, ...] | ResolveError]:
        """In how many seconds the answer comes, and what it is: records of that kind, or an error."""
        ...


class NameService:
    """Answers about names. Every host of a network shares one, unless it was given its own.

    Args:
        latency: seconds that each answer takes.

    Attributes:
        latency: the same; may be set at any time.
        failure: what is answered about every name, while the service fails; ``None`` while it works.
    """

    __slots__ = ("_answers", "_latencies", "failure", "latency")

    def __init__(self, latency: float = 0.0) -> None:
        self.latency: float = latency
        self.failure: ResolveError | None = None
        self._answers: dict[str, tuple[Record, ...] | ResolveError] = {}
        self._latencies: dict[str, float] = {}

    def say(self, name: str, answer: Iterable[Record] | ResolveError, *, latency: float | None = None) -> None:
        """Set what is answered about a name: its records of every kind, or an error.

        Args:
            name: with or without a last dot, in any case.
            answer: the same for every host that asks here.
            latency: seconds until this answer comes, where that is not the service's; a name server that does not answer
                is a `ResolveError.TIMEOUT` after the seconds that a system waits.

        Raises:
            ValueError: a negative latency.
        """
        if latency is not None and not 0.0 <= latency < float("inf"):
            raise ValueError(f"the answer about {name} must take a number of seconds from 0 on, not {latency!r}")
        key = _key(name)
        self._answers[key] = answer if isinstance(answer, ResolveError) else tuple(answer)
        self._latencies.pop(key, None)
        if latency is not None:
            self._latencies[key] = latency

    def look_up(self, name: str, kind: RecordKind) -> tuple[float, tuple[Record, ...] | ResolveError]:
        """See `Resolver`."""
        key = _key(name)
        latency = self._latencies.get(key, self.latency)
        if self.failure is not None:
            return latency, self.failure
        answer = self._answers.get(key, ResolveError.NOT_FOUND)
        if isinstance(answer, ResolveError):
            return latency, answer
        return latency, tuple(record for record in answer if kind_of(record) is kind) or ResolveError.NOT_FOUND


def _key(name: str) -> str:
    return name.rstrip(".").lower()


def kind_of(record: Record) -> RecordKind:
    """What must be asked for to get a record."""
    if isinstance(record, AddressRecord):
        return RecordKind.AAAA if ":" in record.host else RecordKind.A
    return RecordKind.SRV if isinstance(record, SrvRecord) else RecordKind.NAPTR
