"""From a scene and a seed to what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from sansice.ice import CandidatePair, IceAgent, IceState
from sansice.machine import Event
from sansice.simulation._network import Network
from sansice.simulation._world._packets import Fate, Passage

from ._program import PROBE_INTERVAL, PROBES, Program
from ._scene import Scene
from ._scene_world import SceneWorld

ECHO_PATIENCE = 2.0  # s after the last probe: a satellite's round trip three times
SETTLING = 60.0  # s from the last start: 3 gathering, 39.5 patience (RFC 8863 4), 10 for a check that ended it
AFTERMATH = 45.0  # s after the last change: consent lives for 30 (RFC 7675 5.1)

Observer = Callable[[Passage], object]


@attrs.frozen(eq=False)
class SceneRun:
    """What became of a scene with one seed.

    Attributes:
        scene, seed: what ran.
        connected: whether all agents selected the same pair as their peers, at some time.
        lasted: whether all pairs selected are still in use at the end.
        setup_ms: virtual milliseconds from the first agent's start until the last couple agreed; ``None`` if one never did.
        pair_types: of the last pair of each couple that agreed, as ``local-remote`` seen from the agent that comes first.
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
    def agents(self) -> Mapping[str, IceAgent]:
        """The agents at the end, by name."""
        return self.world.agents

    @property
    def surprises(self) -> tuple[str, ...]:
        """How the run differs from what the scene says of its end; empty if it does not."""
        return tuple(_differences(self))


def simulate(
    scene: Scene, *, seed: int | str = 0, until: float | None = None, observers: Iterable[Observer] = (), trace: int = 0
) -> SceneRun:
    """Run a scene: agents gather, exchange descriptions, connect or fail, and exchange some data.

    Args:
        scene: what runs.
        seed: of everything random; the same seed gives the same run, byte for byte.
        until: virtual seconds to stop at. Left out: as `Scene.duration` says.
        observers: called with each line about packets, see `Network.watch`.
        trace: how many of these lines to keep, see `Network`.

    Raises:
        SimulationError: see `Network.run`.
    """
    world = scene.build(seed=seed, trace=trace)
    sent = _SentCounter()
    world.network.watch(sent)
    for observer in observers:
        world.network.watch(observer)
    run_to_end(world, until)
    return _report(world, sent.count)


class _SentCounter:
    """Counts the packets that leave hosts."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, passage: Passage) -> None:
        if passage.fate is Fate.SENT:
            self.count += 1


def run_to_end(world: SceneWorld, until: float | None = None) -> None:
    """Let a scene's time pass, as `simulate` does."""
    scene = world.scene
    started = max((agent.start for agent in scene.agents), default=0.0)
    if until is None and (scene.changes or scene.duration):
        until = max(scene.duration, started + SETTLING, *(at.ends + AFTERMATH for at in scene.changes))
    if until is not None:
        world.network.run(until=until)
    else:
        callers = world.callers
        world.network.run(until=started + SETTLING, when=lambda: all(_is_settled(caller) for caller in callers))


def _is_settled(caller: Program) -> bool:
    if caller.probed_at is not None:
        last = caller.probed_at + (PROBES - 1) * PROBE_INTERVAL
        return caller.echoed >= PROBES or caller.node.now() >= last + ECHO_PATIENCE
    return caller.agent.state is caller.peer.agent.state is IceState.FAILED


def _report(world: SceneWorld, packets: int) -> SceneRun:
    callers = world.callers
    agreed_at = [caller.agreed_at for caller in callers if caller.agreed_at is not None]
    connected = len(agreed_at) == len(callers) > 0
    started = min((agent.start for agent in world.scene.agents), default=0.0)
    return SceneRun(
        scene=world.scene,
        seed=world.network.seed,
        connected=connected,
        lasted=connected and all(_is_up(caller) and _is_up(caller.peer) for caller in callers),
        setup_ms=round(1000 * (max(agreed_at) - started), 3) if connected else None,
        pair_types=tuple(_pair_type(pair) for caller in callers if (pair := caller.agreed_on) is not None),
        packets=packets,
        sent=sum(caller.sent for caller in callers),
        echoed=sum(caller.echoed for caller in callers),
        events=tuple(_events(world)),
        world=world,
    )


def _is_up(program: Program) -> bool:
    return program.agent.state in (IceState.CONNECTED, IceState.COMPLETED)


def _pair_type(pair: CandidatePair) -> str:
    return f"{pair.local.type.value}-{pair.remote.type.value}"


def _events(world: SceneWorld) -> list[tuple[float, str, Event]]:
    events = [(time, name, event) for name, program in world.programs.items() for time, event in program.node.events]
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
    if run.lasted is not expect.lasts:
        yield f"{_lasted(run.lasted)} at the end, and {_lasted(expect.lasts)} was expected"


def _connected(connected: bool) -> str:
    return "connected" if connected else "not connected"


def _lasted(lasted: bool) -> str:
    return "still connected" if lasted else "no longer connected"
