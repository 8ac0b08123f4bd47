"""Values as JSON and back: what a recording holds, and what "byte for byte" is compared by."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Mapping, Set as AbstractSet
from itertools import accumulate
from types import FunctionType
from typing import Any, TypeAlias

import attrs

from sansice import stun
from sansice.stun import Attribute, IntegrityKey, Message, decode_untrusted

from ._authentications import Authentication, is_authentication, rebuilt, settings_of
from ._tap import Tap

Json: TypeAlias = Any


MAX_NESTING = 200  # of a recorded value: some twenty is what real ones have, and Python's own stack holds five times as much
_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")


class Opaque(TypeError):
    """A value that has no form in JSON."""


def to_json(value: object, *, strict: bool) -> Json:
    """A form of ``value`` that `json.dumps` takes, that is equal for equal values, and that `from_json` reads back.

    Knows numbers, text, bytes, tuples, lists, mappings, sets, enums, NamedTuples, attrs classes, and of `sansice.stun`
    messages, attributes, keys and a server's authentication. A function is a policy, of which only the name is kept. What an
    attrs class leaves out of its repr is a secret, and its form says so; what is marked as `UNRECORDED` is left out.

    Args:
        value: the value.
        strict: anything else is an error; otherwise only its class is kept.

    Raises:
        Opaque: something else was found, and ``strict``.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    fields = _FIELDS.get(kind)
    if fields is not None:
        name, names = fields
        return {"class": name, "fields": {one: _field(value, one, hidden, strict) for one, hidden in names}}
    match value:
        case enum.Enum():
            return {"enum": class_name(kind), "name": value.name}
        case int() | float() | str():
            return value
        case bytes() | bytearray() | memoryview():
            return {"bytes": value.hex()}
        case list():
            return [to_json(item, strict=strict) for item in value]
        case tuple():
            items = [to_json(item, strict=strict) for item in value]
            return {"class": class_name(type(value)), "items": items} if hasattr(value, "_fields") else {"tuple": items}
        case Mapping():
            return {"map": [[to_json(key, strict=strict), to_json(item, strict=strict)] for key, item in value.items()]}
        case AbstractSet():
            return {"set": sorted((to_json(item, strict=strict) for item in value), key=repr)}
        case Message():
            return {"message": value.data.hex()}
        case IntegrityKey():
            return {"secret": {"key": value.secret.hex()}}
        case Attribute() if _attribute(value.name) is value:
            return {"attribute": value.name}
    if attrs.has(kind):
        fields_of_kind = attrs.fields(kind)
        hidden = (None if "unrecorded" in field.metadata else field.repr is False for field in fields_of_kind)
        _FIELDS[kind] = class_name(kind), tuple(zip((field.name for field in fields_of_kind), hidden, strict=True))
        return to_json(value, strict=strict)
    if is_authentication(value):
        settings = {name: to_json(setting, strict=strict) for name, setting in settings_of(value).items()}
        return {"authentication": kind.__name__, "settings": settings}
    if isinstance(value, FunctionType):
        return {"policy": value.__name__}
    if strict:
        raise Opaque(f"{kind.__module__}:{kind.__qualname__} is not a value that can be recorded")
    return {"opaque": class_name(kind)}


_PLAIN = frozenset((type(None), bool, int, float, str))
# Of every attrs class that was met: its name, and its fields' names and whether they are secret, or ``None`` where they are
# not recorded at all. A recorded session is mostly such values, and asking attrs each time took half of what recording costs.
_FIELDS: dict[type, tuple[str, tuple[tuple[str, bool | None], ...]]] = {}


def _field(value: object, name: str, hidden: bool | None, strict: bool) -> Json:
    if hidden is None:
        return None
    form = to_json(getattr(value, name), strict=strict)
    if not hidden or form is None or (isinstance(form, dict) and "secret" in form):
        return form
    return {"secret": form}


def parse_untrusted(text: bytes) -> Json:
    """A form that was written as JSON.

    Raises:
        ValueError: it is no JSON, or nested without end.
    """
    # Told from the brackets alone, those in texts included: what `json` does with a deep value depends on how deep the
    # stack is already, and under a raised recursion limit it may end the process.
    steps = (1 if code in b"[{" else -1 for code in text.translate(None, _NO_BRACKETS))
    if max(accumulate(steps), default=0) > MAX_NESTING:
        raise ValueError("a value is nested too deeply")
    return json.loads(text)


