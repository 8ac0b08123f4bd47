"""A symbolic packet's way: who gets it, as whose, or where it ends."""

import attrs
import pytest

from sansice.simulation import (
    Fate,
    FirewallSpec,
    Forward,
    Hairpinning,
    HostSpec,
    InterfaceSpec,
    Link,
    NatSpec,
    ProxySpec,
    RouterSpec,
    Scene,
    SegmentSpec,
    StunServerSpec,
)
from sansice.simulation._oracle._geography import Geography
from sansice.simulation._oracle._values import Arrival, Chances, Endpoint, Loss, Socket
from sansice.simulation._oracle._walk import Walk

PUBLIC = HostSpec("public", ("203.0.113.9", "2001:db8:9::9"))
DEAD = Link(loss=1.0)


def walk(scene: Scene) -> Walk:
    return Walk(Geography(scene), Chances())


def socket(host: str, place: str, address: str) -> Socket:
    return Socket(host, place, Endpoint(address, (host, 0)))


def at(address: str, host: str = "public") -> Endpoint:
    return Endpoint(address, (host, 0))


HOME = Scene(
    name="home",
    nats=(NatSpec("home", ("203.0.113.1",), "full-cone"),),
    hosts=(PUBLIC, HostSpec("inside", ("10.0.0.2", "2001:db8::2"), behind="home"), HostSpec("beside", "10.0.0.3", behind="home")),
)
INSIDE = socket("inside", "home", "10.0.0.2")


def test_neighbours_reach_each_other_without_the_nat():
    assert walk(HOME).send(INSIDE, at("10.0.0.3")) == Arrival("beside", at("10.0.0.3"), INSIDE.local)


def test_packet_to_an_address_of_the_own_computer_stays_there():
    assert walk(HOME).send(INSIDE, at("10.0.0.2")) == Arrival("inside", at("10.0.0.2"), INSIDE.local)


def test_packet_out_of_a_nat_and_back_into_it():
    there = walk(HOME)
    out = there.send(INSIDE, at("203.0.113.9"))
    assert isinstance(out, Arrival)
    assert (out.host, out.local, out.source.host) == ("public", at("203.0.113.9"), "203.0.113.1")
    answer = there.send(socket("public", "internet", "203.0.113.9"), out.source)
    assert answer == Arrival("inside", INSIDE.local, at("203.0.113.9"))


def test_family_without_an_outer_address_is_routed_in_both_directions():
    there = walk(HOME)
    inside, outside = socket("inside", "home", "2001:db8::2"), socket("public", "internet", "2001:db8:9::9")
    assert there.send(inside, outside.local) == Arrival("public", outside.local, inside.local)
    assert there.send(outside, inside.local) == Arrival("inside", inside.local, outside.local)


def test_nobody_has_an_address_behind_another_nat():
    assert walk(HOME).send(socket("public", "internet", "203.0.113.9"), INSIDE.local) == Loss("internet", Fate.UNROUTABLE)
    assert walk(HOME).send(INSIDE, at("10.0.0.77")) == Loss("internet", Fate.UNROUTABLE)


def test_what_is_forwarded_to_nobody_does_not_come_back_out():
    nat = NatSpec("home", "203.0.113.1", forwards=(Forward(("203.0.113.1", 0), ("10.0.0.9", 0)),))
    out = walk(attrs.evolve(HOME, nats=(nat,))).send(socket("public", "internet", "203.0.113.9"), at("203.0.113.1"))
    assert out == Loss("home", Fate.UNROUTABLE)


def test_untranslated_outer_address_is_known_beyond_the_nat_that_routes_it():
    scene = Scene(
        name="scene",
        nats=(NatSpec("outer", "203.0.113.1"), NatSpec("inner", "2001:db8::1", behind="outer")),
        hosts=(PUBLIC, HostSpec("inside", "fd00::2", behind="inner")),
    )
    there = walk(scene)
    out = there.send(socket("inside", "inner", "fd00::2"), at("2001:db8:9::9"))
    assert isinstance(out, Arrival)
    assert out.source.host == "2001:db8::1"
    answer = there.send(socket("public", "internet", "2001:db8:9::9"), out.source)
    assert answer == Arrival("inside", Endpoint("fd00::2", ("inside", 0)), at("2001:db8:9::9"))


@pytest.mark.parametrize(
    ("hairpinning", "source"),
    [(Hairpinning.NONE, None), (Hairpinning.EXTERNAL_SOURCE, "203.0.113.1"), (Hairpinning.INTERNAL_SOURCE, "10.0.0.2")],
)
def test_hairpin_shows_the_source_that_the_nat_chooses(hairpinning, source):
    there = walk(attrs.evolve(HOME, nats=(attrs.evolve(HOME.nats[0], hairpinning=hairpinning),)))
    beside = socket("beside", "home", "10.0.0.3")
    mapped = there.send(beside, at("203.0.113.9"))
    assert isinstance(mapped, Arrival)
    turned = there.send(INSIDE, mapped.source)
    if source is None:
        assert turned == Loss("home", Fate.NO_HAIRPIN)
    else:
        assert isinstance(turned, Arrival)
        assert (turned.host, turned.source.host) == ("beside", source)


def test_hairpin_is_filtered_like_any_other_packet():
    there = walk(attrs.evolve(HOME, nats=(NatSpec("home", "203.0.113.1", hairpinning=True),)))
    mapped = there.send(socket("beside", "home", "10.0.0.3"), at("203.0.113.9"))
    assert isinstance(mapped, Arrival)
    assert there.send(INSIDE, mapped.source) == Loss("home", Fate.FILTERED)


