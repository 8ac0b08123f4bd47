"""Agents of every kind in scenes: streams of components, lite ones, trickling ones, policies of nomination."""

import attrs
import pytest

from sansice.ice import CandidateGathered, CandidatesChosen, DataReceived, LiteAgent, Nomination, PairSelected, Restarted
from sansice.simulation import (
    AgentRestarted,
    AgentSpec,
    At,
    Expectation,
    HostSpec,
    InterfaceDown,
    InterfaceSpec,
    InterfaceUp,
    NominationKind,
    Scene,
    disagreement,
    predict,
    simulate,
)
from sansice.simulation._scene._program import GRACE, NOTICE
from sansice.sockets._links import CARRIER_GRACE
from sansice.sockets._network_watch import SETTLE
from simulation._scenes import two_homes


def both(**fields):
    """Two homes, and agents of one kind in both."""
    homes = two_homes()
    return attrs.evolve(homes, agents=tuple(attrs.evolve(agent, **fields) for agent in homes.agents))


def lite_server(**fields) -> Scene:
    """A caller at home, and a server that is a lite agent."""
    homes = two_homes()
    hosts = (homes.hosts[0], HostSpec("bob", "198.51.100.7"))
    return attrs.evolve(homes, nats=homes.nats[:1], hosts=hosts, agents=(homes.agents[0], AgentSpec("bob", lite=True, **fields)))


def test_each_component_of_each_stream_gets_a_pair_and_an_echo():
    run = simulate(both(streams=2, components=3))
    assert run.pair_types == ("srflx-srflx",) * 6
    assert (run.connected, run.lasted, run.sent, run.echoed) == (True, True, 6, 6)
    echoed = [(event.stream, event.component) for _, name, event in run.events if name == "bob" and type(event) is DataReceived]
    assert echoed == [(stream, component) for stream in (0, 1) for component in (1, 2, 3)]


def test_what_the_oracle_says_holds_for_each_component():
    homes = both(streams=2, components=2)
    assert disagreement(predict(homes), simulate(homes)) == ""
    hopeless = attrs.evolve(homes, nats=tuple(attrs.evolve(nat, preset="symmetric") for nat in homes.nats))
    assert not simulate(hopeless).connected
    assert "do not connect, and must" in disagreement(predict(homes), simulate(hopeless))


def test_agents_with_other_streams_or_components_are_no_couple():
    homes = two_homes()
    for fields in ({"streams": 2}, {"components": 2}):
        with pytest.raises(ValueError, match=r"^agents\[0\] 'alice': 'bob' has other streams or components$"):
            attrs.evolve(homes, agents=(attrs.evolve(homes.agents[0], **fields), homes.agents[1]))


def test_candidates_that_are_trickled_are_checked_before_the_servers_have_answered():
    silent = ("stun:192.0.2.9", "stun:192.0.2.77")
    whole, trickled = simulate(both(ice_servers=silent)), simulate(both(ice_servers=silent, trickle=True))
    assert whole.setup_ms is not None and whole.setup_ms > 3000.0
    assert trickled.setup_ms is not None and trickled.setup_ms < 1500.0
    assert trickled.connected
    told = [event.candidate for _, name, event in trickled.events if name == "alice" and type(event) is CandidateGathered]
    assert len(told) == 2
    assert all(candidate in trickled.agents["bob"].remote_candidates for candidate in told)


def test_what_is_trickled_before_the_start_waits_for_it():
    homes = both(trickle=True)
    late = attrs.evolve(homes, agents=(homes.agents[0], attrs.evolve(homes.agents[1], start=9.0)))
    assert simulate(late).connected


def test_one_end_may_trickle_alone():
    homes = both(trickle=True)
    half = attrs.evolve(homes, agents=(homes.agents[0], two_homes().agents[1]))
    assert simulate(half).connected


def test_lite_agent_is_found_by_a_full_one():
    run = simulate(lite_server())
    assert isinstance(run.agents["bob"], LiteAgent)
    assert (run.connected, run.lasted, run.pair_types, run.echoed) == (True, True, ("srflx-host",), 3)


