"""Exploration of one scene, or of all."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from sansice.simulation import Counterexample, DepthCoverage, Exploration, Scene, explore
from sansice_cli._ended import EndedBySignalError

from ._interrupts import Interrupts
from ._progress import Progress, progress

RUNS = 10**9  # of one scene at most: the budget is a time


def run_exploration(scenes: Sequence[Scene], *, seconds: float, depth: int, seed: int, save: Path | None, as_json: bool) -> int:
    """Explore scene after scene, each with its share of the time; the exit code.

    Raises:
        EndedBySignalError: by a signal, after what is done was shown.
        click.ClickException: the counterexample cannot be written.
    """
    stream = sys.stderr if as_json else sys.stdout
    found: list[Exploration] = []
    with Interrupts(gently=True) as interrupts, progress(sys.stderr, "exploring") as shown:
        watch = _Watch(seconds, shown, interrupts)
        for number, scene in enumerate(scenes):
            watch.next(len(scenes) - number)
            found.append(explore(scene, depth=depth, budget=RUNS, seed=seed, stop=watch.stop))
            if found[-1].counterexample is not None or interrupts.caught is not None:
                break
    for exploration in found:
        click.echo(str(exploration), file=stream)
    counterexample = found[-1].counterexample
    if counterexample is not None and save is not None:
        _save(counterexample, save)
        click.echo(f"Saved; sansice replay {save} shows it again.", file=stream)
    if as_json:
        click.echo(json.dumps(_report(found, interrupted=interrupts.caught is not None)))
    if interrupts.caught is not None:
        raise EndedBySignalError(interrupts.caught)
    return 1 if counterexample is not None else 0


class _Watch:
    """Ends the exploration of each scene in time, and tells how far all is."""

    def __init__(self, seconds: float, shown: Progress, interrupts: Interrupts) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds
        self._ends = self._begun
        self._shown = shown
        self._interrupts = interrupts
        self._runs = 0

    def next(self, scenes_left: int) -> None:
        """Another scene begins: an equal share of what is left is its own."""
        now = time.monotonic()
        self._ends = now + max(0.0, self._begun + self._seconds - now) / scenes_left

    def stop(self) -> bool:
        """Asked before each run."""
        now = time.monotonic()
        self._runs += 1
        self._shown.show(min(1.0, (now - self._begun) / self._seconds), self._runs)
        return now >= self._ends or self._interrupts.caught is not None


def _save(counterexample: Counterexample, path: Path) -> None:
    try:
        path.write_text(counterexample.to_json(), "utf-8")
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None


def _report(found: Sequence[Exploration], *, interrupted: bool) -> dict[str, object]:
    return {
        "explorations": [_exploration(one) for one in found],
        "found": any(one.counterexample is not None for one in found),
        "interrupted": interrupted,
    }


def _exploration(one: Exploration) -> dict[str, object]:
    example = one.counterexample
    return {
        "scene": one.world,
        "runs": one.runs,
        "depths": [_depth(depth) for depth in one.depths],
        "walks": one.walks,
        "counterexample": None if example is None else json.loads(example.to_json()),
    }


def _depth(depth: DepthCoverage) -> dict[str, object]:
    return {**attrs.asdict(depth), "share": round(depth.share, 6)}
