"""What the programs around the agents do."""

from types import SimpleNamespace

import attrs

from sansice import Address
from sansice.ice import (
    Candidate,
    CandidateGathered,
    CandidatePair,
    DataReceived,
    IceState,
    PairSelected,
    PairState,
)
from sansice.simulation import At, HostSlept, Link, LinkChanged, simulate
from sansice.simulation._scene._program import is_same_pair
from simulation._scenes import two_homes


def test_descriptions_take_the_time_of_signalling():
    world = two_homes(signalling=2.0).build()
    world.network.run(until=2.0)
    assert not any(agent.remote_candidates for agent in world.agents.values())
    world.network.run(until=2.1)
    assert all(agent.remote_candidates for agent in world.agents.values())


def test_datagrams_have_the_size_of_the_scene():
    run = simulate(two_homes(payload=700))
    assert [len(event.data) for _, _, event in run.events if type(event) is DataReceived] == [700] * 6


def test_called_one_echoes_and_the_caller_does_not():
    run = simulate(two_homes())
    assert [name for _, name, event in run.events if type(event) is DataReceived].count("bob") == 3
    assert (run.sent, run.echoed) == (3, 3)


def test_data_goes_out_only_when_both_have_selected():
    run = simulate(two_homes())
    selected = max(time for time, _, event in run.events if type(event) is PairSelected)
    assert min(time for time, _, event in run.events if type(event) is DataReceived) > selected


def test_ends_that_have_selected_different_pairs_have_not_agreed():
    world = two_homes().build()
    world.run()
    program = world.programs["alice"]
    away = attrs.evolve(program.peer.selected[0, 1].local, address=Address("192.0.2.99", 9))
    program.peer = SimpleNamespace(selected={(0, 1): attrs.evolve(program.peer.selected[0, 1], local=away)}, agreed_on=None)
    program.agreed_on = None
    program.compare()
    assert program.agreed_on is program.peer.agreed_on is None


def test_echoes_that_are_out_are_asked_for_again():
    world = two_homes(payload=999).build()
    lost = iter([True, True, False])
    world.network.drop = lambda packet: len(packet.data) == 999 and next(lost, False)
    run = world.run()
    assert (run.sent, run.echoed) == (5, 3)


def test_description_that_comes_after_the_end_is_left_alone():
    world = two_homes(signalling=30.0).build()
    world.network.run(until=10.0)
    world.nodes["alice"].call(world.agents["alice"].close)
    world.network.run(until=40.0)
    assert world.agents["alice"].state is IceState.CLOSED


def test_description_that_comes_before_the_start_waits_for_it():
    late, bob = two_homes().agents
    run = simulate(two_homes(agents=(attrs.evolve(late, start=100.0), bob)))
    assert min(time for time, name, _ in run.events if name == "alice") >= 100.0
    assert run.connected


def test_program_whose_agent_was_closed_sends_no_more():
    world = two_homes().build()
    caller = world.callers[0]
    world.network.run(until=10.0, when=lambda: caller.sent == 1)
    world.nodes["alice"].call(world.agents["alice"].close)
    world.network.run(until=11.0)
    assert (caller.sent, caller.echoed) == (1, 0)


def test_program_whose_agent_was_closed_echoes_no_more():
    world = two_homes().build()
    told = world.nodes["bob"].events
    world.network.run(until=10.0, when=lambda: any(type(event) is DataReceived for _, event in told))
    world.nodes["bob"].call(world.agents["bob"].close)
    world.network.run(until=11.0)
    assert world.callers[0].echoed == 0


def test_program_of_a_sleeping_host_waits_until_it_wakes():
    agents = two_homes().agents
    late = two_homes(agents=(attrs.evolve(agents[0], start=2.0), agents[1]), changes=(At(1.0, HostSlept("alice", 8.0)),))
    run = simulate(late)
    began = [time for time, name, event in run.events if name == "alice" and type(event) is CandidateGathered]
    assert began[0] == 9.0
    assert (run.connected, run.echoed) == (True, 3)


def test_connection_that_comes_after_a_storm_is_one():
    storm = (At(0.0, LinkChanged("internet", Link(loss=1.0))), At(1.0, LinkChanged("internet", Link(latency=0.02))))
    run = simulate(two_homes(changes=storm))
    assert (run.connected, run.echoed) == (True, 3)


def pair(local, remote):
    def candidate(address):
        return Candidate.from_sdp(f"1 1 udp 1 {address} 5000 typ host")

    return CandidatePair(candidate(local), candidate(remote), 1, PairState.SUCCEEDED, True)


def test_ends_mean_the_same_pair_where_their_addresses_are_crosswise():
    assert is_same_pair(pair("192.0.2.1", "192.0.2.2"), pair("192.0.2.2", "192.0.2.1"))
    assert not is_same_pair(pair("192.0.2.1", "192.0.2.2"), pair("192.0.2.3", "192.0.2.1"))
    assert not is_same_pair(pair("192.0.2.1", "192.0.2.2"), pair("192.0.2.2", "192.0.2.3"))


def test_ends_mean_the_same_pair_where_families_are_translated_between_them():
    assert is_same_pair(pair("203.0.113.1", "64:ff9b::c000:202"), pair("192.0.2.2", "203.0.113.1"))
    assert not is_same_pair(pair("203.0.113.7", "64:ff9b::c000:202"), pair("192.0.2.2", "203.0.113.1"))