def test_two_lite_agents_choose_their_pair():
    server = lite_server()
    hosts = (HostSpec("alice", "203.0.113.1"), server.hosts[1])
    run = simulate(
        attrs.evolve(server, nats=(), hosts=hosts, agents=(AgentSpec("alice", lite=True, controlling=True), server.agents[1]))
    )
    assert (run.connected, run.pair_types) == (True, ("host-host",))


def test_two_lite_agents_with_two_families_tell_each_other_what_they_chose():
    hosts = (HostSpec("alice", ("203.0.113.1", "2001:db8::1")), HostSpec("bob", ("198.51.100.7", "2001:db8::7")))
    agents = (AgentSpec("alice", lite=True, controlling=True, streams=2), AgentSpec("bob", lite=True, streams=2))
    run = simulate(attrs.evolve(lite_server(), nats=(), hosts=hosts, agents=agents))
    assert (run.connected, run.pair_types) == (True, ("host-host", "host-host"))
    assert [name for _, name, event in run.events if type(event) is CandidatesChosen] == ["alice", "alice"]
    assert {pair.remote.address.host for agent in run.agents.values() for pair in agent.pairs} == {"2001:db8::1", "2001:db8::7"}


@pytest.mark.parametrize("fields", [{"ice_servers": "stun:192.0.2.9"}, {"trickle": True}, {"nomination": "standby"}])
def test_lite_agent_that_does_more_is_refused(fields):
    with pytest.raises(ValueError, match=rf"^{next(iter(fields))}: not of a lite agent"):
        AgentSpec("bob", lite=True, **fields)


def test_nominations_have_the_names_of_their_policies():
    assert AgentSpec("alice", nomination="by-rtt").nomination.policy == Nomination(renominate=True, prefer_rtt=True)
    assert NominationKind.REGULAR.policy == Nomination()
    assert NominationKind.STANDBY.policy == Nomination(renominate=True, standby=True)
    with pytest.raises(ValueError, match="aggressive"):
        AgentSpec("alice", nomination="aggressive")
    run = simulate(both(nomination="renominating"))
    assert run.connected
    assert all("renomination" in agent.local_description.options for agent in run.agents.values())


@pytest.mark.parametrize("field", ["streams", "components"])
@pytest.mark.parametrize("count", [0, 17])
def test_number_that_is_none_is_refused(field, count):
    with pytest.raises(ValueError, match=rf"^{field}: {count} is outside 1\.\.16$"):
        AgentSpec("alice", **{field: count})


def test_kind_of_an_agent_is_kept_as_json():
    homes = both(streams=2, components=2, trickle=True, nomination="renominating")
    assert Scene.from_json(homes.to_json()) == homes
    assert '"nomination": "renominating"' in homes.to_json()
    assert Scene.from_json(lite_server().to_json()) == lite_server()


# ------------------------------------------------------------- restarts, and other networks


@pytest.mark.parametrize("fields", [{}, {"streams": 2, "components": 2}, {"trickle": True}, {"nomination": "renominating"}])
def test_restart_finds_new_pairs_and_is_answered_by_the_peer(fields):
    run = simulate(attrs.evolve(both(**fields), changes=(At(10.0, AgentRestarted("bob")),)))
    restarted = [(name, event.by_peer) for _, name, event in run.events if type(event) is Restarted]
    streams = fields.get("streams", 1)
    assert restarted == [("bob", False)] * streams + [("alice", True)] * streams
    assert (run.connected, run.lasted) == (True, True)
    late = [time for time, _, event in run.events if type(event) is PairSelected and time > 10.0]
    assert len(late) == 2 * streams * fields.get("components", 1)
    assert [program.restarts for program in run.world.programs.values()] == [0, 1]


def test_restarts_that_cross_become_one():
    run = simulate(attrs.evolve(both(), changes=(At(10.0, AgentRestarted("alice")), At(10.02, AgentRestarted("bob")))))
    assert (run.connected, run.lasted) == (True, True)
    assert len([event for _, _, event in run.events if type(event) is Restarted]) == 2


