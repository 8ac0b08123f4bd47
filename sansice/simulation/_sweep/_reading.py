"""What a person writes of a sweep, and what is wrong with it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from sansice.simulation._library._library import scene as library_scene
from sansice.simulation._library._matrix import MATRIX_FAMILIES, MATRIX_TURNS
from sansice.simulation._nat._presets import NAT_PRESETS
from sansice.simulation._scene._scene import Scene

from ._parameters import SWEEP_PARAMETERS, SweepParameter, Value
from ._sweep import NatCouple, Sweep, vary

MAX_VALUES = 10_000  # of a parameter: a range with one step too fine is refused, and not laid out in memory first

_DIGITS = 12  # of what a range yields: 0.3, and not 0.30000000000000004

_KINDS = ("open", *NAT_PRESETS)
_COUPLE = {"a": _KINDS, "b": _KINDS, "turn": MATRIX_TURNS, "family": MATRIX_FAMILIES}
_USUAL = {"turn": "none", "family": "ipv4"}
_SEEDS = "a number of seeds from 1 on, or a table of first and count"
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}

FindScene = Callable[[str], Scene]


def read_sweep(values: Mapping[str, Any], *, find_scene: FindScene = library_scene) -> Sweep:
    """Make a sweep of what a file says, as `tomllib` reads it.

    Args:
        values: ``name``, ``seeds``, ``scenes``, ``couples`` and ``parameters``, as the how-to page on simulation has them.
        find_scene: a scene by its name; raises ValueError. Left out: `scene`, those of the library.

    Raises:
        ValueError: a key that is not known, a value that is not legal, a scene that there is not with such values, nothing to
            run; the text names the key and what is legal.
    """
    _refuse_unknown(values, ("name", "seeds", "scenes", "couples", "parameters"), "")
    name = values.get("name")
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"name: {'missing; ' if name is None else ''}a text for people, such as 'lossy-homes'")
    scenes = tuple(_scenes(values.get("scenes", []), find_scene))
    couples = tuple(_couples(values["couples"])) if "couples" in values else ()
    if not scenes and not couples:
        raise ValueError("scenes, couples: one of them is needed, or there is nothing to run")
    parameters = _parameters(values.get("parameters", {}))
    sweep = Sweep(name=name, scenes=scenes, couples=couples, parameters=parameters, seeds=_seeds(values.get("seeds")))
    _rehearse(sweep)
    return sweep


def _refuse_unknown(values: Mapping[str, Any], known: Collection[str], path: str) -> None:
    for key in values:
        if key not in known:
            raise ValueError(f"{path}{key}: unknown; there are {', '.join(known)}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seeds(value: Any) -> range:
    """``100`` or ``{first = 1000, count = 100}``."""
    if isinstance(value, Mapping):
        _refuse_unknown(value, ("first", "count"), "seeds.")
        first, count = value.get("first", 0), value.get("count")
        if not _is_whole(first) or abs(first) >= 2**62:  # a column of answers has 64 bits
            raise ValueError(f"seeds.first: {first!r:.60} is no whole number of 62 bits")
        path = "seeds.count"
    else:
        first, count, path = 0, value, "seeds"
    if count is None:
        raise ValueError(f"{path}: missing; {_SEEDS}")
    if not _is_whole(count) or not 1 <= count < 2**62:
        raise ValueError(f"{path}: {count!r:.60} is not {_SEEDS}")
    return range(first, first + count)


def _listed(value: Any, path: str) -> list[Any]:
    """One value or a list of some, none of them twice."""
    some = value if isinstance(value, list) else [value]
    if not some:
        raise ValueError(f"{path}: empty; leave it out, or name one")
    for index, one in enumerate(some):
        if one in some[:index]:
            raise ValueError(f"{path}: {one!r:.60} twice")
    return some


def _scenes(value: Any, find_scene: FindScene) -> Iterator[Scene]:
    names: set[str] = set()
    for word in _listed(value, "scenes") if value != [] else []:
        if not isinstance(word, str):
            raise ValueError(f"scenes: {word!r:.60} is not the name of a scene, or of a file with one")
        try:
            found = find_scene(word)
        except ValueError as error:
            raise ValueError(f"scenes: {error}") from None
        if found.name in names:
            raise ValueError(f"scenes: two are called {found.name!r}, and their answers could not be told apart")
        if not found.agents and not found.calls:
            raise ValueError(f"scenes: {found.name!r} has neither agents nor calls, so that nobody connects in it")
        names.add(found.name)
        yield found


def _couples(value: Any) -> Iterator[NatCouple]:
    if not isinstance(value, Mapping):
        raise ValueError(f"couples: {value!r:.60} is not a table with {', '.join(_COUPLE)}")
    _refuse_unknown(value, _COUPLE, "couples.")
    axes = []
    for key, words in _COUPLE.items():
        if key not in value and key not in _USUAL:
            raise ValueError(f"couples.{key}: missing; one or several of {', '.join(words)}")
        some = _listed(value.get(key, _USUAL.get(key)), f"couples.{key}")
        for one in some:
            if one not in words:
                raise ValueError(f"couples.{key}: {one!r:.60} is none of {', '.join(words)}")
        axes.append(some)
    for a, b, turn, family in itertools.product(*axes):
        yield NatCouple(a, b, turn, family)


def _parameters(value: Any) -> dict[str, tuple[Value, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"parameters: {value!r:.60} is not a table of {', '.join(SWEEP_PARAMETERS)}")
    _refuse_unknown(value, SWEEP_PARAMETERS, "parameters.")
    # In the order of the table, so that the order in a file changes no answers.
    return {name: tuple(_values(value[name], one)) for name, one in SWEEP_PARAMETERS.items() if name in value}


def _values(value: Any, parameter: SweepParameter) -> Iterator[Value]:
    path = f"parameters.{parameter.name}"
    some = _range(value, parameter, path) if isinstance(value, Mapping) else _listed(value, path)
    for one in some:
        yield _value(one, parameter, path)


def _value(value: Any, parameter: SweepParameter, path: str) -> Value:
    kind = parameter.kind
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(value, accepted) or isinstance(value, bool) is not (kind is bool):  # a bool is an int to Python
        raise ValueError(f"{path}: {value!r:.60} is not {_WORDS[kind]}, and neither a list nor a range of such")
    if parameter.words and value not in parameter.words:
        raise ValueError(f"{path}: {value!r:.60} is none of {', '.join(parameter.words)}")
    if not isinstance(value, int | float) or kind is bool:
        return str(value) if kind is str else bool(value)
    if not math.isfinite(value) or abs(value) > 2**62:
        raise ValueError(f"{path}: {value!r:.60} is no number to count with")
    return float(value) if kind is float else value


def _range(value: Mapping[str, Any], parameter: SweepParameter, path: str) -> list[Value]:
    """``{from = 0.0, to = 0.3, count = 4}``: equal steps, both ends included."""
    if parameter.kind not in (int, float):
        raise ValueError(f"{path}: a range is of numbers, and this is {_WORDS[parameter.kind]}")
    _refuse_unknown(value, ("from", "to", "count"), f"{path}.")
    for key in ("from", "to", "count"):
        if key not in value:
            raise ValueError(f"{path}.{key}: missing; a range has from, to and count")
    low, high = (_value(value[key], parameter, f"{path}.{key}") for key in ("from", "to"))
    count = value["count"]
    if not _is_whole(count) or not 2 <= count <= MAX_VALUES:
        raise ValueError(f"{path}.count: {count!r:.60} is not a whole number from 2 to {MAX_VALUES}")
    if not float(low) < float(high):
        raise ValueError(f"{path}.to: {high!r} is not above {low!r}, where the range begins")
    steps = [float(low) + (float(high) - float(low)) * step / (count - 1) for step in range(count)]
    if parameter.kind is float:
        return _all_different([round(one, _DIGITS) for one in steps], path)
    if any(one != round(one) for one in steps):
        raise ValueError(f"{path}.count: {count} values from {low} to {high} are not all whole")
    return [round(one) for one in steps]


def _all_different(values: list[Value], path: str) -> list[Value]:
    if len(set(values)) < len(values):
        raise ValueError(f"{path}: steps below a millionth of a millionth")
    return values


def _rehearse(sweep: Sweep) -> None:
    """Try each value with each scene, and the two parameters that depend on each other together."""
    of_couples = {couple.scene.name: couple.scene for couple in sweep.couples[:1]}  # the others have the same Internet
    for scene in (*sweep.scenes, *of_couples.values()):
        for name, values in sweep.parameters.items():
            for value in values:
                try:
                    vary(scene, {name: value} if name != "burst_length" else {"loss": 0.0, name: value})
                except ValueError as error:
                    raise ValueError(f"parameters.{name}: {error}") from None
        losses = sweep.parameters.get("loss", (scene.internet.loss,))
        for loss, length in itertools.product(losses, sweep.parameters.get("burst_length", ())):
            try:
                vary(scene, {"loss": loss, "burst_length": length})
            except ValueError as error:
                raise ValueError(f"parameters.burst_length: {error}") from None
