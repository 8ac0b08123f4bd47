"""The network as a test uses it: building, running, watching, and the same again from the same seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sansice.machine import Address
from sansice.simulation import Fate, Link, Network
from simulation._machines import Peer, Received

SERVER = Address("192.0.2.1", 1)


def crowd(**network):
    """Ten peers behind NATs and not, sending to a server that echoes, over a bad Internet."""
    net = Network(latency=0.02, jitter=0.03, loss=0.1, duplication=0.1, reordering=0.1, **network)
    net.host("server", "192.0.2.1").run(Peer("192.0.2.1", 1, echo=True))
    nat = net.nat("203.0.113.1")
    for n in range(10):
        host = net.host(f"host {n}", f"10.0.0.{n + 2}", behind=nat if n % 2 else None, link=Link(jitter=0.01) if n > 6 else None)
        node = host.run(Peer(host.addresses[0]))
        for k in range(10):
            net.at(k * 0.1, lambda node=node, host=host: node.call(node.machine.send, SERVER, host.entropy(20)))
    return net


def test_the_same_seed_gives_the_same_packets_and_another_gives_others():
    traces = []
    for seed in (1, 1, 2):
        net = crowd(seed=seed, trace=100_000)
        net.run()
        traces.append(list(net.packets))
    assert traces[0] == traces[1]
    assert traces[0] != traces[2]
    assert {passage.fate for passage in traces[0]} == {
        Fate.SENT,
        Fate.ARRIVED,
        Fate.TRANSLATED,
        Fate.DELIVERED,
        Fate.DUPLICATED,
        Fate.LOST,
    }


def test_the_seed_may_be_text():
    net, other = crowd(seed="a day in May", trace=10), crowd(seed="a day in June", trace=10)
    net.run()
    other.run()
    assert net.seed == "a day in May"
    assert list(net.packets) != list(other.packets)


SESSION = """
import hashlib
from sansice.ice import IceAgent, IceServer
from sansice.simulation import Mapping, Network

net = Network(seed=11, latency=0.02, jitter=0.01, loss=0.1, duplication=0.05, reordering=0.05, trace=1_000_000)
net.stun_server("192.0.2.10")
nodes, agents = [], []
for name, outer, inner in (("A", "203.0.113.1", "10.0.0.2"), ("B", "203.0.113.2", "192.168.1.2")):
    nat = net.nat(outer, mapping=Mapping.ENDPOINT_INDEPENDENT)
    host = net.host(name, inner, f"2001:db8::{name.lower()}", behind=nat)
    agent = IceAgent(controlling=name == "A", servers=[IceServer("stun:192.0.2.10")], entropy=host.entropy)
    node = host.run(agent)
    node.call(agent.gather, host.addresses)
    nodes.append(node)
    agents.append(agent)
net.run(until=5.0)
for node, agent, other in zip(nodes, agents, reversed(agents), strict=True):
    node.call(agent.set_remote, other.local_description)
net.run(until=60.0)
assert all(agent.selected_pair for agent in agents)
digest = hashlib.sha256()
for passage in net.packets:
    digest.update(repr(passage).encode())
for node in nodes:
    digest.update(repr(node.events).encode())
print(len(net.packets), digest.hexdigest())
"""


def test_a_session_is_the_same_byte_for_byte_whatever_the_hash_seed():
    printed = {
        subprocess.run(
            [sys.executable, "-c", SESSION],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4294967295")
    }
    assert len(printed) == 1
    assert int(printed.pop().split()[0]) > 100


BUSY = """
import hashlib
from sansice.machine import Address, OpenSocket, SendDatagram, SocketId, SocketOptions, Transport
from sansice.simulation import Bursts, Link, Network
from simulation._machines import Peer

