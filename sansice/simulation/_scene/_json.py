"""Frozen attrs values as JSON and back, by the types of their fields."""

from __future__ import annotations

import enum
import functools
import json
import math
import re
import sys
import types
import typing
from typing import Any, TypeVar, cast

import attrs

from sansice.machine import Address

VERSION = 1
_VERSION_KEY = "scene_version"
_NEVER = "never"  # JSON has no infinity
_TAG = "is"  # names the class where a field may have values of several

T = TypeVar("T")


def to_json(value: attrs.AttrsInstance) -> str:
    """The value as an indented JSON object with the version of the format; what has its default is left out."""
    return json.dumps({_VERSION_KEY: VERSION, **_dump_object(value)}, indent=2, ensure_ascii=False) + "\n"


def from_json(cls: type[T], text: str) -> T:
    """Read a value of ``cls``.

    Raises:
        ValueError: see `Scene.from_json`.
    """
    try:
        values = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    version = values.pop(_VERSION_KEY, None)
    if version != VERSION:
        raise ValueError(f"{_VERSION_KEY}: {version!r:.40}, and only {VERSION} can be read")
    return _load_object(values, cls, "")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {twice!r:.60} twice in one object")
    return values


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in attrs.fields(cls) if field.init}


def _dump_object(value: attrs.AttrsInstance) -> dict[str, object]:
    kinds = _kinds(type(value))
    fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value)) if field.name in kinds}
    return {name: _dump(one, kinds[name]) for name, one in fields.items() if not _is_default(value, name, one)}


def _is_default(value: attrs.AttrsInstance, name: str, one: object) -> bool:
    default: Any = getattr(attrs.fields(type(value)), name).default
    if (factory := getattr(default, "factory", None)) is not None:
        default = factory(value) if default.takes_self else factory()
    return bool(one == default)


def _dump(value: Any, kind: Any) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, tuple):
        return [_dump(one, typing.get_args(kind)[0]) for one in value]
    if attrs.has(type(value)):
        tag = {_TAG: _tag_of(type(value))} if len(_classes(kind)) > 1 else {}
        return {**tag, **_dump_object(value)}
    return _NEVER if value == math.inf else value


def _classes(kind: Any) -> list[type]:
    """The attrs classes that a field of this kind may hold."""
    return [one for one in _alternatives(kind) if attrs.has(one)]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _tag_of(cls: type) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()


def _load(value: Any, kind: Any, path: str) -> Any:
    if value is None and type(None) in _alternatives(kind):
        return None
    classes = _classes(kind)
    if len(classes) > 1:
        return _load_tagged(value, classes, path)
    plain = [one for one in _alternatives(kind) if one is not type(None) and one not in classes]
    [only] = plain if plain and not isinstance(value, dict) else classes or plain
    if only in classes:
        return _load_object(value, only, path)
    if only is Address:
        return _load_address(value, path)
    if typing.get_origin(only) is tuple:
        return _load_list(value, typing.get_args(only), path)
    if issubclass(only, enum.Enum):
        return _load_word(value, only, path)
    return _load_plain(value, only, path)


def _load_tagged(value: Any, classes: list[type], path: str) -> Any:
    by_tag = {_tag_of(cls): cls for cls in classes}
    tag = value.get(_TAG) if isinstance(value, dict) else None
    if not isinstance(tag, str) or tag not in by_tag:
        raise ValueError(f"{path}: not an object whose {_TAG!r} is one of {', '.join(by_tag)}")
    return _load_object({key: one for key, one in value.items() if key != _TAG}, by_tag[tag], path)


def _load_object(value: Any, cls: type[T], path: str) -> T:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: not a JSON object")
    kinds = _kinds(cast(Any, cls))
    for key in value:
        if key not in kinds:
            raise ValueError(f"{_below(path, key)}: unknown; there are {', '.join(kinds)}")
    for field in attrs.fields(cast(Any, cls)):
        if field.name in kinds and field.default is attrs.NOTHING and field.name not in value:
            raise ValueError(f"{_below(path, field.name)}: missing")
    fields = {key: _load(one, kinds[key], _below(path, key)) for key, one in value.items()}
    try:
        return cls(**fields)
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if path else str(error)) from None


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _load_list(value: Any, kinds: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    """A list of any length, whose kinds end in an ellipsis, or one of as many values as there are kinds."""
    kind, anything = kinds[0], kinds[-1] is ...
    if isinstance(value, str) and kind is str:
        return (value,)
    if not isinstance(value, list):
        raise ValueError(f"{path}: not a list")
    if not anything and len(value) != len(kinds):
        raise ValueError(f"{path}: {len(value)} values, not {len(kinds)}")
    return tuple(_load(one, kind, f"{path}[{index}]") for index, one in enumerate(value))


def _load_address(value: Any, path: str) -> Address:
    text = _load_plain(value, str, path)
    try:
        return Address.parse(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _load_word(value: Any, kind: type[enum.Enum], path: str) -> enum.Enum:
    words = {member.value: member for member in kind}
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{path}: {value!r:.60} is none of {', '.join(words)}")
    return words[value]


_PLAIN: dict[type, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a text"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
}


def _load_plain(value: Any, kind: type, path: str) -> Any:
    if kind is float and value == _NEVER:
        return math.inf
    accepted, words = _PLAIN[kind]
    if not isinstance(value, accepted) or isinstance(value, bool) is not (kind is bool):  # a bool is an int to Python
        raise ValueError(f"{path}: {value!r:.60} is not {words}")
    if kind is float and isinstance(value, int) and abs(value) > sys.float_info.max:  # no clock could count with it
        raise ValueError(f"{path}: {value!r:.60} is too large")
    return value
