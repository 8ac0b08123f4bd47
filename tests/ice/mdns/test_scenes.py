"""Names found in the laboratory: over loss, by many, behind different routers, and replayed byte for byte."""

import pytest

from sansice.ice import HostAddress, MdnsAgent, MdnsConfig, NameFailure, NameResolved, mdns_name
from sansice.simulation import Link, Network, Recording, replay


def joined(host):
    """A machine of mDNS on all interfaces of a host."""
    node = host.run(MdnsAgent(entropy=host.entropy))
    node.call(node.machine.update_addresses, [HostAddress(one.address, one.label) for one in host.interfaces])
    return node


def home(seed=1, hosts=2, link=None):
    net = Network(seed=seed)
    segment = net.segment("LAN", link=link or Link(latency=0.002))
    return net, segment, [net.host(f"host {n}", f"192.168.1.{n + 1}", behind=segment) for n in range(hosts)]


def outcomes(node):
    return {event.name: event.host if isinstance(event, NameResolved) else event.reason for _, event in node.events}


@pytest.mark.parametrize("stem", ["192.168.1.", "fe80::"], ids=["ipv4", "ipv6"])
def test_two_hosts_on_one_link_find_each_other(stem):
    net = Network(seed=1)
    segment = net.segment("LAN")
    nodes = [joined(net.host(f"host {n}", f"{stem}{n}", behind=segment)) for n in (1, 2)]
    names = [node.call(node.machine.register, f"{stem}{n}") for n, node in enumerate(nodes, 1)]
    for node, name in zip(nodes, reversed(names), strict=True):
        node.call(node.machine.resolve, name)
    net.run(until=5)
    assert [list(outcomes(node)) for node in nodes] == [[names[1]], [names[0]]]
    assert outcomes(nodes[1])[names[0]].partition("%")[0] == f"{stem}1"


def test_names_are_found_over_loss_within_the_time_that_an_agent_gives_them():
    found = 0
    for seed in range(200):
        net, _, hosts = home(seed, link=Link(latency=0.002, loss=0.2))
        one, two = map(joined, hosts)
        net.run(until=3)  # so that no announcement helps
        name = one.call(one.machine.register, "192.168.1.1")
        two.call(two.machine.resolve, name, timeout=5.0)
        net.run(until=10)
        found += outcomes(two) == {name: "192.168.1.1"}
    assert found >= 195  # at 20 % each way and three questions, of five with the announcements, 1 in 100 is lost


def test_a_name_behind_another_router_is_not_found():
    net = Network(seed=1)
    nodes = [joined(net.host(f"host {n}", "192.168.1.2", behind=net.nat(f"203.0.113.{n}"))) for n in (1, 2)]
    name = nodes[0].call(nodes[0].machine.register, "192.168.1.2")
    nodes[1].call(nodes[1].machine.resolve, name)
    net.run(until=20)
    assert outcomes(nodes[1]) == {name: NameFailure.TIMEOUT}


def test_one_machine_finds_the_names_of_fifty_others_in_a_moment():
    net, _, hosts = home(hosts=51)
    nodes = [joined(host) for host in hosts]
    names = [node.call(node.machine.register, node.host.addresses[0]) for node in nodes[1:]]
    for name in names:
        nodes[0].call(nodes[0].machine.resolve, name)
    net.run(until=0.5)
    assert outcomes(nodes[0]) == {name: f"192.168.1.{n + 2}" for n, name in enumerate(names)}
    assert nodes[0].machine.stats.queries_sent <= 4


def test_a_name_is_found_late_once_somebody_has_it():
    net, segment, hosts = home(hosts=1)
    node = joined(hosts[0])
    name = mdns_name(bytes)
    node.call(node.machine.resolve, name, timeout=60.0)
    net.run(until=20)
    assert node.events == []
    host = net.host("late", "192.168.1.9", behind=segment)
    there = host.run(MdnsAgent(entropy=bytes))
    there.call(there.machine.update_addresses, ["192.168.1.9"])
    assert there.call(there.machine.register, "192.168.1.9") == name
    net.run(until=21)
    assert outcomes(node) == {name: "192.168.1.9"}


def test_a_name_that_was_withdrawn_is_not_found_any_more():
    net, _, hosts = home()
    one, two = map(joined, hosts)
    name = one.call(one.machine.register, "192.168.1.1")
    net.run(until=5)
    one.call(one.machine.close)
    net.run(until=7)
    two.call(two.machine.resolve, name)
    net.run(until=20)
    assert outcomes(two) == {name: NameFailure.TIMEOUT}


def test_a_laptop_that_sleeps_answers_when_it_wakes():
    net, _, hosts = home()
    one, two = map(joined, hosts)
    name = one.call(one.machine.register, "192.168.1.1")
    hosts[0].sleep(30)
    two.call(two.machine.resolve, name, timeout=60.0)
    net.run(until=29)
    assert two.events == []
    net.run(until=32)
    assert outcomes(two) == {name: "192.168.1.1"}


def test_a_recorded_life_replays_byte_for_byte():
    net, _, hosts = home(link=Link(latency=0.002, loss=0.3))
    recording = Recording(hosts[0].entropy)
    machine = recording.make(MdnsAgent, config=MdnsConfig(max_cached=4))
    one, two = hosts[0].run(machine), joined(hosts[1])
    one.call(machine.update_addresses, hosts[0].addresses)
    one.call(machine.register, "192.168.1.1")
    one.call(machine.resolve, two.call(two.machine.register, "192.168.1.2"))
    net.run(until=20)
    one.call(machine.close)
    again = replay(Recording.from_json_lines(recording.to_json_lines()))
    assert type(again) is MdnsAgent and again.names == () and one.events
