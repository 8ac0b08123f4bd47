"""What the oracle says of topologies that a person can judge, and when it leaves something open."""

import itertools

import attrs
import pytest

from sansice.ice import CandidateType
from sansice.simulation import (
    AgentSpec,
    At,
    Bursts,
    Fate,
    Filtering,
    FirewallSpec,
    HostSpec,
    InterfaceDown,
    InterfaceSpec,
    Link,
    Mapping,
    NatSpec,
    OracleRule,
    Prediction,
    Scene,
    SegmentSpec,
    StunServerSpec,
    predict,
)

STUN = StunServerSpec("stun", ("198.51.100.9", "2001:db8:9::9"))
SERVERS = ("stun:198.51.100.9", "stun:[2001:db8:9::9]")
KINDS = ("open", "full-cone", "restricted-cone", "port-restricted", "symmetric")


def scene(*, roles: tuple[bool, bool] = (True, False), servers: tuple[str, ...] = SERVERS[:1], **parts) -> Scene:
    agents = tuple(
        AgentSpec(name, controlling=role, ice_servers=servers) for name, role in zip(("alice", "bob"), roles, strict=True)
    )
    return Scene(**{"name": "scene", "servers": (STUN,), "agents": agents, **parts})


def between(a: str, b: str, **parts) -> Scene:
    """Two hosts, each behind a NAT of some kind."""
    nats, hosts = [], []
    for name, kind, public in (("alice", a, "203.0.113.1"), ("bob", b, "203.0.113.2")):
        if kind == "open":
            hosts.append(HostSpec(name, public))
        else:
            nats.append(NatSpec(f"{name}'s", public, kind))
            hosts.append(HostSpec(name, "192.168.1.2", behind=f"{name}'s"))
    return scene(nats=tuple(nats), hosts=tuple(hosts), **parts)


def answer(scene: Scene) -> tuple[bool | None, tuple[str, ...]]:
    [couple] = predict(scene).couples
    return couple.connected, couple.pair_types


SEEN_AS = dict(zip(KINDS, ("host", "srflx", "srflx", "srflx", "prflx"), strict=True))


@pytest.mark.parametrize(("a", "b"), list(itertools.product(KINDS, KINDS)))
def test_only_symmetric_fails_with_symmetric_and_with_port_restricted(a, b):
    fails = {a, b} in ({"symmetric"}, {"symmetric", "port-restricted"})
    assert answer(between(a, b)) == ((False, ()) if fails else (True, (f"{SEEN_AS[a]}-{SEEN_AS[b]}",)))


def test_prediction_is_the_same_whoever_nominates():
    for roles in ((True, False), (False, True), (True, True), (False, False)):
        assert answer(between("symmetric", "full-cone", roles=roles)) == (True, ("prflx-srflx",))


def test_without_servers_only_what_is_public_is_found():
    assert answer(between("port-restricted", "port-restricted", servers=())) == (False, ())
    assert answer(between("port-restricted", "open", servers=())) == (True, ("prflx-host",))


def test_prediction_needs_no_agents():
    assert predict(Scene(name="nobody", hosts=(HostSpec("alone", "203.0.113.1"),))) == Prediction((), ())
    assert predict(Scene(name="nobody", hosts=(HostSpec("alone", "203.0.113.1"),))).connected is False


def test_neighbours_connect_as_hosts_whatever_their_nat_does():
    home = NatSpec("home", "203.0.113.1", "symmetric")
    hosts = (HostSpec("alice", "10.0.0.2", behind="home"), HostSpec("bob", "10.0.0.3", behind="home"))
    assert answer(scene(nats=(home,), hosts=hosts)) == (True, ("host-host",))


@pytest.mark.parametrize(("hairpinning", "expected"), [(False, (False, ())), (True, (True, ("srflx-srflx",)))])
def test_two_homes_of_one_carrier_need_its_hairpin(hairpinning, expected):
    nats = (
        NatSpec("carrier", "203.0.113.1", hairpinning=hairpinning),
        NatSpec("one", "100.64.0.1", behind="carrier"),
        NatSpec("two", "100.64.0.2", behind="carrier"),
    )
    hosts = (HostSpec("alice", "192.168.1.2", behind="one"), HostSpec("bob", "192.168.1.2", behind="two"))
    assert answer(scene(nats=nats, hosts=hosts)) == expected


