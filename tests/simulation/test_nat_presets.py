"""Kinds of NAT that have names: our own discovery, from inside, names each by what it does."""

import math

import pytest

from _behavior_world import World, real_server
from sansice.ice import IceAgent, IceServer
from sansice.machine import Address
from sansice.simulation import FIREWALL_PRESETS, NAT_PRESETS, FirewallKind, NatKind, Network, Pooling, Tracking
from sansice.stun import BehaviorTest, ClassicType
from simulation._wires import ACK, INNER, OUTER, RST, SERVER, STRANGER, SYN, Wires, mapped, nat_wires, tcp, udp

EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"

# What RFC 5780 finds: mapping, filtering, hairpinning.
FOUND = {
    "full-cone": (EI, EI, False),
    "restricted-cone": (EI, AD, False),
    "port-restricted": (EI, APD, False),
    "symmetric": (APD, APD, False),
    "symmetric-sequential": (APD, APD, False),
    "behave": (EI, AD, True),
    "cgnat": (EI, EI, True),
    "cgnat-symmetric": (APD, APD, False),
    "linux-masquerade": (EI, APD, False),
    "linux-masquerade-open-input": (EI, APD, False),
    "linux-masquerade-random": (APD, APD, False),
    "pf": (APD, APD, False),
    "port-overloading": (EI, APD, False),
    "short-lived": (EI, APD, False),
    "one-to-one": (EI, EI, False),
}


def test_every_preset_is_tried_and_says_where_it_is_described():
    assert set(FOUND) == set(NAT_PRESETS)
    for kind in (*NAT_PRESETS.values(), *FIREWALL_PRESETS.values()):
        assert kind.about.endswith(".")
        assert kind.source


@pytest.mark.parametrize("preset", NAT_PRESETS)
def test_mapping_filtering_and_hairpinning_are_discovered(preset):
    found = World(server=real_server(), nat={"preset": preset}).discover()
    assert (found.mapping.value, found.filtering.value, found.hairpinning) == FOUND[preset]
    assert (found.alg, found.unavailable) == (False, ())


def lifetime_of(preset):
    """The longest silence that was seen to be survived, and the shortest that was not."""
    world = World(server=real_server(), nat={"preset": preset}, tests=[BehaviorTest.LIFETIME], lifetime_limit=600.0)
    found = world.discover(until=100_000.0)
    return found.lifetime_s, found.expired_s


TRACKERS = [name for name, kind in NAT_PRESETS.items() if kind.tracking is Tracking.CONNECTIONS]


@pytest.mark.parametrize("preset", [name for name in NAT_PRESETS if name not in TRACKERS])
def test_the_lifetime_is_discovered(preset):
    lifetime = NAT_PRESETS[preset].lifetime
    alive, expired = lifetime_of(preset)
    if lifetime == math.inf:
        assert (alive, expired) == (pytest.approx(600.0), None)
    else:
        assert alive < lifetime < expired + 0.1
        assert expired - alive <= 5.0


@pytest.mark.parametrize("preset", TRACKERS)
def test_a_flow_that_is_new_lives_shorter_so_that_discovery_finds_the_last_silence_before_it_was_lost(preset):
    kind = NAT_PRESETS[preset]
    alive, expired = lifetime_of(preset)
    assert alive == pytest.approx(kind.lifetime / 2)
    assert kind.unreplied <= alive + 0.1
    assert expired < kind.lifetime


@pytest.mark.parametrize(
    ("preset", "classic"),
    [
        ("full-cone", ClassicType.FULL_CONE),
        ("restricted-cone", ClassicType.RESTRICTED_CONE),
        ("port-restricted", ClassicType.PORT_RESTRICTED_CONE),
        ("symmetric", ClassicType.SYMMETRIC),
    ],
)
def test_the_words_of_rfc_3489_mean_what_they_meant(preset, classic):
    assert World(server=real_server(), nat={"preset": preset}).discover().classic is classic


def punched(a, b, late=0.0):
    """Whether two agents behind NATs with these presets connect; the second begins to check so much later."""
    net = Network(seed=2, latency=0.02)
    net.stun_server("198.51.100.9")
    ends = []
    for number, preset in enumerate((a, b), start=1):
        nat = net.nat(f"203.0.113.{number}", preset=preset)
        host = net.host(f"end {number}", "10.0.0.2", behind=nat)
        agent = IceAgent(controlling=number == 1, servers=[IceServer("stun:198.51.100.9:3478")], entropy=host.entropy)
        node = host.run(agent)
        node.call(agent.gather, host.addresses)
        ends.append((node, agent))
    net.run(until=5.0)
    (left, one), (right, two) = ends
    left.call(one.set_remote, two.local_description)
    net.run(until=5.0 + late)
    right.call(two.set_remote, one.local_description)
    net.run(until=60.0, when=lambda: one.selected_pair is not None and two.selected_pair is not None)
    return one.selected_pair is not None and two.selected_pair is not None


