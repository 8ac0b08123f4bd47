"""What the front of a server knows of what stands behind it: this process, or several workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from sansice.turn import TurnLimits

from ._snapshot import Snapshot
from ._users import Material

Allocations: TypeAlias = Sequence[Mapping[str, Any]]
"""A table of plain values for each; see `_local.allocation_row`."""


class ServingError(Exception):
    """A server cannot be opened, or not be reloaded; the text says why."""


class Backend(Protocol):
    """A server that is open."""

    @property
    def listening(self) -> Sequence[str]:
        """Where, with the real ports: ``udp:192.0.2.1:3478``."""
        ...

    @property
    def trouble(self) -> str:
        """Why new clients had better go elsewhere; "" where nothing speaks against it."""
        ...

    async def snapshot(self) -> Snapshot:
        """The counters."""
        ...

    async def allocations(self) -> Allocations:
        """All of them."""
        ...

    async def kill(self, id: str) -> bool:
        """Close an allocation; whether there was one of this id."""
        ...

    async def set_limits(self, limits: TurnLimits) -> None:
        """Other bounds from now on."""
        ...

    async def reload(self, material: Material, limits: TurnLimits) -> None:
        """Go on with other users, certificates and limits. Nobody loses what he has.

        Raises:
            ServingError: they cannot be used. Everything stays as it was.
        """
        ...

    async def drain(self, seconds: float) -> None:
        """Take nobody new; returns when the last allocation has ended, or after so many seconds."""
        ...

    async def wait_failed(self) -> str:
        """Returns when nothing is served any more, though nobody asked for that; why."""
        ...
