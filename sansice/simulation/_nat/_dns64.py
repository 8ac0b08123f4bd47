"""DNS64: names that have only an IPv4 address get an IPv6 one behind a NAT64 (RFC 6147)."""

from __future__ import annotations

import attrs

from sansice.machine import AddressRecord, Record, RecordKind, ResolveError
from sansice.simulation._world._names import Resolver

from ._nat64 import Nat64Prefix

# RFC 7050 2.2 and 8: by its AAAA records a host learns the prefix
PREFIX_NAME = "ipv4only.arpa"
_PREFIX_RECORDS = (AddressRecord("192.0.0.170"), AddressRecord("192.0.0.171"))


class Dns64:
    """The resolver of hosts behind a NAT64: asks another one, and makes AAAA records of A records where there are no others.

    Args:
        upstream: the other resolver.
        prefix: of the NAT64.
    """

    __slots__ = ("_prefix", "_upstream")

    def __init__(self, upstream: Resolver, prefix: Nat64Prefix) -> None:
        self._upstream = upstream
        self._prefix = prefix

    def look_up(self, name: str, kind: RecordKind) -> tuple[float, tuple[Record, ...] | ResolveError]:
        """Answer as `Resolver.look_up` does, by RFC 6147 5.1."""
        took, answer = self._ask(name, kind)
        if kind is not RecordKind.AAAA or not isinstance(answer, ResolveError):
            return took, answer
        # Whatever the error is, also none at all: name servers fail in many ways at AAAA (RFC 6147 5.1.2 and 5.1.3).
        took_also, found = self._ask(name, RecordKind.A)
        if isinstance(found, ResolveError):
            return took + took_also, answer
        embedded = [attrs.evolve(record, host=self._prefix.embed(record.host)) for record in _addresses(found)]
        return took + took_also, tuple(embedded)

    def _ask(self, name: str, kind: RecordKind) -> tuple[float, tuple[Record, ...] | ResolveError]:
        if name.rstrip(".").lower() == PREFIX_NAME:
            return 0.0, _PREFIX_RECORDS if kind is RecordKind.A else ResolveError.NOT_FOUND
        return self._upstream.look_up(name, kind)


def _addresses(records: tuple[Record, ...]) -> list[AddressRecord]:
    return [record for record in records if isinstance(record, AddressRecord)]
