"""What a replay shows where a machine does something else than it did: the first step, the state before it, each field."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

import attrs

from sansice.machine import Machine

from ._step import Step
from ._values import Json, without_secrets

_WIDTH = 400  # characters of a value that are shown
_AROUND = 8  # bytes shown before the first that differs, and as many after it


@attrs.frozen
class FieldDifference:
    """One place where two values differ.

    Attributes:
        path: where: "data", "candidates[1].address.port"; "" is the whole.
        expected, actual: the recorded and the replayed JSON form there; ``None`` also where there is nothing.
    """

    path: str
    expected: Json
    actual: Json

    def __str__(self) -> str:
        match self.expected, self.actual:
            case {"bytes": str(expected)}, {"bytes": str(actual)}:
                return f"{self.path}: {_bytes_beside(bytes.fromhex(expected), bytes.fromhex(actual))}"
        return f"{self.path}: recorded {_shown(self.expected)}, replayed {_shown(self.actual)}"


class ReplayDifference(Exception):
    """A replayed machine did something else than the recorded one.

    Attributes:
        index: of the step in the recording, the first that differs.
        step: the step.
        what: which of its fields differs.
        expected, actual: the field's recorded and replayed JSON form.
        fields: the places in it that differ.
        before: the machine's state before the step, for a person; "" where it has none.
    """

    def __init__(self, index: int, step: Step, what: str, expected: Json, actual: Json, before: str = "") -> None:
        super().__init__(index, what)
        self.index = index
        self.step = step
        self.what = what
        self.expected = expected
        self.actual = actual
        self.before = before

    @property
    def fields(self) -> list[FieldDifference]:
        """The places that differ."""
        return list(differences(self.expected, self.actual))

    def __str__(self) -> str:
        lines = [
            f"step {self.index}, {self.step}: {self.what} differs",
            f"  recorded: {_shown(self.expected)}",
            f"  replayed: {_shown(self.actual)}",
        ]
        if (fields := self.fields) and fields[0].path:
            lines += [f"  {field}" for field in fields]
        if self.before:
            lines += ["the state before it:", *(f"  {line}" for line in self.before.splitlines())]
        return "\n".join(lines)


def differences(expected: Json, actual: Json, path: str = "") -> Iterator[FieldDifference]:
    """The innermost places where two JSON forms differ."""
    if json.dumps(expected) == json.dumps(actual):  # not ==, to which 1 and True are the same
        return
    one, other = _parts(expected), _parts(actual)
    if one is None or other is None or _kind(expected) != _kind(actual):
        yield FieldDifference(path, expected, actual)
        return
    for name in dict.fromkeys((*one, *other)):
        inner = f"{path}{name}" if name.startswith("[") or not path else f"{path}.{name}"
        yield from differences(one.get(name), other.get(name), inner)


def _kind(form: Json) -> tuple[str, ...]:
    if isinstance(form, list):
        return ("list",)
    return tuple(str(form[key]) for key in ("class", "authentication") if key in form) or tuple(form)


def _parts(form: Json) -> dict[str, Json] | None:
    """What is in a form, by the names that a person has for it."""
    match form:
        case list(items) | {"tuple": list(items)}:
            return {f"[{index}]": item for index, item in enumerate(items)}
        case {"class": str(name), "items": list(items)}:
            return dict(zip(_field_names(name, len(items)), items, strict=True))
        case {"class": str(), "fields": dict(fields)}:
            return dict(fields)
        case {"map": list(items)}:
            return {f"[{json.dumps(item[0])}]": item[1] for item in items if isinstance(item, list) and len(item) == 2}
    return None


def _field_names(name: str, count: int) -> list[str]:
    names = _FIELDS.get(name.rpartition(":")[2], ())
    return list(names) if len(names) == count else [f"[{index}]" for index in range(count)]


_FIELDS = {
    "Address": ("host", "port"),
    "SendDatagram": ("socket", "destination", "data"),
    "SendDatagrams": ("socket", "items"),
    "SendStream": ("socket", "data"),
    "DataReceived": ("stream", "component", "data"),
}


def _bytes_beside(expected: bytes, actual: bytes) -> str:
    sizes = f"{len(expected)} bytes" if len(expected) == len(actual) else f"{len(expected)} and {len(actual)} bytes"
    at = next((i for i, (one, other) in enumerate(zip(expected, actual, strict=False)) if one != other), -1)
    if at < 0:
        at = min(len(expected), len(actual))
    shown = slice(max(at - _AROUND, 0), at + _AROUND)
    return f"{sizes}, from byte {at} on: recorded {expected[shown].hex(' ')}, replayed {actual[shown].hex(' ')}"


def _shown(form: Json) -> str:
    text = json.dumps(without_secrets(form))
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}... ({len(text)} characters)"


def describe(machine: Machine) -> str:
    """A machine's state for a person: what may be read of it from outside, a line each. By the contract no secret is in it."""
    lines = []
    for name, value in public_values(machine):
        text = repr(value)
        lines.append(f"{name}: {text if len(text) <= _WIDTH else text[:_WIDTH] + '...'}")
    explain = getattr(machine, "explain", None)
    if callable(explain) and not inspect.signature(explain).parameters:
        lines.append(f"explain(): {explain()}")
    return "\n".join([*lines, f"deadline(): {machine.deadline()}"])


def public_values(machine: Machine) -> list[tuple[str, object]]:
    """Names and values of a machine's public properties and attributes; an exception where reading one raises."""
    names = set(vars(machine)) if hasattr(machine, "__dict__") else set()
    for kind in type(machine).__mro__:
        names.update(vars(kind))
    found: list[tuple[str, object]] = []
    for name in sorted(names):
        if name.startswith("_"):
            continue
        try:
            value = getattr(machine, name)
        except Exception as error:  # a property that needs an earlier step
            value = error
        if not callable(value):
            found.append((name, value))
    return found
