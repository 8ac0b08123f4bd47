"""Arenas that cannot be, and what an end must be."""

import pytest

from mutants._worlds import plain
from sansice.simulation import Arena, End, Network
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


def test_only_ice_agents_can_be_judged():
    with pytest.raises(ValueError, match="stun runs BindingResponder, and invariants know IceAgent only"):
        End("stun", Network().stun_server("192.0.2.9"), CONFIG)
