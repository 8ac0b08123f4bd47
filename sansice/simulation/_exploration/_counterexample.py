"""Counterexamples: schedules that break an invariant, as values, as text for a person, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import attrs

from sansice.simulation._scene._scene import Scene

from ._arena import MakeArena
from ._deviations import Deviation, Schedule, counted, schedule_of
from ._invariant import MakeInvariant
from ._invariants import INVARIANTS
from ._scenes import scene_arena
from ._trial import Breach, Run, run_schedule

VERSION = 1


class Readable(Protocol):
    """An open text file."""

    def read(self) -> str:
        """All of it."""
        ...


@attrs.frozen
class Counterexample:
    """A schedule under which an invariant does not hold.

    Attributes:
        world: the name of the world in which.
        scene: the scene that it was made of, if it was.
        schedule: the deviations, as few as were found to do.
        breach: what is broken, and the story of it.
    """

    world: str
    schedule: Schedule
    breach: Breach
    scene: Scene | None = None

    def __str__(self) -> str:
        title = f"{self.breach.invariant} is broken in {self.world}: {self.breach.finding}"
        count = f"{counted(len(self.schedule), 'deviation')}, {counted(self.breach.events, 'event')}:"
        return "\n".join([title, count, *self.breach.story])

    def to_json(self) -> str:
        """What `replay_schedule` reads."""
        fields: dict[str, Any] = {
            "sansice-schedule": VERSION,
            "world": self.world,
            "deviations": [deviation.to_json() for deviation in self.schedule],
            "invariant": self.breach.invariant,
            "finding": self.breach.finding,
            "events": list(self.breach.story),
        }
        if self.scene is not None:
            fields["scene"] = json.loads(self.scene.to_json())
        return json.dumps(fields, indent=1) + "\n"


def read_schedule(text: str) -> tuple[Scene | None, Schedule]:
    """The scene, if there is one, and the deviations in a schedule file.

    Raises:
        ValueError: it is none, or cut, or of another version, or a deviation is none; the text names the place.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"schedule: not JSON, or cut: {error}") from None
    version = fields.get("sansice-schedule") if isinstance(fields, dict) else None
    if version is None:
        raise ValueError("schedule: not a sansice schedule")
    if version != VERSION:
        raise ValueError(f"schedule: version {version!r:.20} is not version {VERSION}, which this sansice reads")
    listed = fields.get("deviations")
    if not isinstance(listed, list):
        raise ValueError("schedule: deviations: a list is missing")
    deviations: list[Deviation] = []
    for number, one in enumerate(listed):
        try:
            deviations.append(Deviation.from_json(one))
        except ValueError as error:
            raise ValueError(f"schedule: deviations[{number}]: {error}") from None
    try:
        schedule = schedule_of(deviations)
    except ValueError as error:
        raise ValueError(f"schedule: deviations: {error}") from None
    try:
        return Scene.from_json(json.dumps(fields["scene"])) if "scene" in fields else None, schedule
    except ValueError as error:
        raise ValueError(f"schedule: scene: {error}") from None


def replay_schedule(
    file: str | Readable, arena: MakeArena | None = None, *, invariants: Sequence[MakeInvariant] = INVARIANTS
) -> Run:
    """Run the schedule of a `Counterexample.to_json` again.

    Args:
        file: its text, or the file open for reading.
        arena: makes the world that it was found in; may be left out where that was a scene, which is in the file.
        invariants: those to try.

    Returns:
        The run; its ``breach`` has the story. It is ``None`` once the fault is mended.

    Raises:
        ValueError: not a schedule, cut, of another version; it names a fault that the arena has not; it was found in a
            world that is no scene, and there is no ``arena``.
    """
    scene, schedule = read_schedule(file if isinstance(file, str) else file.read())
    if arena is None:
        if scene is None:
            raise ValueError("schedule: found in a world that is no scene: say in which, with arena=")
        arena = partial(scene_arena, scene)
    return run_schedule(arena, schedule, invariants)
