"""A day of a phone: another network each 20 minutes, NATs that forget, one packet in twenty lost; and it is connected again."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from statistics import median
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import pytest

from sansice.ice import ConsentExpired, IceState
from sansice.simulation import (
    AgentSpec,
    At,
    HostSpec,
    InterfaceDown,
    InterfaceSpec,
    InterfaceUp,
    Link,
    NatRebooted,
    NatSpec,
    Scene,
    SceneWorld,
    StunServerSpec,
)

HOUR = 3600.0
DAY = 24 * HOUR
MOVE = 1200.0  # s from one network to the other, and back
REBOOT = 5.0  # s of a NAT
WIFI, CELLULAR = ("alice", "192.168.1.2"), ("alice", "10.64.0.2")
STUN = "stun:192.0.2.9"
# Consent lasts 30 s and an application's patience 5; a restart takes two descriptions and a few checks, some of them lost.
BACK_WITHIN = 60.0
CALM = 30.0
# Of each of two networks: with the address that the peer told of it and the one that the check came from.
PAIRS = 8


def moves() -> list[At]:
    """Wi-Fi at home and the cellular network take turns; half a second passes between them."""
    changes = []
    for number in range(1, int(DAY / MOVE)):
        left, joined = (WIFI, CELLULAR) if number % 2 else (CELLULAR, WIFI)
        changes += [At(number * MOVE, InterfaceDown(*left)), At(number * MOVE + 0.5, InterfaceUp(*joined))]
    return changes


REBOOTS = tuple(At(hour * HOUR + 700.0, NatRebooted(nat, REBOOT)) for hour, nat in ((3, "home B"), (8, "home A"), (15, "home B")))


def day_of(nomination: str, controlling: bool) -> Scene:
    """Alice has the phone, Bob is at home."""
    return Scene(
        name="a day of a phone",
        internet=Link(latency=0.03, jitter=0.02, loss=0.05),
        nats=(
            NatSpec("home A", "203.0.113.1"),
            NatSpec("carrier", "203.0.113.2", "symmetric"),
            NatSpec("home B", "198.51.100.1", "full-cone"),
        ),
        hosts=(
            HostSpec("alice", interfaces=(InterfaceSpec(WIFI[1], "home A"), InterfaceSpec(CELLULAR[1], "carrier", up=False))),
            HostSpec("bob", "192.168.7.2", behind="home B"),
        ),
        servers=(StunServerSpec("stun", "192.0.2.9"),),
        agents=(
            AgentSpec("alice", controlling=controlling, ice_servers=STUN, nomination=nomination, roams=True),
            AgentSpec("bob", controlling=not controlling, ice_servers=STUN, nomination=nomination, roams=True),
        ),
        changes=(*moves(), *REBOOTS),
    )


_NOT_ITS_OWN = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def size_of(machine: object) -> int:
    """Bytes of all that a machine holds on to; code and classes are nobody's, and entropy is the world's."""
    seen: dict[int, object] = {}
    waiting = [machine]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, _NOT_ITS_OWN):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return sum(map(sys.getsizeof, seen.values()))


def is_connected(world: SceneWorld) -> bool:
    """Both ends are, over one pair, and say so."""
    agents = world.agents.values()
    both = all(agent.state in (IceState.CONNECTED, IceState.COMPLETED) and agent.selected_pair for agent in agents)
    if not both:
        return False
    world.callers[0].compare()
    return all(program.agreed_on == program.selected for program in world.programs.values())


def wait_until_connected(world: SceneWorld, until: float) -> float:
    """When it was."""
    world.network.run(until=until, when=lambda: is_connected(world))
    return world.network.now


@pytest.mark.long
@pytest.mark.parametrize(("nomination", "controlling"), [("regular", True), ("renominating", False), ("renominating", True)])
def test_a_phone_is_connected_again_after_each_change_and_grows_by_nothing(nomination, controlling):
    world = day_of(nomination, controlling).build(seed=7)
    wait_until_connected(world, 60.0)
    changed = sorted(at.time for at in world.scene.changes if not isinstance(at.change, InterfaceUp))
    stays: list[list[int]] = []
    for start, end in zip(changed, [*changed[1:], DAY], strict=True):
        world.network.run(until=start + 1.0)
        back = wait_until_connected(world, start + BACK_WITHIN)
        assert is_connected(world), (start, [agent.explain() for agent in world.agents.values()])
        assert back < start + BACK_WITHIN
        world.network.run(until=end - CALM)
        wait_until_connected(world, end - 1.0)  # of two consent checks in a row both may be lost
        assert is_connected(world), end
        stays.append([size_of(agent) for agent in world.agents.values()])
    for time, name, event in lapses(world):
        assert any(0.0 < time - change < BACK_WITHIN for change in changed), (time, name, event)
    grown_by_nothing(stays)
    assert all(len(node.sockets) <= 2 for node in world.nodes.values())
    assert all(len(agent.pairs) <= PAIRS for agent in world.agents.values())


def lapses(world: SceneWorld) -> Iterable[tuple[float, str, ConsentExpired]]:
    """When consent ended, and whose."""
    for name, node in world.nodes.items():
        for time, event in node.events:
            if isinstance(event, ConsentExpired):
                yield time, name, event


def grown_by_nothing(stays: list[list[int]]) -> None:
    """An agent holds no more in the second half of the day than it did in the first, nor at its worst.

    But for the sizes of tables, and for what happens to be on its way when it is measured.
    """
    half = len(stays) // 2
    for agent in range(2):
        before, after = ([stay[agent] for stay in part] for part in (stays[:half], stays[half:]))
        assert median(after) <= 1.05 * median(before)
        assert max(after) <= 1.25 * max(before)
