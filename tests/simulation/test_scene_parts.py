"""The parts of a scene: how they are written, and which are refused by themselves."""

import attrs
import pytest

from sansice import Address
from sansice.simulation import (
    NAT_PRESETS,
    AgentSpec,
    Expectation,
    Filtering,
    FirewallKind,
    FirewallSpec,
    Forward,
    Hairpinning,
    HostSpec,
    InterfaceSpec,
    Link,
    NameSpec,
    NatKind,
    NatSpec,
    Pooling,
    RouterSpec,
    Scene,
    SegmentSpec,
    StunServerSpec,
)
from simulation._scenes import two_homes


def test_one_text_does_for_several():
    assert HostSpec("alice", "192.0.2.1") == HostSpec("alice", ("192.0.2.1",)) == HostSpec("alice", ["192.0.2.1"])
    assert AgentSpec("alice", ice_servers="stun:192.0.2.9") == AgentSpec("alice", ice_servers=("stun:192.0.2.9",))


def test_addresses_are_canonical():
    assert HostSpec("alice", "2001:DB8:0:0::1").addresses == ("2001:db8::1",)
    assert InterfaceSpec("::ffff:192.0.2.1").address == "192.0.2.1"


def test_host_has_its_own_interfaces_before_those_elsewhere():
    there = InterfaceSpec("10.8.0.1", "tunnel")
    link = Link(latency=0.1)
    host = HostSpec("alice", "192.168.1.2", behind="home", link=link, interfaces=(there,))
    assert host.all_interfaces == (InterfaceSpec("192.168.1.2", "home", link=link), there)


def test_agent_has_the_name_of_its_host_unless_it_has_its_own():
    assert (AgentSpec("alice").name, AgentSpec("alice", name="caller").name) == ("alice", "caller")


def test_peer_of_one_of_two_is_the_other():
    scene = two_homes()
    assert [scene.peer_of(agent) for agent in scene.agents] == ["bob", "alice"]


def test_nat_is_what_its_preset_says_but_for_what_it_says_itself():
    plain = NatSpec("home", "203.0.113.1", "symmetric")
    assert plain.nat_kind == NAT_PRESETS["symmetric"]
    changed = NatSpec("home", "203.0.113.1", "symmetric", hairpinning=True, lifetime=7.0, pooling=Pooling.PAIRED)
    assert changed.nat_kind == attrs.evolve(
        NAT_PRESETS["symmetric"], hairpinning=Hairpinning.EXTERNAL_SOURCE, lifetime=7.0, pooling=Pooling.PAIRED
    )
    assert NatSpec("home", "203.0.113.1", "cgnat", hairpinning=False).nat_kind.hairpinning is Hairpinning.NONE


def test_firewall_is_a_preset_or_a_kind():
    kind = FirewallKind(filtering=Filtering.ADDRESS_DEPENDENT)
    assert FirewallSpec("gate", kind=kind).firewall_kind is kind
    assert FirewallSpec("gate", "udp-blocked").firewall_kind.rules
    assert NatSpec("home", "203.0.113.1", firewall=kind).routed_kind is kind
    assert NatSpec("home", "203.0.113.1").routed_kind is None


def test_scene_knows_what_is_between_hosts_and_the_internet():
    scene = two_homes(segments=(SegmentSpec("cellar"),), routers=(RouterSpec("core"),), firewalls=(FirewallSpec("gate"),))
    assert [spec.name for spec in scene.barriers] == ["home A", "home B", "gate"]
    assert [spec.name for spec in scene.crossings] == ["cellar", "core", "home A", "home B", "gate"]
    assert [spec.name for spec in scene.services] == ["stun"]


REFUSED = {
    "a NAT without an outer address": (lambda: NatSpec("home", ()), "outside: the pool of 'home' is empty"),
    "a NAT of no preset": (lambda: NatSpec("home", "203.0.113.1", "open"), '"open" is no NAT'),
    "a NAT whose routed family meets no known firewall": (
        lambda: NatSpec("home", "203.0.113.1", firewall="great"),
        "no kind of firewall is called 'great'",
    ),
    "a firewall of no preset": (lambda: FirewallSpec("gate", "great"), "no kind of firewall is called 'great'"),
    "a NAT that contradicts itself": (
        lambda: NatSpec("home", "203.0.113.1", "linux-masquerade", filtering=Filtering.ENDPOINT_INDEPENDENT),
        "a NAT that tracks connections filters",
    ),
    "a prefix that is none": (lambda: SegmentSpec("cellar", "10.1.0.0/99"), "'10.1.0.0/99' is no prefix"),
    "a NAT64 of no prefix": (lambda: NatSpec("home", "203.0.113.1", nat64="64:ff9b::/95"), "a NAT64 prefix is "),
    "a NAT64 that leaves from IPv6": (
        lambda: NatSpec("home", ("203.0.113.1", "2001:db8::1"), nat64="64:ff9b::/96"),
        "nat64: 'home' has outer addresses of IPv6",
    ),
    "a lifetime in the past": (lambda: NatSpec("home", "203.0.113.1", lifetime=-1.0), "lifetime must be more than 0"),
    "an address that is none": (lambda: HostSpec("alice", "alice.example.org"), "'alice.example.org' is not a literal"),
    "an interface without an address": (lambda: InterfaceSpec(""), "'' is not a literal"),
    "a name that is empty": (lambda: HostSpec("", "192.0.2.1"), "name: '' is no name"),
    "a name that acts on a terminal": (lambda: NameSpec("\x1b[2J", "192.0.2.1"), "name: '\\x1b[2J' is no name"),
    "a port that is none": (lambda: StunServerSpec("stun", "192.0.2.9", port=0), "port: 0 is outside 1..65535"),
    "a start in the past": (lambda: AgentSpec("alice", start=-1.0), "start: -1.0 is not a number of seconds"),
    "a forward that changes the family": (
        lambda: Forward(Address("203.0.113.1", 0), Address("fd00::1", 0)),
        "a forward from 203.0.113.1 to fd00::1 would change the family",
    ),
    "an end that lasts without having begun": (
        lambda: Expectation(connected=False, lasts=True),
        "lasts: what never connects does not last",
    ),
    "a list for a tuple": (lambda: Scene(name="x", hosts=[]), "hosts: a tuple of HostSpec, not []"),  # type: ignore[arg-type]
    "parts of another kind": (
        lambda: Scene(name="x", hosts=(NameSpec("y", "192.0.2.1"),)),  # type: ignore[arg-type]
        "hosts: a tuple of HostSpec, not (NameSpec(",
    ),
    "a scene without a name": (lambda: Scene(name=""), "name: '' is no name"),
    "signalling that never arrives": (lambda: two_homes(signalling=float("inf")), "signalling: inf is not a number of seconds"),
    "data of no bytes": (lambda: two_homes(payload=0), "payload: 0 is outside 1..65507 bytes"),
}


@pytest.mark.parametrize(("make", "text"), REFUSED.values(), ids=REFUSED)
def test_part_that_cannot_be_is_refused(make, text):
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the text is compared below
        make()
    assert str(refused.value).startswith(text)


def test_expectation_of_a_connection_is_that_it_lasts():
    assert Expectation().lasts
    assert not Expectation(connected=False).lasts
    assert NatKind() == NatSpec("home", "203.0.113.1", kind=NatKind()).nat_kind
