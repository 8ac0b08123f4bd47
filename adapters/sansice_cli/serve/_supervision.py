"""How workers share what one server would have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from sansice import Address
from sansice.turn import TurnLimits

from ._settings import Settings
from ._users import Realms

_TOTALS = (
    "allocations",
    "permissions",
    "channels",
    "reservations",
    "tcp_connections",
    "pending_connects",
    "queued_bytes",
    "bytes_per_second",
)


def relay_port_shares(ports: tuple[int, int], workers: int) -> list[tuple[int, int]]:
    """Consecutive parts of a range of ports, one a worker; each begins with an even port, so that pairs stay together.

    Raises:
        ValueError: there are not two ports for each.
    """
    low, high = ports
    size = (high - low + 1) // workers // 2 * 2
    if size < 2:
        raise ValueError(f"{high - low + 1} relay ports for {workers} workers: each needs two at least")
    first = low + low % 2
    if first + workers * size - 1 > high:
        size -= 2
        if size < 2:
            raise ValueError(
                f"{high - low + 1} relay ports from {low} on for {workers} workers: each needs an even one and its next"
            )
    bounds = [first + number * size for number in range(workers)]
    return [(bound, bound + size - 1) for bound in bounds[:-1]] + [(bounds[-1], high)]


def limits_of_worker(limits: TurnLimits, workers: int) -> TurnLimits:
    """A worker's share of the bounds on all users together. What a user may have, he may have in each worker."""
    changes = {name: math.ceil(value / workers) for name in _TOTALS if (value := getattr(limits, name)) is not None}
    return attrs.evolve(limits, **changes)


def settings_of_worker(settings: Settings, number: int, addresses: Sequence[Address], ticket_key: bytes) -> Settings:
    """What a worker is told to do.

    Args:
        settings: of the whole server.
        number: of the worker, from 0 on.
        addresses: where the listeners really are, in the order of the settings.
        ticket_key: by which workers read each other's mobility tickets.
    """
    placed = {
        one: attrs.evolve(one, address=address, reuse_port=True)
        for one, address in zip(settings.listeners, addresses, strict=True)
    }
    turn = settings.turn
    if turn is not None:
        ports = relay_port_shares(turn.relay_ports, settings.workers)[number]
        turn = attrs.evolve(
            turn,
            relay_ports=ports,
            shared_ports=turn.relay_ports,
            worker=number,
            workers=settings.workers,
            ticket_key=ticket_key,
        )
    return attrs.evolve(
        settings,
        listeners=tuple(placed.values()),
        realms=Realms(settings.realms.default, {placed[one]: name for one, name in settings.realms.own.items()}),
        turn=turn,
        limits=limits_of_worker(settings.limits, settings.workers),
    )
