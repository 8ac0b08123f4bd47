"""Running a scene, and what is said of the run."""

import os
import subprocess
import sys

import attrs
import pytest

from sansice.ice import GatheringCompleted, IceState, IceStateChanged, PairSelected
from sansice.simulation import (
    AgentSpec,
    At,
    Expectation,
    Fate,
    Link,
    LinkChanged,
    NatSpec,
    SimulationError,
    simulate,
)
from simulation._scenes import two_homes

SYMMETRIC = (NatSpec("home A", "203.0.113.1", "symmetric"), NatSpec("home B", "198.51.100.1", "symmetric"))


def test_two_homes_connect_and_echo():
    run = simulate(two_homes())
    assert (run.connected, run.lasted, run.pair_types, run.sent, run.echoed) == (True, True, ("srflx-srflx",), 3, 3)
    assert run.scene == two_homes()
    assert run.surprises == ()


def test_setup_time_is_the_sum_of_what_takes_time():
    # A query and its answer, a description by signalling, a check that a NAT drops, one that passes after Ta, its answer, and
    # the nominating check with its answer; and what the Internet takes for each.
    slow = simulate(two_homes(internet=Link(latency=0.1), signalling=0.5))
    fast = simulate(two_homes(internet=Link(latency=0.02), signalling=0.5))
    late = simulate(two_homes(internet=Link(latency=0.1), signalling=1.5))
    assert slow.setup_ms is not None and fast.setup_ms is not None and late.setup_ms is not None
    assert late.setup_ms - slow.setup_ms == pytest.approx(1000.0)
    assert slow.setup_ms > fast.setup_ms > 500.0


def test_setup_time_counts_from_the_first_start():
    agents = two_homes().agents
    run = simulate(two_homes(agents=(attrs.evolve(agents[0], start=3.0), attrs.evolve(agents[1], start=5.0))))
    times = [time for time, _, event in run.events if type(event) is PairSelected]
    assert run.setup_ms == pytest.approx(1000 * (max(times) - 3.0))


def test_hopeless_scene_fails_and_says_so():
    run = simulate(two_homes(nats=SYMMETRIC))
    assert (run.connected, run.lasted, run.setup_ms, run.pair_types, run.sent) == (False, False, None, (), 0)
    assert run.surprises == ("not connected, and connected was expected",)
    assert [agent.state for agent in run.agents.values()] == [IceState.FAILED, IceState.FAILED]


@pytest.mark.parametrize("late", [0, 1])
def test_hopeless_scene_is_over_once_both_ends_have_failed(late):
    agents = [attrs.evolve(agent, start=5.0 * (number == late)) for number, agent in enumerate(two_homes().agents)]
    run = simulate(two_homes(nats=SYMMETRIC, agents=tuple(agents)))
    assert [agent.state for agent in run.agents.values()] == [IceState.FAILED, IceState.FAILED]
    failed = [time for time, _, event in run.events if isinstance(event, IceStateChanged) and event.new is IceState.FAILED]
    assert failed[0] < failed[1] == run.network.now


def test_expected_failure_is_no_surprise():
    assert simulate(two_homes(nats=SYMMETRIC, expect=Expectation(connected=False))).surprises == ()


def test_connection_against_expectation_is_a_surprise():
    run = simulate(two_homes(expect=Expectation(connected=False)))
    assert run.surprises == ("connected, and not connected was expected",)


def test_another_pair_than_expected_is_a_surprise():
    run = simulate(two_homes(expect=Expectation(pair_types=("host-host", "prflx-prflx"))))
    assert run.surprises == ("connected over srflx-srflx, and host-host or prflx-prflx was expected",)


CUT = (At(20.0, LinkChanged("internet", Link(loss=1.0))),)


def test_connection_that_is_lost_is_a_surprise():
    run = simulate(two_homes(changes=CUT))
    assert (run.connected, run.lasted) == (True, False)
    assert run.surprises == ("no longer connected at the end, and still connected was expected",)
    assert run.network.now == 65.0


def test_connection_that_lasts_against_expectation_is_a_surprise():
    run = simulate(two_homes(expect=Expectation(lasts=False)))
    assert run.surprises == ("still connected at the end, and no longer connected was expected",)


def test_data_that_does_not_come_back_is_a_surprise_and_not_waited_for_long():
    world = two_homes(payload=1400).build()
    world.network.drop = lambda packet: len(packet.data) == 1400
    run = world.run()
    assert run.surprises == ("no data came back: 12 datagrams were sent",)
    assert run.network.now < 7.0