net = Network(seed=5, latency=0.02, jitter=0.02, duplication=0.1)
digest, lines = hashlib.sha256(), []
net.watch(lambda passage: lines.append(repr(passage)))
server = net.host("server", "192.0.2.1", "2001:db8::1", downlink=Link(bandwidth=1e6, queue=20_000, mtu=1400))
servers = [server.run(Peer(address, 1, echo=True)) for address in server.addresses]
router = net.router("core", link=Link(bursts=Bursts.of(loss=0.1, length=3)))
router.refuse("198.51.100.0/24")
members = []
for n in (1, 2):
    lan = net.segment(f"LAN {n}", f"10.{n}.0.0/16", f"2001:db8:{n}::/48", behind=router, link=Link(mtu=1300))
    for k in range(5):
        host = net.host(f"host {n} {k}", f"10.{n}.0.{k + 2}", f"2001:db8:{n}::{k + 2}", behind=lan)
        options = SocketOptions(multicast_groups=("224.0.0.251",), reuse_port=True)
        for address in host.addresses:
            node = host.run(Peer(address))
            if ":" not in address:
                action = OpenSocket(SocketId(2), Transport.UDP, Address(address, 5353), None, options)
                node.call(node.machine.do, action, SendDatagram(SocketId(2), Address("224.0.0.251", 5353), b"who?"))
                node.call(node.machine.send, Address("198.51.100.1", 9), b"refused")
            for size in (10, 1000, 3000):
                to = Address("2001:db8::1" if ":" in address else "192.0.2.1", 1)
                node.call(node.machine.send, to, bytes(size))
        net.at(0.5 + k / 100, host.interface(host.addresses[0]).down)
        net.at(0.6, lambda host=host: host.sleep(0.5))
