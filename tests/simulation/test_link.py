"""Links: delays and faults, at the rates that were asked for."""

import attrs
import pytest

from sansice.machine import Address
from sansice.simulation import Fate, Link, Packet
from sansice.simulation._world._link import Line
from sansice.simulation._world._world import World

PACKET = Packet(Address("192.0.2.1", 1), Address("192.0.2.2", 2), bytes(972))  # 1000 bytes on the wire


def line(seed=1, label="a", **link):
    return Line(World(seed=seed, start=0.0, unix=0.0, icmp=True, trace=0), label, Link(**link))


@pytest.mark.parametrize("name", ["latency", "jitter", "hold"])
@pytest.mark.parametrize("value", [-0.001, float("inf"), float("nan")])
def test_a_time_that_no_packet_takes_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number of seconds"):
        Link(**{name: value})


@pytest.mark.parametrize("name", ["loss", "duplication", "reordering"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a probability"):
        Link(**{name: value})


def test_a_link_without_faults_delays_by_its_latency_alone():
    plain = line(latency=0.25)
    assert plain.steady
    assert plain.cross(PACKET) == [0.25]


@pytest.mark.parametrize("fault", ["jitter", "loss", "duplication", "reordering"])
def test_a_link_with_any_fault_is_not_steady(fault):
    assert not line(**{fault: 0.5}).steady


def test_loss_and_duplication_come_at_their_rates():
    lossy, doubling = line(loss=0.3), line(duplication=0.2)
    assert 2850 < sum(lossy.cross(PACKET) is Fate.LOST for _ in range(10_000)) < 3150
    assert 1850 < sum(len(doubling.cross(PACKET)) == 2 for _ in range(10_000)) < 2150


def test_certain_loss_loses_all_and_certain_duplication_doubles_all():
    assert all(line(seed, loss=1.0).cross(PACKET) is Fate.LOST for seed in range(50))
    assert all(line(seed, duplication=1.0).cross(PACKET) == [0.0, 0.0] for seed in range(50))


def test_jitter_adds_up_to_its_measure_and_a_copy_has_its_own():
    jittery = line(latency=1.0, jitter=0.5, duplication=1.0)
    pairs = [jittery.cross(PACKET) for _ in range(1000)]
    delays = [delay for pair in pairs for delay in pair]
    assert 1.0 <= min(delays) < 1.01
    assert 1.49 < max(delays) <= 1.5
    assert all(first != second for first, second in pairs)


def test_reordering_holds_some_packets_back():
    reordering = line(latency=0.1, reordering=0.5, hold=0.4)
    delays = {delay for _ in range(100) for delay in reordering.cross(PACKET)}
    assert delays == {0.1, 0.5}


def test_the_same_seed_and_label_draw_the_same_and_others_differ():
    def run(seed, label):
        one = line(seed, label, jitter=1.0, loss=0.5)
        return [one.cross(PACKET) for _ in range(50)]

    assert run(1, "a") == run(1, "a")
    assert run(1, "a") != run(2, "a")
    assert run(1, "a") != run(1, "b")


def test_a_link_may_be_replaced_while_in_use():
    used = line(latency=0.1)
    used.link = attrs.evolve(used.link, loss=1.0)
    assert not used.steady
    assert used.cross(PACKET) is Fate.LOST
    used.link = Link(latency=0.2)
    assert used.steady
    assert used.cross(PACKET) == [0.2]


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_no_bandwidth_is_refused(value):
    with pytest.raises(ValueError, match="bandwidth must be a number of bits per second above 0"):
        Link(bandwidth=value)


@pytest.mark.parametrize("value", [67, 0, -1])
def test_an_mtu_that_no_router_may_have_is_refused(value):
    with pytest.raises(ValueError, match="mtu must be 68 bytes or more"):
        Link(mtu=value)


def test_a_queue_of_less_than_nothing_is_refused():
    with pytest.raises(ValueError, match="queue must be a number of bytes from 0 on, not -1"):
        Link(queue=-1)


def test_packets_leave_one_after_the_other_at_the_bandwidth():
    slow = line(latency=0.5, bandwidth=8000.0)
    assert [slow.cross(PACKET) for _ in range(3)] == [[1.5], [2.5], [3.5]]


def test_copies_have_waited_for_the_bandwidth_too():
    slow = line(latency=0.5, bandwidth=8000.0, duplication=1.0)
    assert [slow.cross(PACKET) for _ in range(2)] == [[1.5, 1.5], [2.5, 2.5]]


def test_the_queue_drains_with_time():
    slow = line(bandwidth=8000.0)
    slow.cross(PACKET)
    slow.cross(PACKET)
    slow._world.clock.run(1.5, None)
    assert slow.cross(PACKET) == [1.5]
    slow._world.clock.run(9.0, None)
    assert slow.cross(PACKET) == [1.0]


def test_a_packet_that_finds_no_room_in_the_queue_is_lost_as_such():
    slow = line(bandwidth=8000.0, queue=2500)
    assert [slow.cross(PACKET) for _ in range(4)] == [[1.0], [2.0], Fate.QUEUE_FULL, Fate.QUEUE_FULL]
    slow._world.clock.run(0.5, None)
    assert slow.cross(PACKET) == [2.5]


def test_an_idle_link_takes_a_packet_of_any_size():
    slow = line(bandwidth=8000.0, queue=0)
    assert [slow.cross(PACKET), slow.cross(PACKET)] == [[1.0], Fate.QUEUE_FULL]


def test_what_is_lost_behind_the_queue_has_taken_its_time():
    slow = line(bandwidth=8000.0, loss=1.0)
    assert slow.cross(PACKET) is Fate.LOST
    slow.link = Link(bandwidth=8000.0)
    assert slow.cross(PACKET) == [2.0]


def test_a_link_with_a_bandwidth_or_an_mtu_is_not_steady():
    assert not line(bandwidth=1e9).steady
    assert not line(mtu=1500).steady


def test_sizes_are_looked_at_from_the_first_mtu_on():
    plain = line()
    assert not plain._world.sizes_limited
    plain.link = Link(mtu=1500)
    assert plain._world.sizes_limited
