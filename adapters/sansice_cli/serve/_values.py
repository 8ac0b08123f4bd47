"""Values of the command line: ranges of ports, rates, addresses behind a NAT, limits."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import attrs
import click

from sansice import Address
from sansice.turn import RelayAddress, TurnLimits

_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,3})?)([kKMG]?)", re.ASCII)
_FACTORS = {"": 1, "k": 1000, "K": 1000, "M": 10**6, "G": 10**9}
_NONE = ("none", "unlimited")

LIMITS = tuple(field.name.replace("_", "-") for field in attrs.fields(TurnLimits))
"""The names of `TurnLimits`, as a person writes them."""


def port_range(text: str) -> tuple[int, int]:
    """Read ``49152-65535``.

    Raises:
        ValueError: anything else, a range from above to below included.
    """
    match = _RANGE.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError(f"{text!r} is not a range of ports, as in 49152-65535")
    return int(match[1]), int(match[2])


def byte_rate(text: str) -> int:
    """Read bytes a second: ``250000``, ``250k``, ``1.5M``.

    Raises:
        ValueError: anything else, and what comes to less than one byte.
    """
    match = _RATE.fullmatch(text)
    rate = int(float(match[1]) * _FACTORS[match[2]]) if match is not None else 0
    if rate < 1:
        raise ValueError(f"{text!r} is not a number of bytes a second, as in 250000, 250k or 1.5M")
    return rate


def host(text: str) -> str:
    """Read a literal address.

    Raises:
        ValueError: a name, or something else.
    """
    return Address.of(text.strip("[]"), 0).host


def web_address(text: str) -> str:
    """Read the URL of a web service.

    Raises:
        ValueError: it has a user and a password, which nothing would be done with; none of it is shown.
    """
    if "@" in urlsplit(text).netloc:
        raise ValueError("a user and a password in a URL are sent to nobody; a key may be in its query")
    return text


def shown_url(url: str) -> str:
    """A URL as far as it may be shown: a query may hold a key."""
    return urlsplit(url)._replace(query="", fragment="").geturl() + ("?..." if "?" in url else "")


def external_address(text: str) -> tuple[str | None, str]:
    """Read ``PUBLIC`` or ``PRIVATE=PUBLIC``, two literal addresses.

    Raises:
        ValueError: something else.
    """
    private, equals, public = text.rpartition("=")
    return (host(private) if equals else None), host(public)


def relay_addresses(hosts: list[str], external: tuple[tuple[str | None, str], ...]) -> tuple[RelayAddress, ...]:
    """Where relayed addresses are made, with what clients are told of each.

    Args:
        hosts: the local addresses, the first of each family first.
        external: of `external_address`; one without a private address is that of every local address of its family.

    Raises:
        ValueError: a private address that is none of ``hosts``, or two public ones for the same.
    """
    told: dict[str, str] = {}
    for private, public in external:
        meant = [one for one in hosts if one == private or (private is None and (":" in one) == (":" in public))]
        if not meant:
            raise ValueError(f"{private or public}: no relayed address is made there; those are {', '.join(hosts) or 'none'}")
        for one in meant:
            if one in told:
                raise ValueError(f"{one} has two public addresses, {told[one]} and {public}")
            told[one] = public
    return tuple(RelayAddress(one, told.get(one)) for one in hosts)


def changed_limits(limits: TurnLimits, texts: list[str]) -> TurnLimits:
    """Other limits: ``allocations-per-user=5``, ``bytes-per-second=none``.

    Raises:
        ValueError: a text that is no limit, or a value that makes no sense.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in LIMITS or not equals:
            raise ValueError(f"{text!r} is no limit, as in allocations-per-user=5; they are {', '.join(LIMITS)}")
        changes[name.replace("-", "_")] = _limit(name, value)
    return attrs.evolve(limits, **changes)


def _limit(name: str, text: str) -> int | float | None:
    if name.startswith("bytes-per-second"):
        return None if text in _NONE else byte_rate(text)
    try:
        return float(text) if name == "burst" else int(text)
    except ValueError:
        raise ValueError(f"{name}: {text!r} is no number") from None


class Parsed(click.ParamType[Any]):
    """An option that ``parse`` reads, and whose `ValueError` is told.

    Args:
        name: of the type, for the help.
        parse: reads the text.
    """

    def __init__(self, name: str, parse: Any) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; one that has been read before is left alone."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