def test_inner_nat_that_lets_anyone_in_is_no_help_behind_a_symmetric_carrier():
    nats = (
        NatSpec("carrier", "203.0.113.1", "symmetric"),
        NatSpec("one", "100.64.0.1", "full-cone", behind="carrier"),
        NatSpec("two", "203.0.113.2", "port-restricted"),
    )
    hosts = (HostSpec("alice", "192.168.1.2", behind="one"), HostSpec("bob", "192.168.1.2", behind="two"))
    assert answer(scene(nats=nats, hosts=hosts)) == (False, ())


def test_stateful_firewalls_on_both_sides_are_opened_from_within():
    walls = (FirewallSpec("one"), FirewallSpec("two"))
    hosts = (HostSpec("alice", "2001:db8:a::2", behind="one"), HostSpec("bob", "2001:db8:b::2", behind="two"))
    assert answer(scene(firewalls=walls, hosts=hosts)) == (True, ("host-host",))


def test_blocked_udp_connects_with_nobody():
    hosts = (HostSpec("alice", "203.0.113.2", behind="office"), HostSpec("bob", "203.0.113.3"))
    assert answer(scene(firewalls=(FirewallSpec("office", "udp-blocked"),), hosts=hosts)) == (False, ())


def test_families_do_not_mix():
    assert answer(scene(hosts=(HostSpec("alice", "203.0.113.2"), HostSpec("bob", "2001:db8::2")))) == (False, ())


def test_best_of_two_paths_is_the_one_of_higher_priority():
    homes = (NatSpec("one", "203.0.113.1", "full-cone"), NatSpec("two", "203.0.113.2", "full-cone"))
    hosts = (
        HostSpec("alice", ("192.168.1.2", "2001:db8:a::2"), behind="one"),
        HostSpec("bob", ("192.168.1.2", "2001:db8:b::2"), behind="two"),
    )
    [couple] = predict(scene(nats=homes, hosts=hosts)).couples
    [outcome] = couple.outcomes
    assert [(pair.type, pair.local_address) for pair in outcome.pairs] == [
        ("host-host", "2001:db8:a::2"),
        ("srflx-srflx", "192.168.1.2"),
    ]
    assert couple.pair_types == ("host-host",)
    assert couple.rules == ()
    best = outcome.pairs[0]
    assert best.local is CandidateType.HOST
    host_priority = 126 * 2**24 + 65535 * 2**8 + 255  # IPv6 comes first (RFC 8421 4)
    assert best.priority == 2**32 * host_priority + 2 * host_priority


def test_pair_priority_breaks_a_tie_in_favour_of_the_controlling_end():
    hosts = (HostSpec("alice", "203.0.113.1"), HostSpec("bob", ("203.0.113.2", "203.0.113.3")))
    [couple] = predict(scene(hosts=hosts)).couples
    first, second = (126 * 2**24 + preference * 2**8 + 255 for preference in (65535, 65534))
    assert [pair.priority for pair in couple.outcomes[0].pairs] == [2**32 * first + 2 * first, 2**32 * second + 2 * first + 1]


def test_losses_say_where_checks_end():
    [couple] = predict(between("symmetric", "port-restricted")).couples
    assert couple.losses == (
        "alice from 192.168.1.2 to bob's host 192.168.1.2: alice: no socket at this port",
        "alice from 192.168.1.2 to bob's srflx 203.0.113.2: bob's: the NAT lets this source not in",
        "bob from 192.168.1.2 to alice's host 192.168.1.2: bob: no socket at this port",
        "bob from 192.168.1.2 to alice's srflx 203.0.113.1: alice's: the NAT lets this source not in",
    )
    assert Fate.FILTERED.value in couple.losses[1]


# ------------------------------------------------------------- what is left open, and why


def rules(scene: Scene) -> list[OracleRule]:
    [couple] = predict(scene).couples
    return list(couple.rules)


def test_two_interfaces_may_make_the_best_pair_depend_on_who_nominates():
    """By either agent's own order its first address is the best one."""
    place = {"segments": (SegmentSpec("VPN"),), "nats": (NatSpec("home", "203.0.113.1", "full-cone"),)}
    alice = HostSpec("alice", interfaces=(InterfaceSpec("192.168.1.2", "home"), InterfaceSpec("10.8.0.2", "VPN")))
    bob = HostSpec("bob", interfaces=(InterfaceSpec("203.0.113.9"), InterfaceSpec("10.8.0.3", "VPN")))
    [conflict] = predict(scene(hosts=(alice, bob), roles=(True, True), **place)).couples
    assert [outcome.controlling for outcome in conflict.outcomes] == ["alice", "bob"]
    for name, roles in (("alice", (True, False)), ("bob", (False, True))):
        [couple] = predict(scene(hosts=(alice, bob), roles=roles, **place)).couples
        assert couple.outcomes == tuple(outcome for outcome in conflict.outcomes if outcome.controlling == name)