def test_lite_agent_is_restarted_by_its_peer_and_by_its_program():
    for name in ("alice", "bob"):
        run = simulate(attrs.evolve(lite_server(), changes=(At(10.0, AgentRestarted(name)),)))
        assert (run.connected, run.lasted) == (True, True)
        assert len([event for _, _, event in run.events if type(event) is Restarted]) == 2


def test_restart_of_nobody_is_refused():
    with pytest.raises(ValueError, match=r"^changes\[0\]: there is no agent 'carol'$"):
        attrs.evolve(two_homes(), changes=(At(10.0, AgentRestarted("carol")),))


@pytest.mark.parametrize("nomination", ["regular", "renominating"])
def test_phone_that_roams_is_connected_again(nomination):
    """Its address is another one from one second to the next, and its NAT is another one as well."""
    homes = both(nomination=nomination, roams=True)
    phone = HostSpec("alice", interfaces=(InterfaceSpec("192.168.1.2", "home A"), InterfaceSpec("203.0.113.77", up=False)))
    away = (At(20.0, InterfaceDown("alice", "192.168.1.2")), At(20.5, InterfaceUp("alice", "203.0.113.77")))
    run = simulate(attrs.evolve(homes, hosts=(phone, homes.hosts[1]), changes=away))
    assert (run.connected, run.lasted) == (True, True)
    assert {str(pair.local.address).partition(":")[0] for pair in run.world.callers[0].agreed_on.values()} == {"203.0.113.77"}


def local_hosts(world, name):
    return {local.host for local in world.nodes[name].sockets.values()}


def test_program_that_roams_waits_as_long_as_real_ones_for_an_interface_that_is_down():
    assert (NOTICE, GRACE) == (SETTLE, CARRIER_GRACE)
    world = both(roams=True).build()
    world.network.run(until=20.0)
    world.interfaces["alice", "192.168.1.2"].down()
    world.network.run(until=20.0 + NOTICE + GRACE - 0.001)
    assert local_hosts(world, "alice") == {"192.168.1.2"} and world.agents["alice"].selected_pair is not None
    world.network.run(until=20.0 + NOTICE + GRACE + 0.001)
    assert local_hosts(world, "alice") == set() and world.agents["alice"].selected_pair is None


def test_cable_that_is_back_in_a_moment_has_moved_nobody_and_the_next_time_is_waited_for_again():
    world = both(roams=True).build()
    world.network.run(until=20.0)
    alice, sockets = world.interfaces["alice", "192.168.1.2"], dict(world.nodes["alice"].sockets)
    for second in (20, 21):
        world.network.run(until=float(second))
        alice.down()
        world.network.run(until=second + NOTICE + GRACE / 2)
        alice.up()
    world.network.run(until=30.0)
    assert world.nodes["alice"].sockets == sockets and world.programs["alice"].restarts == 0


def test_address_that_has_been_replaced_is_gone_as_soon_as_that_is_noticed():
    world = both(roams=True).build()
    world.network.run(until=20.0)
    world.interfaces["alice", "192.168.1.2"].readdress("192.168.1.77")
    world.network.run(until=20.0 + NOTICE + 0.001)
    assert local_hosts(world, "alice") == {"192.168.1.77"}


def test_program_whose_agent_was_closed_looks_no_more():
    world = both(roams=True).build()
    world.network.run(until=5.0)
    world.nodes["alice"].call(world.agents["alice"].close)
    world.interfaces["alice", "192.168.1.2"].down()
    assert not world.run(until=30.0).lasted


def test_program_whose_agent_has_come_back_by_itself_restarts_nothing():
    world = both(roams=True).build()
    world.network.run(until=5.0)
    world.programs["alice"]._help()  # as planned while it was disconnected
    assert world.programs["alice"].restarts == 0
    assert world.agents["alice"].state.value == "completed"


def test_program_that_roams_restarts_its_agent_when_it_asks_for_that_and_not_before_it_has_an_address():
    world = both(roams=True).build()
    world.network.run(until=20.0)
    alice = world.interfaces["alice", "192.168.1.2"]
    alice.down()
    world.network.run(until=28.0)  # longer than the program's patience with an agent that is disconnected
    assert world.programs["alice"].restarts == 0 and world.agents["alice"].state.value == "disconnected"
    alice.up()
    world.network.run(until=29.0)
    assert world.programs["alice"].restarts == 1 and world.agents["alice"].state.value == "completed"
    world.programs["alice"]._begin_anew()  # as planned, and it is not needed any more
    assert world.programs["alice"].restarts == 1


