"""What `BehaviorDiscovery` tells: each finding as it is made, then one event that ends it."""

from __future__ import annotations

import attrs

from sansice.machine import Address, Event
from sansice.stun._errors import LookupStep

from ._nat_behavior import FragmentHandling, NatBehavior
from ._nat_words import BehaviorTest, FilteringBehavior, MappingBehavior


@attrs.frozen
class BehaviorProgressed(Event):
    """A test begins: ``done`` of ``total`` are over. A progress bar needs no more."""

    test: BehaviorTest
    done: int
    total: int


@attrs.frozen
class FilteringDiscovered(Event):
    """Whose packets are let in (RFC 5780 4.4)."""

    filtering: FilteringBehavior


@attrs.frozen
class MappingDiscovered(Event):
    """How mappings depend on the destination (RFC 5780 4.3).

    Attributes:
        mapping: the behaviour.
        local: the address and port that asked.
        mapped: what the server's first address saw of it.
    """

    mapping: MappingBehavior
    local: Address
    mapped: Address


@attrs.frozen
class HairpinningDiscovered(Event):
    """Whether two sockets behind the NAT reach each other by their outer addresses (RFC 5780 3.4)."""

    hairpinning: bool


@attrs.frozen
class FragmentsDiscovered(Event):
    """Whether datagrams in fragments get through (RFC 5780 3.5)."""

    fragments: FragmentHandling


@attrs.frozen
class LifetimeNarrowed(Event):
    """One more silence was tried; `LifetimeDiscovered` follows when the two are close enough.

    Attributes:
        alive_s: the longest silence in seconds that the mapping survived.
        expired_s: the shortest one after which it was gone, or ``None``.
    """

    alive_s: float
    expired_s: float | None


@attrs.frozen
class LifetimeDiscovered(Event):
    """How long a silent mapping lives (RFC 5780 4.6): at least ``alive_s``, and less than ``expired_s``, in seconds.

    ``expired_s`` is ``None`` where it outlived the longest silence that was to be tried.
    """

    alive_s: float
    expired_s: float | None


@attrs.frozen
class AlgDetected(Event):
    """Something rewrites addresses inside packets: the two attributes should be equal (RFC 5780 3.6)."""

    mapped_address: Address
    xor_mapped_address: Address


@attrs.frozen
class TestUnavailable(Event):
    """A test that was asked for could not be run, or came to no conclusion."""

    __test__ = False  # to pytest, which collects by name

    test: BehaviorTest
    reason: str


@attrs.frozen
class BehaviorDiscovered(Event):
    """All tests are over."""

    behavior: NatBehavior


@attrs.frozen
class BehaviorFailed(Event):
    """There is nobody to run the tests with.

    Attributes:
        server: the URI or address that was asked for.
        step: how far it came: no address was found, no socket could be opened, no request was answered.
        reason: words for a person.
    """

    server: str
    step: LookupStep
    reason: str