net.run()
print(len(lines), len(net.lost), hashlib.sha256("".join(lines).encode()).hexdigest())
"""


def test_queues_bursts_fragments_groups_and_routers_are_the_same_byte_for_byte_whatever_the_hash_seed():
    printed = {
        subprocess.run(
            [sys.executable, "-c", BUSY],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4294967295")
    }
    assert len(printed) == 1
    lines, losses, _ = printed.pop().split()
    assert int(lines) > 500
    assert int(losses) >= 5


def test_without_a_trace_nothing_is_kept():
    net = crowd()
    net.run()
    assert list(net.packets) == []
    assert net.lost[Fate.LOST] > 0


def test_the_trace_keeps_the_last_lines():
    net = crowd(trace=3)
    net.run()
    assert len(net.packets) == 3
    assert net.packets[-1].time == net.now


def test_a_function_of_the_test_makes_packets_vanish():
    net = Network(trace=10)
    server = net.host("server", "192.0.2.1").run(Peer("192.0.2.1", 1))
    node = net.host("A", "198.51.100.1").run(Peer("198.51.100.1"))
    assert net.drop is None
    net.drop = lambda packet: packet.data.startswith(b"secret")
    for data in (b"secret 1", b"plain", b"secret 2"):
        node.call(node.machine.send, SERVER, data)
    net.run()
    assert [event.data for _, event in server.events if isinstance(event, Received)] == [b"plain"]
    assert net.lost == {Fate.DROPPED: 2}
    net.drop = None
    node.call(node.machine.send, SERVER, b"secret 3")
    net.run()
    assert server.events[-1][1].data == b"secret 3"


def test_the_tests_fault_sees_a_packet_with_the_addresses_it_has_there():
    net, seen = Network(), []
    net.host("server", "192.0.2.1").run(Peer("192.0.2.1", 1))
    node = net.host("A", "10.0.0.2", behind=net.nat("203.0.113.1")).run(Peer("10.0.0.2"))
    net.drop = lambda packet: seen.append(packet.source.host) is not None
    node.call(node.machine.send, SERVER, b"x")
    net.run()
    assert seen == ["10.0.0.2", "203.0.113.1"]


def test_an_action_happens_at_its_time():
    net, seen = Network(start=1.0), []
    net.at(2.5, lambda: seen.append(net.now))
    net.at(1.0, lambda: seen.append(net.now))
    net.run()
    assert seen == [1.0, 2.5]


@pytest.mark.parametrize("when", [0.5, float("nan")])
def test_an_action_in_the_past_is_refused(when):
    net = Network(start=1.0)
    with pytest.raises(ValueError, match=r"in the past: it is 1\.0 s"):
        net.at(when, lambda: None)


def test_an_action_that_never_happens_is_refused():
    with pytest.raises(ValueError, match="inf s never comes"):
        Network().at(float("inf"), lambda: None)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf")])
def test_a_network_begins_at_a_time(time):
    with pytest.raises(ValueError, match=f"start must be a number of seconds, not {time}"):
        Network(start=time)
    with pytest.raises(ValueError, match=f"unix must be a number of seconds, not {time}"):
        Network(unix=time)


def test_a_run_until_no_time_is_refused():
    with pytest.raises(ValueError, match="until must be a time, not nan"):
        Network().run(until=float("nan"))


def test_a_run_tells_whether_the_condition_held():
    net = Network(start=1.0)
    net.at(2.0, lambda: None)
    assert net.run(when=lambda: net.now == 2.0)
    assert not net.run(until=9.0, when=lambda: net.now > 100)
    assert net.now == 9.0
    assert not net.run()


def test_an_exception_tells_the_seed():
    net = Network(seed=77)
    net.at(1.0, lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError) as raised:
        net.run()
    assert raised.value.__notes__ == ["raised at virtual time 1.0 s", "in a network with the seed 77"]


def test_the_link_of_the_internet_is_what_the_arguments_say():
    net = Network(latency=0.1, jitter=0.2, loss=0.3, duplication=0.4, reordering=0.5, hold=0.6)
    assert net.internet.link == Link(latency=0.1, jitter=0.2, loss=0.3, duplication=0.4, reordering=0.5, hold=0.6)
    with pytest.raises(ValueError, match="latency"):
        Network(latency=-1.0)


def test_packets_show_in_hex():
    net = Network(trace=10)
    node = net.host("A", "198.51.100.1").run(Peer("198.51.100.1", 5))
    net.host("B", "192.0.2.1")
    node.call(node.machine.send, SERVER, b"\x00\xff")
    net.run()
    assert [repr(passage.packet) for passage in net.packets] == [
        "<198.51.100.1:5 > 192.0.2.1:1: 00ff>",
        "<198.51.100.1:5 > 192.0.2.1:1: 00ff>",
        "<192.0.2.1:0 > 198.51.100.1:5: ICMP 3/3 about 192.0.2.1:1>",
        "<192.0.2.1:0 > 198.51.100.1:5: ICMP 3/3 about 192.0.2.1:1>",
    ]


def test_a_watcher_is_told_as_it_happens_what_the_trace_keeps():
    net, seen = crowd(seed=3, trace=100_000), []
    net.watch(seen.append)
    net.watch(lambda passage: seen[-1] is not passage or 1 // (passage.time == net.now))
    net.run()
    assert seen == list(net.packets)
    assert len(seen) > 300


def test_a_watcher_needs_no_trace():
    net, seen = crowd(seed=3), []
    net.watch(seen.append)
    net.run()
    assert len(seen) > 300
    assert not net.packets


def test_the_trace_names_the_interfaces_at_which_packets_were_seen():
    net = Network(trace=100)
    net.host("server", "192.0.2.1").run(Peer("192.0.2.1", 1, echo=True))
    node = net.host("alice", "198.51.100.1").run(Peer("198.51.100.1"))
    for port in (1, 2):
        node.call(node.machine.send, SERVER._replace(port=port), b"x")
        net.run()
    alice, server = "alice 198.51.100.1", "server 192.0.2.1"
    assert [(passage.fate, passage.interface) for passage in net.packets] == [
        (Fate.SENT, alice),
        (Fate.DELIVERED, server),
        (Fate.SENT, server),
        (Fate.DELIVERED, alice),
        (Fate.SENT, alice),
        (Fate.CLOSED_PORT, server),
        (Fate.SENT, server),
        (Fate.DELIVERED, alice),
    ]


def test_a_network_says_when_the_next_thing_happens():
    net = Network(latency=0.5)
    assert net.next_time == float("inf")
    net.at(2.0, lambda: None)
    assert net.next_time == 2.0
    net.run()
    assert (net.now, net.next_time) == (2.0, float("inf"))
