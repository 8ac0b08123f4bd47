"""Looking into machines and their outputs from outside: snapshots, weights, immutability."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence, Set as AbstractSet
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import attrs

from sansice.machine import Action, Event

_ATOMS = (type(None), bool, int, float, complex, str, bytes, bytearray, enum.Enum, type)
_DATACLASS = "__dataclass_params__"
_CODE = (FunctionType, BuiltinFunctionType, MethodType)


def snapshot(thing: object) -> Any:
    """A structure that is equal for equal states, made of everything reachable from ``thing``."""
    return _snapshot(thing, {})


def _snapshot(thing: object, seen: dict[int, int]) -> Any:
    if isinstance(thing, bytearray):
        return bytes(thing)
    if isinstance(thing, _ATOMS):
        return thing
    if isinstance(thing, _CODE):
        return id(thing.__self__) if isinstance(thing, MethodType) else id(thing)
    if id(thing) in seen:
        return ("again", seen[id(thing)])
    seen[id(thing)] = len(seen)
    kind = type(thing).__qualname__
    if isinstance(thing, Mapping):
        return (kind, [(_snapshot(key, seen), _snapshot(value, seen)) for key, value in thing.items()])
    if isinstance(thing, AbstractSet):
        return (kind, sorted(repr(_snapshot(item, {})) for item in thing))
    if isinstance(thing, Sequence):
        return (kind, [_snapshot(item, seen) for item in thing])
    held = [(name, _snapshot(value, seen)) for name, value in attributes(thing)]
    # What shows no attributes (a hash state, an iterator) is known by its identity alone.
    return (kind, held or id(thing))


def attributes(thing: object) -> list[tuple[str, object]]:
    """The instance attributes of any object: of its ``__dict__`` and of the slots of all its classes."""
    found = dict(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            name = f"_{kind.__name__.lstrip('_')}{slot}" if slot.startswith("__") and not slot.endswith("__") else slot
            if slot != "__weakref__" and hasattr(thing, name):
                found[name] = getattr(thing, name)
    return list(found.items())


def weigh(thing: object) -> int:
    """How much state hangs on ``thing``: the number of objects reachable from it, plus the bytes and characters they hold."""
    weight, pending, seen = 0, [thing], set[int]()
    keep = []  # so that no id is given to another object meanwhile
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        keep.append(item)
        weight += 1
        if isinstance(item, str | bytes | bytearray):
            weight += len(item)
        elif isinstance(item, Mapping):
            pending += item.keys()
            pending += item.values()
        elif isinstance(item, Sequence | AbstractSet):
            pending += item
        elif not isinstance(item, _ATOMS + _CODE):
            pending += [value for _, value in attributes(item)]
    return weight


def why_not_an_output(output: object) -> str:
    """What disqualifies ``output`` from the outputs of a machine, or ""."""
    if not isinstance(output, Action | Event):
        return f"{output!r} is neither an Action nor an Event"
    return _why_mutable(output, type(output).__name__)


def _why_mutable(value: object, path: str) -> str:
    if isinstance(value, _ATOMS):
        return f"{path} is a bytearray, not bytes" if isinstance(value, bytearray) else ""
    if isinstance(value, memoryview):
        return f"{path} is a view into a buffer, not bytes"
    if isinstance(value, tuple | frozenset):
        names = getattr(value, "_fields", None) or range(len(value))
        return _first(_why_mutable(item, f"{path}.{name}") for name, item in zip(names, value, strict=True))
    kind = type(value)
    if attrs.has(kind):
        if not _is_frozen(kind):
            return f"{path} is a {kind.__name__}, an attrs class that is not frozen"
        return _first(_why_mutable(getattr(value, field.name), f"{path}.{field.name}") for field in attrs.fields(kind))
    if is_dataclass(value) and getattr(kind, _DATACLASS).frozen:
        return _first(_why_mutable(getattr(value, field.name), f"{path}.{field.name}") for field in fields(value))
    if kind.__hash__ is None or hasattr(value, "__dict__"):
        return f"{path} is a {kind.__name__}, which can be changed"
    return ""  # a slotted class of its own, such as a decoded message: taken at its word


@attrs.frozen
class _Frozen:
    pass


def _is_frozen(kind: type[attrs.AttrsInstance]) -> bool:
    return kind.__setattr__ is _Frozen.__setattr__


def _first(reasons: Any) -> str:
    return next(filter(None, reasons), "")