def test_run_stops_where_it_is_told_to():
    run = simulate(two_homes(), until=0.1)
    assert (run.network.now, run.connected) == (0.1, False)


def test_run_goes_on_for_the_duration():
    run = simulate(two_homes(duration=100.0))
    assert (run.network.now, run.lasted) == (100.0, True)


def test_network_without_agents_runs_and_connects_nobody():
    run = simulate(two_homes(agents=()))
    assert (run.connected, run.setup_ms, run.events, run.packets) == (False, None, (), 0)


def two_couples(*, start=0.0, servers="stun:192.0.2.9"):
    """Two couples; of the second, both begin at ``start`` and ask these servers."""

    def agent(name, host, peer, controlling=False, ice_servers="stun:192.0.2.9", start=0.0):
        return AgentSpec(host, name=name, peer=peer, controlling=controlling, ice_servers=ice_servers, start=start)

    return two_homes(
        agents=(
            agent("ann", "alice", "bill", True),
            agent("bill", "bob", "ann"),
            agent("cora", "alice", "dan", True, servers, start),
            agent("dan", "bob", "cora", False, servers, start),
        )
    )


def test_couples_are_connected_once_the_last_one_is():
    early, late = simulate(two_couples()), simulate(two_couples(start=3.0))
    assert early.setup_ms is not None and late.setup_ms is not None
    assert late.setup_ms > 3000.0 > early.setup_ms


def test_couples_are_not_connected_where_one_is_not():
    run = simulate(two_couples(servers=()))  # behind two NATs, without a server
    assert (run.connected, run.lasted, run.setup_ms) == (False, False, None)
    assert run.pair_types == ("srflx-srflx",)


def test_a_connection_lasts_only_where_both_ends_still_have_it():
    world = two_homes().build()
    run = world.run()
    assert (run.connected, run.lasted) == (True, True)
    for name in ("bob", "alice"):
        world = two_homes().build()
        world.run()
        world.nodes[name].call(world.agents[name].close)
        run = world.run(until=world.network.now)
        assert (run.connected, run.lasted) == (True, False)


def test_two_couples_connect_side_by_side():
    run = simulate(two_couples())
    assert (run.connected, run.sent, run.echoed) == (True, 6, 6)
    assert run.pair_types == ("srflx-srflx", "srflx-srflx")
    assert list(run.agents) == ["ann", "bill", "cora", "dan"]


def test_agents_that_both_want_to_control_connect():
    agents = two_homes().agents
    run = simulate(two_homes(agents=(agents[0], attrs.evolve(agents[1], controlling=True))))
    assert run.surprises == ()


def test_events_are_in_order_and_say_whose_they_are():
    run = simulate(two_homes())
    assert [time for time, _, _ in run.events] == sorted(time for time, _, _ in run.events)
    assert [name for _, name, event in run.events if type(event) is GatheringCompleted] == ["alice", "bob"]


def test_observers_see_the_packets_that_are_counted():
    seen = []
    run = simulate(two_homes(), observers=[seen.append])
    assert [passage.fate for passage in seen].count(Fate.SENT) == run.packets > 0


def test_trace_is_kept_when_it_is_asked_for():
    assert not simulate(two_homes()).network.packets
    assert len(simulate(two_homes(), trace=10).network.packets) == 10


def test_error_of_the_world_names_the_seed():
    def burst(passage):
        raise SimulationError("the observer has enough")

    with pytest.raises(SimulationError) as failed:
        simulate(two_homes(), seed="unlucky", observers=[burst])
    assert any("'unlucky'" in note for note in failed.value.__notes__)


PROGRAM = """
import hashlib
from sansice.simulation import scene, simulate

lines = []
for name in ("two-homes", "hotel", "lossy-wifi", "many-interfaces", "full-uplink"):
    run = simulate(scene(name), seed=5, observers=[lambda passage: lines.append(repr(passage))])
    lines.append(repr((run.setup_ms, run.pair_types, run.packets, run.events)))
print(hashlib.sha256("".join(lines).encode()).hexdigest())
"""


def test_same_seed_gives_the_same_bytes_under_any_hash_seed():
    def digest(hash_seed):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
        return run.stdout

    assert digest("0") == digest("1") == digest("12345")


def test_another_seed_gives_another_run():
    assert simulate(two_homes(), seed=1).events != simulate(two_homes(), seed=2).events