@pytest.mark.parametrize(
    ("a", "b", "connected"),
    [
        ("linux-masquerade", "linux-masquerade", True),
        ("linux-masquerade-random", "linux-masquerade", False),
        ("linux-masquerade-random", "restricted-cone", True),
        ("cgnat-symmetric", "full-cone", True),
        ("pf", "pf", False),
        ("behave", "symmetric", True),
    ],
)
def test_holes_are_punched_where_the_rules_let_them(a, b, connected):
    assert punched(a, b) is connected


@pytest.mark.parametrize(("preset", "connected"), [("linux-masquerade", True), ("linux-masquerade-open-input", False)])
def test_who_probes_first_is_never_reached_from_behind_an_open_input(preset, connected):
    assert punched(preset, preset, late=0.0)
    assert punched(preset, preset, late=1.0) is connected


def test_a_preset_may_be_changed_in_part():
    kind = Network().nat(OUTER, preset="cgnat", lifetime=30.0, alg=True).kind
    assert (kind.lifetime, kind.alg, kind.pooling) == (30.0, True, Pooling.PAIRED)


def test_a_name_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no kind of NAT is called 'conical'; there are full-cone, restricted-cone"):
        Network().nat(OUTER, preset="conical")
    with pytest.raises(ValueError, match='"open" is no NAT: leave it out'):
        Network().nat(OUTER, preset="open")
    with pytest.raises(ValueError, match="a NAT has one kind: either the preset 'cgnat' or "):
        Network().nat(OUTER, preset="cgnat", kind=NatKind())


def test_presets_cannot_be_changed():
    with pytest.raises(TypeError):
        NAT_PRESETS["full-cone"] = NatKind()
    with pytest.raises(TypeError):
        FIREWALL_PRESETS["stateful"] = FirewallKind()


def test_ports_can_be_guessed_where_they_are_sequential():
    wires = nat_wires(preset="symmetric-sequential")
    first, second = (mapped(wires, INNER, peer).port for peer in (SERVER, STRANGER))
    assert second == first + 1


def test_a_carrier_limits_its_subscribers():
    wires = nat_wires(preset="cgnat")
    found = [mapped(wires, Address(INNER.host, port), SERVER) for port in range(1, 1002)]
    assert None not in found[:1000]
    assert found[1000] is None


# What gets out and what is told, of UDP to 3478, DNS, and TCP to 80, 443 and 3478.
OUT, DROPPED, REFUSED, RESET = "out", "dropped", "refused", "reset"
FIREWALLS = {
    "stateful": (OUT, OUT, OUT, OUT, OUT),
    "stateful-open": (OUT, OUT, OUT, OUT, OUT),
    "udp-blocked": (DROPPED, DROPPED, OUT, OUT, OUT),
    "udp-rejected": (REFUSED, REFUSED, OUT, OUT, OUT),
    "web-only": (DROPPED, OUT, OUT, OUT, DROPPED),
    "tls-only": (DROPPED, OUT, DROPPED, OUT, DROPPED),
    "closed": (DROPPED,) * 5,
    "captive": (REFUSED, OUT, RESET, RESET, RESET),
    "transparent": (OUT, OUT, OUT, OUT, OUT),
}


def sent(wires, packet):
    """What becomes of the first packet of a flow."""
    if wires.out(packet) is not None:
        return OUT
    answers = wires.heard(packet.source.host)
    if not answers:
        return DROPPED
    return REFUSED if answers[0].icmp is not None else RESET


def test_every_firewall_is_tried():
    assert set(FIREWALLS) == set(FIREWALL_PRESETS)


@pytest.mark.parametrize("preset", FIREWALL_PRESETS)
def test_a_firewall_stops_what_its_name_says(preset):
    wires = Wires(lambda net: net.firewall(preset))
    packets = [udp(INNER, (SERVER.host, 3478)), udp(INNER, (SERVER.host, 53))]
    packets += [tcp(INNER, (SERVER.host, port), SYN) for port in (80, 443, 3478)]
    assert tuple(sent(wires, packet) for packet in packets) == FIREWALLS[preset]


@pytest.mark.parametrize("preset", FIREWALL_PRESETS)
def test_only_a_transparent_firewall_lets_strangers_in(preset):
    wires = Wires(lambda net: net.firewall(preset))
    assert (wires.into(udp(STRANGER, INNER)) is not None) is (preset == "transparent")
    assert (wires.into(tcp(STRANGER, INNER, SYN)) is not None) is (preset == "transparent")
    assert wires.into(tcp(STRANGER, (INNER.host, 7), RST | ACK)) is None
