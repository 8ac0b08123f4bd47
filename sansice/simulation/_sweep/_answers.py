"""The sessions of a sweep, and what is known of each when it is over."""

from __future__ import annotations

from typing import NamedTuple

from sansice.simulation._scene._simulate import simulate

from ._sweep import Sweep


class SweepAnswer(NamedTuple):
    """What became of one session. A tuple, because there are millions and they travel between processes.

    Attributes:
        point: its number in the sweep.
        seed: of the session.
        connected, lasted, setup_ms, packets, sent, echoed: see `SceneRun`.
        pair_types: those of `SceneRun`, with a comma between; "" where nothing connected.
    """

    point: int
    seed: int
    connected: bool
    lasted: bool
    setup_ms: float | None
    pair_types: str
    packets: int
    sent: int
    echoed: int


def run_sweep(sweep: Sweep, first: int = 0, stop: int | None = None) -> list[SweepAnswer]:
    """Run the sessions of a sweep from number ``first`` up to ``stop``, one after the other, in this process.

    Whoever wants more than one process gives each of them other sessions: the answers are the same.

    Args:
        sweep: what is run.
        first: the number of the first session.
        stop: that of the first one that is left out; all that there are, if this is.

    Raises:
        ValueError: there are no such sessions, or a scene with such values cannot be built.
        SimulationError: see `Network.run`; a note on it names the session, as on anything else that goes wrong.
    """
    stop = sweep.sessions if stop is None else stop
    if not 0 <= first <= stop <= sweep.sessions:
        raise ValueError(f"sessions {first} up to {stop}: there are {sweep.sessions}")
    answers: list[SweepAnswer] = []
    for point, seeds in sweep.split(first, stop):
        for seed in seeds:
            try:
                run = simulate(point.scene, seed=seed)
            except Exception as error:
                error.add_note(f"in {point}, with seed {seed}")
                raise
            answers.append(
                SweepAnswer(
                    point.number,
                    seed,
                    run.connected,
                    run.lasted,
                    run.setup_ms,
                    ",".join(run.pair_types),
                    run.packets,
                    run.sent,
                    run.echoed,
                )
            )
    return answers
