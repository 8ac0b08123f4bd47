"""Durations as people write them."""

from __future__ import annotations

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


def parse_duration(text: str) -> float:
    """``"60s"``, ``"2m"``, ``"1m30s"``, ``"500ms"``, ``"1d"``, or a plain number of seconds, as seconds.

    Raises:
        ValueError: it is none of these, or no time at all.
    """
    if _NUMBER.fullmatch(text):
        seconds = float(text)
    else:
        parts = _PART.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(f"{text!r} is no duration like 60s, 2m or 1m30s")
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0.0 < seconds < math.inf:
        raise ValueError(f"{text!r} is no time at all" if not seconds else f"{text!r} is for ever")
    return seconds