def from_json(form: Json, tap: Tap | None = None) -> Any:
    """The value that `to_json` was given.

    Args:
        form: what `to_json` made.
        tap: what a server's authentication draws and asks through; without it there can be none in ``form``.

    Raises:
        ValueError: nothing that `to_json` made, or of a class that is not imported here.
    """
    if isinstance(form, list):
        return [from_json(item, tap) for item in form]
    if not isinstance(form, dict):
        return form
    match form:
        case {"bytes": str(text)}:
            return bytes.fromhex(text)
        case {"tuple": list(items)}:
            return tuple(from_json(item, tap) for item in items)
        case {"map": list(items)} if all(isinstance(item, list) and len(item) == 2 for item in items):
            return {_hashable(key, tap): from_json(item, tap) for key, item in items}
        case {"set": list(items)}:
            return frozenset(_hashable(item, tap) for item in items)
        case {"message": str(text)}:
            return decode_untrusted(bytes.fromhex(text))
        case {"attribute": str(name)} if (attribute := _attribute(name)) is not None:
            return attribute
        case {"secret": {"key": str(text)}}:
            return IntegrityKey(bytes.fromhex(text))
        case {"secret": inner}:
            return from_json(inner, tap)
        case {"enum": str(name), "name": str(member)}:
            found = _class(name)
            if issubclass(found, enum.Enum) and member in found.__members__:
                return found[member]
        case {"class": str(name), "items": list(items)}:
            found = _class(name)
            if issubclass(found, tuple) and hasattr(found, "_fields"):
                return tuple.__new__(found, [from_json(item, tap) for item in items])
        case {"class": str(name), "fields": dict(fields)}:
            found = _class(name)
            if attrs.has(found) and fields.keys() == {field.name for field in attrs.fields(found)}:
                return _rebuild(found, {field: from_json(item, tap) for field, item in fields.items()})
        case {"policy": str(name)} if tap is not None:
            return tap.policy(name, _nobody)
        case {"authentication": str(name), "settings": dict(settings)} if tap is not None:
            return _authentication(name, {one: from_json(item) for one, item in settings.items()}, tap)
    raise ValueError(f"not a recorded value: {form!s:.200}")


def _hashable(form: Json, tap: Tap | None) -> Any:
    value = from_json(form, tap)
    try:
        hash(value)
    except TypeError:
        raise ValueError(f"not a recorded value: a key or member {form!s:.200}") from None
    return value


def _attribute(name: str) -> Attribute[Any] | None:
    """STUN's own attribute of that name, which has one shape for all."""
    found = getattr(stun, name.replace("-", "_"), None)
    return found if isinstance(found, Attribute) else None


def without_secrets(form: Json) -> Json:
    """The form with its secrets blotted out, to be shown."""
    if isinstance(form, list):
        return [without_secrets(item) for item in form]
    if not isinstance(form, dict):
        return form
    return {name: "..." if name == "secret" else without_secrets(item) for name, item in form.items()}


def class_name(kind: type) -> str:
    """Under which name a class is recorded: a public one where there is one, since modules move about inside packages."""
    name = _NAMES.get(kind)
    if name is None:
        module = kind.__module__
        package = module.partition("._")[0]
        if package != module and getattr(sys.modules.get(package), kind.__qualname__, None) is kind:
            module = package
        name = _NAMES[kind] = f"{module}:{kind.__qualname__}"
    return name


_NAMES: dict[type, str] = {}


def _class(name: str) -> type[Any]:
    # Only what is imported already is looked at: a recording from a stranger must not choose code to run.
    module, _, path = name.partition(":")
    found: object = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise ValueError(f"the recording has a value of {name}, which is not imported here")
    return found


def _rebuild(kind: type[attrs.AttrsInstance], fields: dict[str, Any]) -> object:
    # Past the constructor: its converters and validators have seen these values before, and it may not take every field.
    value: object = object.__new__(kind)
    for name, item in fields.items():
        object.__setattr__(value, name, item)
    return value


def _authentication(name: str, settings: dict[str, Any], tap: Tap) -> Authentication:
    try:
        return rebuilt(name, settings, _nobody, tap)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a recorded value: {name} of {', '.join(settings)} ({error})") from None


def _nobody(username: str | bytes, realm: str, unix: float) -> None:
    """Stands for a ``lookup_key`` that is not asked again: its answers are recorded."""
