"""Enumerations that tables are keyed by."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING


class IdentityEnum(enum.Enum):
    """An enumeration whose members hash by identity.

    Members are singletons, so nothing else changes; but the hash of `enum.Enum` is Python code, and a state machine
    looks its states up many times for each packet.
    """

    if not TYPE_CHECKING:  # a type checker would call the override ambiguous
        __hash__ = object.__hash__
