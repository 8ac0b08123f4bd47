"""Values as JSON and back: what a recording holds, and what "byte for byte" is compared by."""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping, Set as AbstractSet
from typing import Any, TypeAlias

import attrs

from sansice.stun import Message, decode_untrusted

Json: TypeAlias = Any


class Opaque(TypeError):
    """A value that has no form in JSON."""


def to_json(value: object, *, strict: bool) -> Json:
    """A form of ``value`` that `json.dumps` takes, that is equal for equal values, and that `from_json` reads back.

    Knows numbers, text, bytes, tuples, lists, mappings, sets, enums, NamedTuples, attrs classes and `sansice.stun.Message`.

    Args:
        value: the value.
        strict: anything else is an error; otherwise only its class is kept.

    Raises:
        Opaque: something else was found, and ``strict``.
    """
    match value:
        case enum.Enum():
            return {"enum": _name(value), "name": value.name}
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray() | memoryview():
            return {"bytes": value.hex()}
        case list():
            return [to_json(item, strict=strict) for item in value]
        case tuple():
            items = [to_json(item, strict=strict) for item in value]
            return {"class": _name(value), "items": items} if hasattr(value, "_fields") else {"tuple": items}
        case Mapping():
            return {"map": [[to_json(key, strict=strict), to_json(item, strict=strict)] for key, item in value.items()]}
        case AbstractSet():
            return {"set": sorted((to_json(item, strict=strict) for item in value), key=repr)}
        case Message():
            return {"message": value.data.hex()}
    kind = type(value)
    if attrs.has(kind):
        fields = {field.name: to_json(getattr(value, field.name), strict=strict) for field in attrs.fields(kind)}
        return {"class": _name(value), "fields": fields}
    if strict:
        raise Opaque(f"{_name(value)} is not a value that can be recorded")
    return {"opaque": _name(value)}


def from_json(form: Json) -> Any:
    """The value that `to_json` was given.

    Raises:
        ValueError: nothing that `to_json` made, or of a class that is not imported here.
    """
    if isinstance(form, list):
        return [from_json(item) for item in form]
    if not isinstance(form, dict):
        return form
    match form:
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case {"tuple": list(items)}:
            return tuple(from_json(item) for item in items)
        case {"map": list(items)}:
            return {from_json(key): from_json(item) for key, item in items}
        case {"set": list(items)}:
            return frozenset(from_json(item) for item in items)
        case {"message": str(text)}:
            return decode_untrusted(bytes.fromhex(text))
        case {"enum": str(name), "name": str(member)}:
            found = _class(name)
            if issubclass(found, enum.Enum):
                return found[member]
        case {"class": str(name), "items": list(items)}:
            found = _class(name)
            if issubclass(found, tuple) and hasattr(found, "_fields"):
                return tuple.__new__(found, [from_json(item) for item in items])
        case {"class": str(name), "fields": dict(fields)}:
            found = _class(name)
            if attrs.has(found):
                return _rebuild(found, fields)
    raise ValueError(f"not a recorded value: {form}")


def _name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> type[Any]:
    # Only what is imported already is looked at: a recording from a stranger must not choose code to run.
    module, _, path = name.partition(":")
    found: object = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise ValueError(f"the recording has a value of {name}, which is not imported here")
    return found


def _rebuild(kind: type[attrs.AttrsInstance], fields: dict[str, Json]) -> object:
    # Past the constructor: its converters and validators have seen these values before, and it may not take every field.
    value: object = object.__new__(kind)
    for field in attrs.fields(kind):
        object.__setattr__(value, field.name, from_json(fields[field.name]))
    return value
