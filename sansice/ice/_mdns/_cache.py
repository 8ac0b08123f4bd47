"""What was told of names on the link, for as long as it is true (RFC 6762 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ._config import MdnsConfig
from ._message import HostRecord, type_of

GOODBYE = 1.0  # RFC 6762 10.1: for so long a record that is taken back may still be saved by another who has it
TOGETHER = 1.0  # RFC 6762 10.2: what was heard within it may be of one answer in several messages


class _Known(NamedTuple):
    heard: float
    expires: float


class Cache:
    """Names and their addresses. The name that was told first goes when there are too many.

    Args:
        config: the bounds.
    """

    __slots__ = ("_config", "_names")

    def __init__(self, config: MdnsConfig) -> None:
        self._config = config
        self._names: dict[str, dict[str, _Known]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def hosts(self, name: str, *, now: float) -> tuple[str, ...]:
        """The addresses of a name, in the order in which they were told."""
        known = self._names.get(name, {})
        return tuple(host for host, record in known.items() if record.expires > now)

    def learn(self, name: str, records: Sequence[HostRecord], *, now: float) -> None:
        """Remember what one message tells of a name.

        Args:
            name: in lower case.
            records: of this name, at least one; hosts with the zone of their link.
            now: seconds.
        """
        known = {host: one for host, one in self._names.pop(name, {}).items() if one.expires > now}
        told = dict.fromkeys(record.host for record in records)
        flushed = dict.fromkeys(record.type for record in records if record.flush)
        for host in tuple(known):
            if host not in told and type_of(host) in flushed and now - known[host].heard > TOGETHER:
                del known[host]
        for record in records:
            self._keep(known, record, now)
        if known:
            self._names[name] = known
        if len(self._names) > self._config.max_cached:
            del self._names[next(iter(self._names))]

    def clear(self) -> None:
        """Nothing is known any more."""
        self._names.clear()

    def _keep(self, known: dict[str, _Known], record: HostRecord, now: float) -> None:
        if record.ttl:
            if record.host in known or len(known) < self._config.max_addresses:
                known[record.host] = _Known(now, now + min(record.ttl, self._config.max_ttl))
        elif record.host in known:
            known[record.host] = known[record.host]._replace(expires=min(known[record.host].expires, now + GOODBYE))
