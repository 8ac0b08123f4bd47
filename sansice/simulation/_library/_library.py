"""All scenes by name."""

from __future__ import annotations

import functools

from sansice.simulation._scene._scene import Scene

from ._homes import homes
from ._lines import lines
from ._nats import nats
from ._offices import offices
from ._relays import relays
from ._travels import travels


@functools.cache
def _library() -> dict[str, Scene]:
    return {scene.name: scene for group in (homes, nats, offices, travels, lines, relays) for scene in group()}


def scenes() -> dict[str, Scene]:
    """The library: scenes from the field by name, in the order in which they are best read.

    Each says in ``about`` where it is met and in ``expect`` how it ends.
    """
    return dict(_library())


def scene(name: str) -> Scene:
    """One scene of the library.

    Raises:
        ValueError: there is none of this name.
    """
    found = _library().get(name)
    if found is None:
        raise ValueError(f"there is no scene {name!r}; there are {', '.join(_library())}")
    return found