@pytest.mark.parametrize("roles", [(True, True), (False, False)])
def test_path_that_is_learned_from_a_refused_check_may_be_missed(roles):
    """The answer to a check comes from another address, so it is the peer that must learn from it; it refuses it instead."""
    loose = {"mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT, "filtering": Filtering.ENDPOINT_INDEPENDENT}
    strict = {"mapping": Mapping.ADDRESS_DEPENDENT, "filtering": Filtering.ADDRESS_DEPENDENT}
    nats = (NatSpec("one", "203.0.113.1", **strict), NatSpec("two", "203.0.113.2", **loose))
    hosts = (HostSpec("alice", "192.168.1.2", behind="one"), HostSpec("bob", "192.168.1.2", behind="two"))
    parts = {"nats": nats, "hosts": hosts}
    assert answer(scene(**parts)) == (True, ("prflx-prflx",))
    assert answer(scene(**parts, roles=roles)) == (None, ("prflx-prflx",))
    assert rules(scene(**parts, roles=roles)) == [OracleRule.ROLE_CONFLICT]
    assert predict(scene(**parts, roles=roles)).connected is None


def test_better_pair_that_the_peer_must_open_may_be_too_late():
    walls = (FirewallSpec("one"), FirewallSpec("two"))
    nats = (NatSpec("home", "203.0.113.1", "full-cone"),)
    alice = HostSpec("alice", interfaces=(InterfaceSpec("2001:db8:a::2", "one"), InterfaceSpec("203.0.113.9")))
    bob = HostSpec("bob", interfaces=(InterfaceSpec("2001:db8:b::2", "two"), InterfaceSpec("10.0.0.2", "home")))
    both = scene(hosts=(alice, bob), firewalls=walls, nats=nats)
    assert answer(both) == (True, ("host-host", "host-srflx"))
    assert rules(both) == [OracleRule.ACCEPTANCE_WAIT]


def test_agent_that_waits_for_a_silent_server_may_be_seen_before_it_knows_its_address():
    homes = between("full-cone", "full-cone")
    slow = attrs.evolve(homes.agents[0], ice_servers=("stun:198.51.100.9", "stun:198.51.100.77"))
    late = attrs.evolve(homes, agents=(slow, homes.agents[1]))
    assert answer(late) == (True, ("srflx-srflx", "prflx-srflx"))
    assert rules(late) == [OracleRule.UNEVEN_GATHERING]
    mirrored = attrs.evolve(homes, agents=(homes.agents[0], attrs.evolve(slow, host="bob", name="bob", controlling=False)))
    assert answer(mirrored) == (True, ("srflx-srflx", "srflx-prflx"))


def test_gathering_within_the_time_that_signalling_takes_is_even():
    homes = between("full-cone", "full-cone")
    bob = homes.agents[1]
    slightly = attrs.evolve(homes, agents=(homes.agents[0], attrs.evolve(bob, start=0.01)))
    assert answer(slightly) == (True, ("srflx-srflx",))
    assert answer(attrs.evolve(slightly, signalling=0.0)) == (True, ("srflx-srflx", "srflx-prflx"))
    assert answer(attrs.evolve(homes, signalling=0.0)) == (True, ("srflx-srflx",))


def test_nats_that_show_ever_new_addresses_may_keep_agents_from_what_works():
    """Two NATs that map by destination and let anyone in: no answer ever comes from where the check went."""
    loose = {"mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT, "filtering": Filtering.ENDPOINT_INDEPENDENT}
    nats = (
        NatSpec("one", "203.0.113.1", **loose),
        NatSpec("two", "203.0.113.2", **loose),
        NatSpec("three", "2001:db8::3", **loose),
    )
    alice = HostSpec("alice", interfaces=(InterfaceSpec("192.168.1.2", "one"),))
    bob = HostSpec("bob", interfaces=(InterfaceSpec("192.168.1.2", "two"),))
    assert answer(scene(nats=nats, hosts=(alice, bob))) == (False, ())
    alice = HostSpec("alice", interfaces=(*alice.interfaces, InterfaceSpec("2001:db8:a::2")))
    bob = HostSpec("bob", interfaces=(*bob.interfaces, InterfaceSpec("fd00::2", "three")))
    chase = scene(nats=nats, hosts=(alice, bob), servers=SERVERS)
    assert answer(chase) == (None, ("host-prflx",))
    assert rules(chase) == [OracleRule.CHASE]


def test_chase_lets_a_worse_pair_come_first():
    loose = {"mapping": Mapping.ADDRESS_AND_PORT_DEPENDENT, "filtering": Filtering.ENDPOINT_INDEPENDENT}
    nats = (NatSpec("one", "203.0.113.1", **loose), NatSpec("two", "203.0.113.2", **loose), NatSpec("three", "203.0.113.3"))
    alice = HostSpec("alice", interfaces=(InterfaceSpec("203.0.113.9"), InterfaceSpec("192.168.1.2", "one")))
    bob = HostSpec("bob", interfaces=(InterfaceSpec("192.168.7.2", "three"), InterfaceSpec("192.168.1.3", "two")))
    chase = scene(nats=nats, hosts=(alice, bob))
    assert answer(chase) == (True, ("host-prflx", "host-srflx"))
    assert OracleRule.CHASE in rules(chase)


def test_open_input_decides_by_who_comes_first():
    for kind, expected in (("port-restricted", None), ("symmetric", False), ("open", True), ("full-cone", True)):
        assert answer(between("linux-masquerade-open-input", kind))[0] is expected
    assert rules(between("linux-masquerade-open-input", "port-restricted")) == [OracleRule.OPEN_INPUT]
    assert answer(between("linux-masquerade", "port-restricted")) == (True, ("srflx-srflx",))


@pytest.mark.parametrize(("outside", "expected"), [(("203.0.113.1",), True), (("203.0.113.1", "203.0.113.3"), None)])
def test_address_from_a_pool_decides_where_a_filter_looks_at_addresses(outside, expected):
    nats = (NatSpec("pool", outside, "cgnat-symmetric"), NatSpec("home", "203.0.113.2", "restricted-cone"))
    hosts = (HostSpec("alice", "10.0.0.2", behind="pool"), HostSpec("bob", "10.0.0.2", behind="home"))
    pooled = scene(nats=nats, hosts=hosts)
    assert answer(pooled)[0] is expected
    assert rules(pooled) == ([] if expected else [OracleRule.POOLING])


def test_several_couples_are_judged_one_by_one():
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    hosts = tuple(HostSpec(name, f"203.0.113.{number}") for number, name in enumerate("abc", 1))
    agents = tuple(AgentSpec(name, peer=peer, controlling=name in "ac") for name, peer in pairs)
    other = HostSpec("d", "2001:db8::4")
    prediction = predict(Scene(name="four", hosts=(*hosts, other), agents=agents))
    assert [(couple.agents, couple.connected) for couple in prediction.couples] == [(("a", "b"), True), (("c", "d"), False)]
    assert prediction.connected is False
    assert predict(Scene(name="four", hosts=(*hosts, HostSpec("d", "203.0.113.4")), agents=agents)).connected is True


def test_what_is_not_judged_is_said():
    home = NatSpec("home", "203.0.113.1", "short-lived", link=Link(bandwidth=1e6), lan=Link(mtu=500))
    carrier = NatSpec("carrier", "203.0.113.2", "cgnat")
    small = NatSpec("small", "203.0.113.3", kind=attrs.evolve(carrier.nat_kind, max_mappings=5))
    hosts = (
        HostSpec("alice", "10.0.0.2", behind="home", link=Link(loss=0.5)),
        HostSpec("bob", "10.0.0.2", behind="carrier", link=Link(loss=1.0, mtu=1280)),
        HostSpec("carol", "10.0.0.2", behind="small"),
    )
    changes = (At(9.0, InterfaceDown("bob", "10.0.0.2")), At(5.0, InterfaceDown("alice", "10.0.0.2")))
    bursts = Link(bursts=Bursts(enter=0.1, leave=0.5))
    judged = scene(nats=(home, carrier, small), hosts=hosts, internet=bursts, changes=changes)
    assert predict(judged).ignored == (
        "internet: packets are lost",
        "home: checks may be longer than 500 bytes",
        "home at internet: packets wait for a bandwidth of 1e+06 bit/s",
        "alice 10.0.0.2 at home: packets are lost",
        "home: what is not used for 20 s is forgotten",
        "small: only 5 mappings at a time",
        "what changes from 5 s on",
    )
