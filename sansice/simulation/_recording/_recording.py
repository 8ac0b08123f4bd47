"""Recordings in memory, and as text."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import attrs

from sansice.machine import Action, Entropy, Event

from ._sink import Sink
from ._step import Made, Step, check_made, check_step
from ._values import Json, parse_untrusted, to_json

VERSION = 1


class Recording(Sink[Step]):
    """What `Recorded` writes to: an ordered list of steps, in memory.

    It holds all that the machine was given, secrets included; `scrub` makes one without.

    Args:
        entropy: where the bytes come from that the machine draws through `tap`.

    Attributes:
        steps: the machine's construction, then a step for every call.
        tap: construct the machine with this in place of its entropy.
        made: how the machine was constructed, where `make` did that.
    """

    __slots__ = ("steps",)

    def __init__(self, entropy: Entropy = os.urandom) -> None:
        super().__init__(entropy)
        self.steps: list[Step] = []

    def begin(self, method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Step:
        """A step begins: its arguments are kept as they are now.

        Raises:
            TypeError: an argument cannot be recorded.
        """
        forms = [to_json(one, strict=True) for one in arguments]
        return Step(method, forms, {name: to_json(one, strict=True) for name, one in keywords.items()})

    def end(self, begun: Step, result: object, raised: str, outputs: Sequence[Action | Event], deadline: float) -> None:
        """The step that began has ended."""
        begun.result = to_json(result, strict=False)
        begun.raised = raised
        begun.outputs = [to_json(output, strict=False) for output in outputs]
        begun.deadline = float(deadline)
        self.add(begun)

    def add(self, step: Step) -> None:
        """Finish a step with what was drawn and answered meanwhile."""
        drawn, step.answers = self._take_drawn()
        step.drawn = [one.hex() for one in drawn]
        self.steps.append(step)

    def to_json_lines(self) -> str:
        """The recording as text: a line with the version, then a line of JSON for every step."""
        header: dict[str, Json] = {"sansice-recording": VERSION}
        if self.made is not None:
            header["made"] = attrs.asdict(self.made, recurse=False)
        lines = [header, *(attrs.asdict(step, recurse=False) for step in self.steps)]
        return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)

    @classmethod
    def from_json_lines(cls, text: str) -> Recording:
        """Read what `to_json_lines` wrote.

        Raises:
            ValueError: not a recording, of another version, or cut or edited; the text names the line.
        """
        recording = cls()
        for number, line in enumerate(text.splitlines(), 1):
            try:
                fields = parse_untrusted(line.encode())
                if number == 1:
                    recording.made = _check_header(fields)
                else:
                    step = Step(**fields)
                    check_step(step)
                    recording.steps.append(step)
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} of the recording: {error}") from None
        if not recording.steps:
            raise ValueError("the recording is empty")
        return recording


def _check_header(fields: Json) -> Made | None:
    version = fields.get("sansice-recording") if isinstance(fields, dict) else None
    if version is None:
        raise ValueError("not a sansice recording")
    if version != VERSION:
        raise ValueError(f"version {version} is not version {VERSION}, which this sansice reads")
    made = fields.get("made")
    if made is None:
        return None
    recorded = Made(**made)
    check_made(recorded)
    return recorded
