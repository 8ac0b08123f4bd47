"""What became of a scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from sansice.ice import CandidatePair, IceAgent, IceState, LiteAgent
from sansice.machine import Event
from sansice.simulation._network import Network

from ._program import Program

if TYPE_CHECKING:
    from ._relay_call import RelayCall
    from ._scene import Scene
    from ._scene_world import SceneWorld


@attrs.frozen(eq=False)
class SceneRun:
    """What became of a scene with one seed.

    Attributes:
        scene, seed: what ran.
        connected: whether all agents selected the same pair as their peers, and data came back through all relays, at some
            time.
        lasted: whether all pairs selected are still in use at the end, and data still goes through relays.
        setup_ms: virtual milliseconds from the first agent's start until the last couple agreed; ``None`` if one never did.
        pair_types: of the last pair of each couple that agreed, as ``local-remote`` seen from the agent that comes first, and of
            each component of each stream where there are several; of a call, ``relay`` and how its client sees the far end.
        packets: how many packets left hosts, those of servers too.
        sent, echoed: how many datagrams of the application's left, and how many of them came back.
        events: what the agents told, as (virtual time, the agent's name, event), in order.
        world: as it is at the end.
    """

    scene: Scene
    seed: int | str
    connected: bool
    lasted: bool
    setup_ms: float | None
    pair_types: tuple[str, ...]
    packets: int
    sent: int
    echoed: int
    events: tuple[tuple[float, str, Event], ...] = attrs.field(repr=False)
    world: SceneWorld = attrs.field(repr=False)

    @property
    def network(self) -> Network:
        """The network at the end, with its trace if it kept one."""
        return self.world.network

    @property
    def agents(self) -> Mapping[str, IceAgent | LiteAgent]:
        """The agents at the end, by name."""
        return self.world.agents

    @property
    def surprises(self) -> tuple[str, ...]:
        """How the run differs from what the scene says of its end; empty if it does not."""
        return tuple(_differences(self))


def report(world: SceneWorld, packets: int) -> SceneRun:
    """What became of a scene by now, whose hosts sent so many packets."""
    callers = world.callers
    calls = list(world.calls.values())
    both: list[Program | RelayCall] = [*callers, *calls]
    agreed_at = [one.agreed_at for one in both if one.agreed_at is not None]
    connected = len(agreed_at) == len(both) > 0
    started = min(world.scene.starts, default=0.0)
    return SceneRun(
        scene=world.scene,
        seed=world.network.seed,
        connected=connected,
        lasted=connected
        and all(_is_up(caller) and _is_up(caller.peer) for caller in callers)
        and all(call.is_up for call in calls),
        setup_ms=round(1000 * (max(agreed_at) - started), 3) if connected else None,
        pair_types=(
            *(_pair_type(pair) for caller in callers for pair in caller.agreed_on.values()),
            *(call.pair_type for call in calls if call.agreed_at is not None),
        ),
        packets=packets,
        sent=sum(one.sent for one in both),
        echoed=sum(one.echoed for one in both),
        events=tuple(_events(world)),
        world=world,
    )


def _is_up(program: Program) -> bool:
    return program.agent.state in (IceState.CONNECTED, IceState.COMPLETED)


def _pair_type(pair: CandidatePair) -> str:
    return f"{pair.local.type.value}-{pair.remote.type.value}"


def _events(world: SceneWorld) -> list[tuple[float, str, Event]]:
    events = [(time, name, event) for name, node in world.nodes.items() for time, event in node.events]
    events.sort(key=lambda line: line[0])
    return events


def _differences(run: SceneRun) -> Iterator[str]:
    expect = run.scene.expect
    if run.connected is not expect.connected:
        yield f"{_connected(run.connected)}, and {_connected(expect.connected)} was expected"
        return
    if run.connected and expect.pair_types:
        for pair_type in run.pair_types:
            if pair_type not in expect.pair_types:
                yield f"connected over {pair_type}, and {' or '.join(expect.pair_types)} was expected"
    if run.connected and not run.echoed:
        yield f"no data came back: {run.sent} datagrams were sent"
    for name, program in run.world.programs.items():
        if program.silence_until > expect.silence:
            yield f"{name} heard nothing for {program.silence_until:.3f} s, and at most {expect.silence:g} s was expected"
    if run.lasted is not expect.lasts:
        yield f"{_lasted(run.lasted)} at the end, and {_lasted(expect.lasts)} was expected"


def _connected(connected: bool) -> str:
    return "connected" if connected else "not connected"


def _lasted(lasted: bool) -> str:
    return "still connected" if lasted else "no longer connected"
