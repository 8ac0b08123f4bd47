"""The result of a discovery as a value."""

import json

import attrs
import pytest

from sansice.machine import Address
from sansice.stun import (
    BehaviorTest,
    ClassicType,
    FilteringBehavior,
    FragmentHandling,
    MappingBehavior,
    NatBehavior,
    ServerKind,
)
from sansice.stun._behavior._nat_verdict import verdict_of

LOCAL, MAPPED = Address("10.0.0.2", 5000), Address("203.0.113.1", 40000)
ANYONE, BY_ADDRESS, BY_PORT = FilteringBehavior
NONE, INDEPENDENT, ADDRESS, PORT = MappingBehavior
FOUND = NatBehavior(
    "stun:example.org",
    ServerKind.RFC5780,
    LOCAL,
    MAPPED,
    INDEPENDENT,
    BY_PORT,
    hairpinning=False,
    lifetime_s=116.25,
    expired_s=120.0,
    fragments=FragmentHandling(outgoing=True, incoming=None),
    alg=False,
    unavailable=((BehaviorTest.LIFETIME, "because"),),
)


def test_json_says_everything_in_the_words_of_rfc_4787():
    assert json.loads(FOUND.to_json()) == {
        "mapping": "endpoint-independent",
        "filtering": "address-and-port-dependent",
        "hairpinning": False,
        "lifetime_s": 116.25,
        "verdict": FOUND.verdict,
        "expired_s": 120.0,
        "fragments": {"outgoing": True, "incoming": None},
        "alg": False,
        "classic": "port-restricted cone",
        "server": "stun:example.org",
        "server_kind": "RFC 5780",
        "local": "10.0.0.2:5000",
        "mapped": "203.0.113.1:40000",
        "unavailable": {"lifetime": "because"},
    }


def test_json_has_all_keys_where_nothing_is_known():
    nothing = json.loads(NatBehavior("stun:example.org").to_json())
    assert set(nothing) == set(json.loads(FOUND.to_json()))
    known = {key for key, value in nothing.items() if value is not None}
    assert known == {"verdict", "classic", "server", "server_kind", "unavailable"}


@pytest.mark.parametrize(
    ("mapping", "filtering", "classic"),
    [
        (NONE, ANYONE, ClassicType.OPEN),
        (NONE, BY_ADDRESS, ClassicType.FIREWALL),
        (NONE, BY_PORT, ClassicType.FIREWALL),
        (INDEPENDENT, ANYONE, ClassicType.FULL_CONE),
        (INDEPENDENT, BY_ADDRESS, ClassicType.RESTRICTED_CONE),
        (INDEPENDENT, BY_PORT, ClassicType.PORT_RESTRICTED_CONE),
        (ADDRESS, ANYONE, ClassicType.SYMMETRIC),
        (PORT, BY_PORT, ClassicType.SYMMETRIC),
        (PORT, None, ClassicType.SYMMETRIC),
        (NONE, None, None),
        (INDEPENDENT, None, None),
        (None, BY_PORT, None),
    ],
)
def test_the_classic_type_is_that_of_rfc_3489(mapping, filtering, classic):
    assert attrs.evolve(FOUND, mapping=mapping, filtering=filtering).classic is classic


def test_a_nat_is_where_the_server_sees_another_address():
    assert FOUND.natted
    assert not attrs.evolve(FOUND, mapped=LOCAL).natted
    blocked = attrs.evolve(FOUND, mapped=None)
    assert (blocked.natted, blocked.blocked, blocked.classic) == (False, True, ClassicType.BLOCKED)


def test_the_verdict_is_that_of_what_was_found():
    assert FOUND.verdict == verdict_of(INDEPENDENT, BY_PORT, blocked=False)
    unknown = attrs.evolve(FOUND, mapping=None, filtering=None)
    assert unknown.verdict == verdict_of(None, None, blocked=False)
    assert attrs.evolve(unknown, mapped=LOCAL).verdict == verdict_of(NONE, None, blocked=False)
    assert attrs.evolve(unknown, mapped=None).verdict == verdict_of(None, None, blocked=True)
