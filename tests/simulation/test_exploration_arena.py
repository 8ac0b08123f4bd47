"""Arenas that cannot be, and whom rules are about."""

import attrs
import pytest

from mutants._worlds import plain
from sansice.ice import IceAgent
from sansice.simulation import Arena, BindingResponder, Deviation, DeviationKind, End, Harm, Invariant, Network, explore
from sansice.simulation._exploration._life_rules import DeadlinesAreAhead
from sansice.simulation._exploration._trial import run_schedule
from simulation._exploring import CONFIG


def test_an_arena_has_agents_times_and_places_that_make_sense():
    arena = plain()
    with pytest.raises(ValueError, match="agents: none"):
        Arena(arena.network, {})
    with pytest.raises(ValueError, match="until: a number of seconds from 0 on, not -1"):
        Arena(arena.network, arena.agents, until=-1)
    with pytest.raises(ValueError, match="settle: a number of seconds from 0 on, not inf"):
        Arena(arena.network, arena.agents, settle=float("inf"))
    with pytest.raises(ValueError, match="places: there is no agent 'C' among A, B"):
        Arena(arena.network, arena.agents, places={"203.0.113.1": "C"})
    with pytest.raises(ValueError, match="changes: 'dark' is a fault, too"):
        Arena(arena.network, arena.agents, faults={"dark": print}, changes={"dawn": print, "dark": print})


class AllIsCalm(Invariant):
    """No rule of agents: notes what was done to the network."""

    def ended(self, harm):
        return "all is calm" if harm == Harm() else "harm was done"


def test_a_change_is_tried_as_a_fault_is_and_does_no_harm():
    happened = []

    def world():
        arena = plain()
        return attrs.evolve(arena, changes={"the leaves fall": lambda: happened.append("leaves")})

    change, fault = (Deviation(3, DeviationKind.FAULT, name=name) for name in ("the leaves fall", "A is killed"))
    assert run_schedule(world, (change,), [AllIsCalm]).breach.finding == "all is calm"
    assert happened == ["leaves"]
    assert run_schedule(world, (fault,), [AllIsCalm]).breach.finding == "harm was done"
    explore(world, invariants=[DeadlinesAreAhead], depth=1, budget=40)
    assert len(happened) > 1


class Counts(Invariant):
    """Whose moments it was asked about."""

    subject = BindingResponder

    def __init__(self, ends):
        super().__init__(ends)
        self.asked = []

    def after(self, moment):
        self.asked.append((moment.end.name, moment.before, moment.authentic))


def with_a_server():
    """Two agents that ask a STUN server, which is observed as well."""
    net = Network(latency=0.02)
    server = net.stun_server("192.0.2.9")
    nodes = {"server": server}
    for name, address in (("A", "192.0.2.1"), ("B", "198.51.100.1")):
        host = net.host(name, address)
        nodes[name] = host.run(IceAgent(controlling=True, servers=["stun:192.0.2.9"], entropy=host.entropy))
        nodes[name].call(nodes[name].machine.gather, host.addresses)
    return Arena(net, nodes, until=1.0, settle=1.0)


def test_a_rule_is_asked_about_the_machines_that_it_knows_and_no_others():
    made = []

    def counts(ends):
        made.append(Counts(ends))
        return made[-1]

    assert run_schedule(with_a_server, (), [counts, DeadlinesAreAhead]).breach is None
    assert [end.name for end in made[0].ends] == ["server"]
    assert len(made[0].asked) >= 2
    assert {one[0] for one in made[0].asked} == {"server"}
    assert {one[1].drops for one in made[0].asked} == {0}
    assert not any(one[2] for one in made[0].asked)


def test_a_rule_that_knows_nobody_here_is_refused():
    ends = {"stun": End("stun", Network().stun_server("192.0.2.9"), CONFIG)}
    with pytest.raises(ValueError, match="stun runs BindingResponder, and DeadlinesAreAhead knows IceAgent only"):
        DeadlinesAreAhead(ends)