def test_program_that_restarts_tells_its_agent_first_which_addresses_have_gone():
    """Or what came back for a moment, and was gathered from then, would be believed to be there."""
    phone = HostSpec("alice", interfaces=(InterfaceSpec("192.168.1.2", "home A"), InterfaceSpec("203.0.113.77", up=False)))
    homes = both(roams=True)
    world = attrs.evolve(homes, hosts=(phone, homes.hosts[1])).build()
    world.network.run(until=20.0)
    away = world.interfaces["alice", "203.0.113.77"]
    away.up()
    world.programs["alice"].restart()
    world.network.run(until=20.01)
    away.down()
    world.network.run(until=22.0)
    assert {local.host for local in world.nodes["alice"].sockets.values()} == {"192.168.1.2"}
    assert world.agents["alice"].state.value == "completed"


@pytest.mark.parametrize("ends", [False, True])
def test_program_that_owes_its_peer_an_answer_restarts_after_that(ends):
    """RFC 3264 4. Its peer would take the new credentials for the answer, and both would wait for another one for ever."""
    world = both(roams=True).build()
    world.network.run(until=20.0)
    alice, bob = world.programs["alice"], world.programs["bob"]
    alice.restart()
    world.network.run(until=20.01)
    bob.be_described(alice.agent.local_descriptions)
    bob.restart()
    assert bob.restarts == 0
    if ends:
        bob._describe()
        bob.node.call(bob.agent.close)
    world.network.run(until=40.0)
    assert bob.restarts == (0 if ends else 1)
    assert ends or [program.agent.state.value for program in (alice, bob)] == ["completed", "completed"]


def test_program_gathers_once_for_two_restarts_at_once():
    world = both(roams=True).build()
    world.network.run(until=20.0)
    alice, ufrag = world.programs["alice"], world.agents["alice"].credentials.ufrag
    alice.restart()
    alice._restarted = True
    alice._gather_again()
    alice._restarted = True
    alice._gather_again()
    world.network.run(until=25.0)
    assert world.agents["alice"].state.value == "completed" and world.agents["alice"].credentials.ufrag != ufrag


def test_changes_of_interfaces_that_come_at_once_are_looked_at_once_and_no_change_is_none():
    world = both(roams=True).build()
    world.network.run(until=20.0)
    for _ in range(5):
        world.interfaces["alice", "192.168.1.2"].down()
        world.interfaces["alice", "192.168.1.2"].up()
    world.network.run(until=21.0)
    assert world.agents["alice"].state.value == "completed" and world.programs["alice"].restarts == 0


def test_agents_that_talk_are_not_echoed_and_note_how_long_they_hear_nothing():
    world = both(talks=0.02).build()
    assert {program.silence_until for program in world.programs.values()} == {0.0}
    world.network.run(until=20.0)
    assert all(0.02 <= program.silence < 0.3 for program in world.programs.values())
    world.interfaces["alice", "192.168.1.2"].down()
    world.network.run(until=23.0)
    world.interfaces["alice", "192.168.1.2"].up()
    assert all(program.silence < 0.3 for program in world.programs.values())
    assert all(2.9 <= program.silence_until < 3.3 for program in world.programs.values())
    world.network.run(until=24.0)
    assert all(2.9 <= program.silence < 3.3 and 19.9 < program.silence_at < 20.1 for program in world.programs.values())
    world.nodes["alice"].call(world.agents["alice"].close)
    world.network.run(until=25.0)


def test_scene_in_which_it_is_silent_for_longer_than_expected_has_a_surprise():
    scene = attrs.evolve(both(talks=0.5), expect=Expectation(silence=0.2), duration=10.0)
    surprises = simulate(scene).surprises
    assert len(surprises) == 2 and "alice heard nothing for 0.5" in surprises[0]
