"""The ground of a network: numbers drawn from the seed, and how little an idle host weighs."""

import gc
import tracemalloc

from sansice.simulation import Network
from sansice.simulation._world._world import World
from simulation._machines import Peer

IDLE_HOST = 4096  # bytes


def world(seed=1):
    return World(seed=seed, start=0.0, unix=0.0, icmp=True, trace=0)


def test_what_is_drawn_depends_on_the_seed_the_label_and_the_count_alone():
    assert world().draw("ports", 1, 1000) == world().draw("ports", 1, 1000)
    draws = {world(seed).draw(label, count, 2**64) for seed in (1, "1a") for label in ("a", "b") for count in (1, 2)}
    assert len(draws) == 8
    assert world().random("a").random() == world().random("a").random() != world().random("b").random()


def test_datagrams_that_are_cut_are_numbered_in_16_bits():
    ground = world()
    idents = [ground.next_ident() for _ in range(0x10001)]
    assert idents[:2] == [1, 2]
    assert idents[0xFFFE:] == [0xFFFF, 0, 1]


def test_ten_thousand_hosts_live_in_one_world_and_an_idle_one_takes_less_than_4_kb():
    net = Network()
    nats = [net.nat(f"203.0.{n // 250}.{n % 250 + 1}") for n in range(100)]
    gc.collect()
    tracemalloc.start()
    for n in range(10_000):
        net.host(f"host {n}", f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", behind=nats[n % 100])
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken / 10_000 < IDLE_HOST


def test_ten_thousand_hosts_talk_at_once():
    net = Network(latency=0.02)
    server = net.host("server", "192.0.2.1").run(Peer("192.0.2.1", 1, echo=True))
    nodes = [net.host(f"host {n}", f"10.0.{n // 256}.{n % 256}").run(Peer(f"10.0.{n // 256}.{n % 256}")) for n in range(10_000)]
    for node in nodes:
        node.call(node.machine.send, server.machine.local, b"x")
    net.run()
    assert all(len(node.events) == 2 for node in nodes)
    assert net.now == 0.04
