"""Deviations: what may go otherwise than by the clock at one step of a run; schedules, and both as JSON."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, TypeAlias

import attrs

_MOST = sys.float_info.max  # a whole number may be more

FOR_GOOD = -1  # as the amount of LOSE: everything from here on


class DeviationKind(enum.Enum):
    """What may be done at a step. The values are the words of schedule files.

    LOSE: this packet does not arrive, nor do the next ``amount`` - 1 ones to the same place; all of them if
    ``amount`` is -1: the direction is dead.
    COPY: this packet arrives once more, after ``amount`` further happenings at its place.
    HOLD: this packet, or timer, comes after the next ``amount`` happenings at its place.
    HURRY: the packet that is ``amount`` places behind in time comes before this happening.
    LATE: this timer fires ``amount`` seconds late, as on a laptop that slept.
    REPLAY: a stranger has seen this packet and sends it, too, from an address of his own; he is faster, or comes after
    ``amount`` happenings at its place.
    FORGE: a stranger who does not know the password writes what looks like this packet, with its source, and is faster;
    if ``amount`` is 1 the packet itself is lost.
    FAULT: something that the world calls ``name`` happens first: a NAT reboots, an agent is killed.
    """

    LOSE = "lose"
    COPY = "copy"
    HOLD = "hold"
    HURRY = "hurry"
    LATE = "late"
    REPLAY = "replay"
    FORGE = "forge"
    FAULT = "fault"


@attrs.frozen(order=True)
class Deviation:
    """One deviation from what the clock says.

    Attributes:
        step: at which happening of the run, counted from 0.
        kind: what is done.
        amount: see `DeviationKind`.
        name: of a fault.
    """

    step: int
    kind: DeviationKind = attrs.field(order=lambda kind: kind.value)
    amount: float = 1
    name: str = ""

    def __str__(self) -> str:
        return f"step {self.step}: {self._words}"

    @property
    def _words(self) -> str:
        if self.kind is DeviationKind.LOSE and self.amount == -1:
            return "lose this packet and all that follow it to this place"
        if self.kind is DeviationKind.FORGE and self.amount:
            return "a stranger forges this packet without the password, and the true one is lost"
        return _WORDS[self.kind].format(amount=self.amount, name=self.name)

    def to_json(self) -> dict[str, Any]:
        """As the values that JSON has."""
        fields: dict[str, Any] = {"step": self.step, "kind": self.kind.value}
        if self.kind is DeviationKind.FAULT:
            return {**fields, "name": self.name}
        return {**fields, "amount": self.amount}

    @classmethod
    def from_json(cls, fields: object) -> Deviation:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else; the text names what.
        """
        if not isinstance(fields, dict):
            raise ValueError(f"a deviation is an object, not {fields!r:.60}")
        step, amount, name = fields.get("step"), fields.get("amount", 1), fields.get("name", "")
        if type(step) is not int or step < 0:
            raise ValueError(f"step: a number from 0 on, not {step!r:.60}")
        try:
            kind = DeviationKind(fields.get("kind"))
        except ValueError:
            kinds = ", ".join(one.value for one in DeviationKind)
            raise ValueError(f"kind: one of {kinds}, not {fields.get('kind')!r:.60}") from None
        if type(amount) not in (int, float) or not (0 <= amount <= _MOST or (kind is DeviationKind.LOSE and amount == -1)):
            raise ValueError(f"amount: a number from 0 on, or -1 to lose everything, not {amount!r:.60}")
        if not isinstance(name, str) or bool(name) != (kind is DeviationKind.FAULT):
            raise ValueError(f"name: a fault has one and nothing else has, not {name!r:.60}")
        return cls(step, kind, amount, name)


_WORDS = {
    DeviationKind.LOSE: "packets lost from this one on, to this place: {amount}",
    DeviationKind.COPY: "a copy of this packet comes after {amount} more happenings at its place",
    DeviationKind.HOLD: "hold this back until {amount} more things have happened at its place",
    DeviationKind.HURRY: "the packet {amount} behind comes first",
    DeviationKind.LATE: "this timer fires {amount} s late",
    DeviationKind.REPLAY: "a stranger replays this packet from an address of his own (after {amount} happenings at its place)",
    DeviationKind.FORGE: "a stranger forges this packet without the password",
    DeviationKind.FAULT: "{name}",
}

Schedule: TypeAlias = tuple[Deviation, ...]
"""The deviations of a run, by step; no two at one step."""


def counted(number: int, noun: str) -> str:
    """A number and what it counts: ``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def schedule_of(deviations: Iterable[Deviation]) -> Schedule:
    """In order.

    Raises:
        ValueError: two at one step.
    """
    ordered = tuple(sorted(deviations, key=lambda deviation: deviation.step))
    for one, two in pairwise(ordered):
        if one.step == two.step:
            raise ValueError(f"step {one.step} has two deviations: {one.kind.value} and {two.kind.value}")
    return ordered
