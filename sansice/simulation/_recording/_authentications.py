"""Policies of a server that draw entropy and ask for keys themselves: given a tap, and described without their users."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any, TypeAlias, TypeGuard

from sansice import stun
from sansice.stun import LookupKey, ServerAuthentication, ShortTermServerAuthentication, ThirdPartyServerAuthentication

from ._tap import Tap

Authentication: TypeAlias = ServerAuthentication | ShortTermServerAuthentication | ThirdPartyServerAuthentication

_NAMES = ("ServerAuthentication", "ShortTermServerAuthentication", "ThirdPartyServerAuthentication")


def is_authentication(value: object) -> TypeGuard[Authentication]:
    """Whether ``value`` is one of them. Asked of every unknown class, so it does not import them to know."""
    kind = type(value)
    return kind.__name__ in _NAMES and kind.__module__.startswith("sansice.stun.")


def settings_of(authentication: Authentication) -> Mapping[str, Any]:
    """The arguments that are values."""
    return authentication.settings


def tapped(value: Any, tap: Tap) -> Any:
    """``value``; where it is an authentication, one like it that draws and asks through ``tap``; where it is a function, a
    policy whose answers are recorded.

    Its nonces are then not those of the original, which was constructed before anybody recorded.
    """
    if isinstance(value, FunctionType):
        return tap.policy(value.__name__, value)
    if not is_authentication(value):
        return value
    return rebuilt(type(value).__name__, value.settings, value.lookup_key, tap)


def rebuilt(name: str, settings: Mapping[str, Any], lookup_key: LookupKey, tap: Tap) -> Authentication:
    """An authentication of recorded settings.

    Raises:
        KeyError: no such class.
        TypeError: settings of another one.
    """
    if name not in _NAMES:
        raise KeyError(name)
    kind: type[Authentication] = getattr(stun, name)
    return kind(lookup_key=tap.policy("lookup_key", lookup_key), entropy=tap, **settings)