def test_what_a_firewall_does_not_know_it_stops():
    scene = Scene(
        name="scene",
        firewalls=(FirewallSpec("wall"), FirewallSpec("office", "udp-blocked")),
        hosts=(PUBLIC, HostSpec("inside", "203.0.113.2", behind="wall"), HostSpec("clerk", "203.0.113.3", behind="office")),
    )
    there = walk(scene)
    inside, outside = socket("inside", "wall", "203.0.113.2"), socket("public", "internet", "203.0.113.9")
    assert there.send(outside, inside.local) == Loss("wall", Fate.BLOCKED)
    assert there.send(inside, outside.local) == Arrival("public", outside.local, inside.local)
    assert there.send(outside, inside.local) == Arrival("inside", inside.local, outside.local)
    assert there.send(socket("clerk", "office", "203.0.113.3"), outside.local) == Loss("office", Fate.BLOCKED)
    assert there.learned == 1


def test_firewall_of_a_nat_is_for_the_family_that_it_routes():
    there = walk(attrs.evolve(HOME, nats=(attrs.evolve(HOME.nats[0], firewall="stateful"),)))
    outside = socket("public", "internet", "2001:db8:9::9")
    assert there.send(outside, at("2001:db8::2", "inside")) == Loss("home", Fate.BLOCKED)
    assert isinstance(there.send(INSIDE, at("203.0.113.9")), Arrival)


@pytest.mark.parametrize(
    "scene",
    [
        attrs.evolve(HOME, internet=DEAD),
        attrs.evolve(HOME, nats=(attrs.evolve(HOME.nats[0], link=DEAD),)),
        attrs.evolve(HOME, nats=(attrs.evolve(HOME.nats[0], lan=DEAD),)),
        attrs.evolve(HOME, hosts=(attrs.evolve(PUBLIC, link=DEAD), *HOME.hosts[1:])),
        attrs.evolve(HOME, hosts=(PUBLIC, HostSpec("inside", "10.0.0.2", behind="home", link=DEAD))),
    ],
    ids=["internet", "access of the NAT", "inside", "receiver", "sender"],
)
def test_nothing_crosses_a_dead_link(scene):
    out = walk(scene).send(INSIDE, at("203.0.113.9"))
    assert isinstance(out, Loss)
    assert out.fate is Fate.LOST
    assert walk(HOME).reaches_by_stream(INSIDE, at("203.0.113.9"))
    assert not walk(scene).reaches_by_stream(INSIDE, at("203.0.113.9"))


def test_interface_that_is_down_is_not_there():
    inside = HostSpec("inside", interfaces=(InterfaceSpec("10.0.0.2", "home"), InterfaceSpec("10.0.0.4", "home", up=False)))
    there = walk(attrs.evolve(HOME, hosts=(inside, *HOME.hosts[::2])))
    assert there.send(socket("beside", "home", "10.0.0.3"), at("10.0.0.4")) == Loss("internet", Fate.UNROUTABLE)


def test_router_passes_on_between_its_segments_and_to_the_internet():
    """One segment has a router of its own, two share one."""
    scene = Scene(
        name="company",
        routers=(RouterSpec("router"),),
        segments=(
            SegmentSpec("sales", behind="router"),
            SegmentSpec("lab", behind="router"),
            SegmentSpec("site"),
            SegmentSpec("branch", behind="internet"),
        ),
        hosts=(
            PUBLIC,
            HostSpec("seller", "203.0.113.20", behind="sales"),
            HostSpec("tester", "203.0.113.30", behind="lab"),
            HostSpec("clerk", "203.0.113.40", behind="branch"),
        ),
    )
    seller = socket("seller", "sales", "203.0.113.20")
    for host, address in (("tester", "203.0.113.30"), ("clerk", "203.0.113.40"), ("public", "203.0.113.9")):
        assert walk(scene).send(seller, at(address)) == Arrival(host, at(address), seller.local)
    clerk = socket("clerk", "branch", "203.0.113.40")
    assert walk(scene).send(clerk, seller.local) == Arrival("seller", seller.local, clerk.local)
    assert walk(scene).send(seller, at("203.0.113.99")) == Loss("internet", Fate.UNROUTABLE)
    cut = attrs.evolve(scene, routers=(RouterSpec("router", link=DEAD),))
    assert walk(cut).send(seller, clerk.local) == Loss("internet", Fate.LOST)
    assert isinstance(walk(cut).send(seller, at("203.0.113.30")), Arrival)


def test_segment_without_a_way_out_ends_what_nobody_there_has():
    scene = Scene(
        name="scene",
        segments=(SegmentSpec("VPN"),),
        hosts=(HostSpec("one", "10.8.0.2", behind="VPN"), HostSpec("two", "10.8.0.3", behind="VPN")),
        servers=(StunServerSpec("stun", "192.0.2.9"),),
        proxies=(ProxySpec("proxy", "192.0.2.10"),),
    )
    one = socket("one", "VPN", "10.8.0.2")
    assert walk(scene).send(one, at("192.0.2.9")) == Loss("VPN", Fate.UNROUTABLE)
    assert walk(scene).send(one, at("10.8.0.3")) == Arrival("two", at("10.8.0.3"), one.local)
    assert isinstance(walk(scene).send(socket("stun", "internet", "192.0.2.9"), at("192.0.2.10")), Arrival)
