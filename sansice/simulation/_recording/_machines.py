"""The machines of sansice that a replay can construct by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sansice import ice, stun, turn
from sansice.machine import LocalProtocolError, Machine

from ._step import Made
from ._tap import Tap
from ._values import class_name, from_json

# By name, and looked for when needed: a recording chooses among these, and nothing else is ever called. Most of
# them are not loaded before.
_OWN: Mapping[str, tuple[Any, str]] = {
    f"{module.__name__}:{name}": (module, name)
    for module, name in (
        (ice, "IceAgent"),
        (ice, "LiteAgent"),
        (ice, "IceReception"),
        (ice, "MdnsAgent"),
        (stun, "StunServer"),
        (stun, "BindingLookup"),
        (stun, "BehaviorDiscovery"),
        (turn, "TurnClient"),
        (turn, "TurnServer"),
    )
}


# What a constructor says to arguments that were edited, or are another version's.
_NOT_MADE = (TypeError, ValueError, AttributeError, LookupError, LocalProtocolError)


def own_machines() -> Mapping[str, tuple[Any, str]]:
    """Module and name of the classes, by the name that recordings have for them."""
    return _OWN


def name_of(kind: Callable[..., Machine]) -> str:
    """Under which name a machine's class, or whatever else makes it, is recorded."""
    if isinstance(kind, type):
        return class_name(kind)
    return f"{getattr(kind, '__module__', '?')}:{getattr(kind, '__qualname__', type(kind).__name__)}"


def constructor(made: Made | None) -> Callable[[Tap], Machine]:
    """What makes a recorded machine anew.

    Raises:
        ValueError: it was none of sansice's own, so that nobody but the user can make it.
    """
    if made is None:
        raise ValueError("the recording does not say what was recorded: replay it with a factory")
    if made.machine not in _OWN:
        raise ValueError(f"the recording is of a {made.machine}, which is not sansice's: replay it with a factory")
    module, name = _OWN[made.machine]
    kind: Callable[..., Machine] = getattr(module, name)

    def make(tap: Tap) -> Machine:
        try:
            arguments = [from_json(one, tap) for one in made.arguments]
            keywords = {key: from_json(one, tap) for key, one in made.keywords.items()}
            return kind(*arguments, **keywords, entropy=tap)
        except _NOT_MADE as error:
            raise ValueError(f"the recording's arguments make no {name}: {error}") from None

    return make
