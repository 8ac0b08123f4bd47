"""What is found out about a NAT: the values, and what they mean."""

from __future__ import annotations

import json

import attrs

from sansice.machine import Address

from ._nat_verdict import verdict_of
from ._nat_words import BehaviorTest, ClassicType, FilteringBehavior, MappingBehavior, ServerKind


@attrs.frozen
class FragmentHandling:
    """Whether a UDP datagram in several IP fragments gets through; ``None`` where that could not be seen.

    Attributes:
        outgoing: from here to the server.
        incoming: from the server to here.
    """

    outgoing: bool | None
    incoming: bool | None


@attrs.frozen
class NatBehavior:
    """What `BehaviorDiscovery` found out. ``None`` where a test was not asked for, or could not be run (see ``unavailable``).

    It is a snapshot: a NAT under load may behave worse, and other ports may be treated differently (RFC 5780 4).

    Attributes:
        server: whom the tests were run with, as asked for: a URI, or an address.
        kind: by whose rules it was asked.
        local: the address and port of the first test.
        mapped: what the server saw of them; ``None`` where nothing came back.
        mapping: RFC 5780 4.3.
        filtering: RFC 5780 4.4; of the firewall where there is no NAT.
        hairpinning: whether two sockets behind the NAT reach each other by their outer addresses (RFC 5780 3.4).
        lifetime_s: the longest silence in seconds that the mapping was seen to survive (RFC 5780 4.6).
        expired_s: the shortest one after which it was gone; ``None`` beside a ``lifetime_s``: none that was tried.
        fragments: RFC 5780 3.5.
        alg: whether something rewrites addresses inside packets (RFC 5780 3.6); ``None`` where no answer could show it.
        unavailable: (test, reason) for each test that was asked for and could not be run.
    """

    server: str
    kind: ServerKind = ServerKind.RFC5780
    local: Address | None = None
    mapped: Address | None = None
    mapping: MappingBehavior | None = None
    filtering: FilteringBehavior | None = None
    hairpinning: bool | None = None
    lifetime_s: float | None = None
    expired_s: float | None = None
    fragments: FragmentHandling | None = None
    alg: bool | None = None
    unavailable: tuple[tuple[BehaviorTest, str], ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether nothing came back over UDP: it is blocked here, or the server is down."""
        return self.mapped is None

    @property
    def natted(self) -> bool:
        """Whether the server saw another address than the local one."""
        return self.mapped is not None and self.mapped != self.local

    @property
    def classic(self) -> ClassicType | None:
        """What RFC 3489 10.1 would have called it; ``None`` where not enough is known.

        Any mapping that depends on the destination is "symmetric" there, whatever the filtering.
        """
        if self.blocked:
            return ClassicType.BLOCKED
        if self.mapping is MappingBehavior.NONE:
            return _CLASSIC_WITHOUT_NAT.get(self.filtering)
        if self.mapping is MappingBehavior.ENDPOINT_INDEPENDENT:
            return _CLASSIC_CONES.get(self.filtering)
        return None if self.mapping is None else ClassicType.SYMMETRIC

    @property
    def verdict(self) -> str:
        """One sentence for a person: what this means for calls, without and with a relay."""
        mapping = self.mapping
        if mapping is None and self.local is not None and self.mapped == self.local:
            mapping = MappingBehavior.NONE
        return verdict_of(mapping, self.filtering, blocked=self.blocked)

    def to_json(self) -> str:
        """One JSON object. ``null`` is what is not known; behaviours are written in the words of RFC 4787."""
        classic, fragments = self.classic, self.fragments
        return json.dumps(
            {
                "mapping": _word(self.mapping),
                "filtering": _word(self.filtering),
                "hairpinning": self.hairpinning,
                "lifetime_s": self.lifetime_s,
                "verdict": self.verdict,
                "expired_s": self.expired_s,
                "fragments": None if fragments is None else attrs.asdict(fragments),
                "alg": self.alg,
                "classic": _word(classic),
                "server": self.server,
                "server_kind": self.kind.value,
                "local": _word_of_address(self.local),
                "mapped": _word_of_address(self.mapped),
                "unavailable": {test.value: reason for test, reason in self.unavailable},
            }
        )


def _word(value: MappingBehavior | FilteringBehavior | ClassicType | None) -> str | None:
    return None if value is None else value.value


def _word_of_address(address: Address | None) -> str | None:
    return None if address is None else str(address)


_ANYONE, _BY_ADDRESS, _BY_PORT = FilteringBehavior
_CLASSIC_WITHOUT_NAT: dict[FilteringBehavior | None, ClassicType] = {
    _ANYONE: ClassicType.OPEN,
    _BY_ADDRESS: ClassicType.FIREWALL,
    _BY_PORT: ClassicType.FIREWALL,
}
_CLASSIC_CONES: dict[FilteringBehavior | None, ClassicType] = {
    _ANYONE: ClassicType.FULL_CONE,
    _BY_ADDRESS: ClassicType.RESTRICTED_CONE,
    _BY_PORT: ClassicType.PORT_RESTRICTED_CONE,
}
