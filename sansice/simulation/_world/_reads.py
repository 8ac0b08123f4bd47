"""How a program reads its streams: at once and everything, or late and in pieces."""

from __future__ import annotations

from typing import Any

import attrs


def _not_negative(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{attribute.name} must be a number from 0 on, not {value!r}")


@attrs.frozen(kw_only=True)
class StreamReads:
    """How the programs on a host read their streams. Real systems promise no piece: any byte may be the last of one.

    Attributes:
        size: bytes that one read takes at most; 0 for all that there are.
        random: whether each read takes a random number of bytes, from 1 to what it might.
        delay: seconds from the arrival of something, and from each read, to the next read, which takes together what has
            come meanwhile. With a ``size`` it is a slow reader's: ``size / delay`` bytes a second.
        jitter: at most so many seconds more, drawn for each read.

    Raises:
        ValueError: a negative number.
    """

    size: int = attrs.field(default=0, validator=_not_negative)
    random: bool = False
    delay: float = attrs.field(default=0.0, validator=_not_negative)
    jitter: float = attrs.field(default=0.0, validator=_not_negative)


AT_ONCE = StreamReads()
