"""Kinds of NAT as values: what cannot be is refused when the value is made."""

import math

import attrs
import pytest

from sansice.simulation import (
    Filtering,
    FragmentPolicy,
    Hairpinning,
    Mapping,
    NatKind,
    Pooling,
    PortAssignment,
    Refresh,
    TcpTimeouts,
    Tracking,
    UnsolicitedSyn,
)

CONNECTIONS = {"tracking": Tracking.CONNECTIONS, "ports": PortAssignment.PRESERVATION}


def test_the_default_is_a_port_restricted_cone_that_never_forgets():
    kind = NatKind()
    assert (kind.mapping, kind.filtering) == (Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT)
    assert (kind.lifetime, kind.hairpinning, kind.ports) == (math.inf, Hairpinning.NONE, PortAssignment.RANDOM)


def test_tcp_lives_as_long_as_rfc_5382_asks_for():
    assert TcpTimeouts() == TcpTimeouts(opening=240.0, established=7440.0, closing=240.0, reset=240.0)


def test_words_become_behaviours():
    kind = NatKind(
        mapping="address-dependent",
        filtering="address-dependent",
        ports="sequential",
        pooling="arbitrary",
        hairpinning="internal-source",
        refresh="both",
        fragments="in-order",
        unsolicited_syn="reset",
    )
    assert kind == NatKind(
        mapping=Mapping.ADDRESS_DEPENDENT,
        filtering=Filtering.ADDRESS_DEPENDENT,
        ports=PortAssignment.SEQUENTIAL,
        pooling=Pooling.ARBITRARY,
        hairpinning=Hairpinning.INTERNAL_SOURCE,
        refresh=Refresh.BOTH,
        fragments=FragmentPolicy.IN_ORDER,
        unsolicited_syn=UnsolicitedSyn.RESET,
    )
    with pytest.raises(ValueError, match="'sometimes' is not a valid Mapping"):
        NatKind(mapping="sometimes")


def test_hairpinning_may_be_a_yes_or_no():
    assert NatKind(hairpinning=True).hairpinning is Hairpinning.EXTERNAL_SOURCE
    assert NatKind(hairpinning=False).hairpinning is Hairpinning.NONE


def test_a_kind_is_a_value():
    assert attrs.evolve(NatKind(), lifetime=30.0) == NatKind(lifetime=30.0)
    assert hash(NatKind()) == hash(NatKind())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        NatKind().lifetime = 3.0


@pytest.mark.parametrize("lifetime", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("name", ["lifetime", "filter_lifetime"])
def test_a_lifetime_is_positive(name, lifetime):
    with pytest.raises(ValueError, match=f"{name} must be more than 0 seconds"):
        NatKind(**{name: lifetime})


@pytest.mark.parametrize("name", ["opening", "established", "closing", "reset"])
def test_a_tcp_timeout_is_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be more than 0 seconds, not -5"):
        TcpTimeouts(**{name: -5})


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_hold_down_ends(seconds):
    with pytest.raises(ValueError, match="hold_down must be a number of seconds from 0 on"):
        NatKind(hold_down=seconds)


@pytest.mark.parametrize("name", ["max_mappings", "max_mappings_per_host"])
def test_a_limit_allows_something(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, or None for no limit, not 0"):
        NatKind(**{name: 0})


@pytest.mark.parametrize("ports", [(2000, 1999), (0, 10), (1024, 65536)])
def test_an_empty_or_impossible_port_range_is_refused(ports):
    with pytest.raises(ValueError, match=r"port_range must be \(first, last\) within 1..65535, not .* the pool would be empty"):
        NatKind(port_range=ports)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"filtering": Filtering.ENDPOINT_INDEPENDENT}, "filters by address and port"),
        ({"ports": PortAssignment.SEQUENTIAL}, "preserves ports or draws them, but sequential was asked for"),
        ({"mapping": Mapping.ADDRESS_DEPENDENT}, "with ports by preservation is endpoint-independent"),
        ({"ports": PortAssignment.RANDOM}, "with ports by random is address-and-port-dependent"),
        ({"pooling": Pooling.ARBITRARY}, "pooling cannot be arbitrary"),
        ({"parity": True}, "parity, contiguity, filter_lifetime and hold_down are of NATs that track mappings"),
        ({"filter_lifetime": 3.0}, "are of NATs that track mappings"),
        ({"hold_down": 3.0}, "are of NATs that track mappings"),
    ],
)
def test_a_nat_that_tracks_connections_excludes_behaviours(options, reason):
    NatKind(**CONNECTIONS)
    with pytest.raises(ValueError, match=reason):
        NatKind(**CONNECTIONS | options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"open_input": True}, "open_input and unreplied are of NATs that track connections"),
        ({"unreplied": 30.0}, "open_input and unreplied are of NATs that track connections"),
        ({"contiguity": True, "mapping": Mapping.ADDRESS_DEPENDENT}, "need an endpoint-independent mapping"),
        ({"ports": "overloading", "mapping": Mapping.ADDRESS_DEPENDENT}, "need an endpoint-independent mapping"),
        ({"ports": "overloading", "parity": True}, "overloading preserves every port"),
        ({"filter_lifetime": 3.0, "filtering": Filtering.ENDPOINT_INDEPENDENT}, "lets everybody in"),
    ],
)
def test_a_nat_that_tracks_mappings_excludes_behaviours(options, reason):
    with pytest.raises(ValueError, match=reason):
        NatKind(**options)
