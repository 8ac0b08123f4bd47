"""What a person sees of a server on a terminal: who is relayed, how much, and what was refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sansice_cli._text import count, printable

from ._snapshot import Snapshot

_SHOWN = 15  # allocations: as many as fit on the smallest of terminals, beside the rest
_REASONS = 8

_UNITS = ("B", "kB", "MB", "GB", "TB")


def allocation_table(allocations: Sequence[Mapping[str, Any]]) -> Table:
    """Allocations, as `Backend.allocations` tells them."""
    table = Table(box=None, pad_edge=False)
    for title in ("id", "user", "client", "relayed", "left"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for title in ("from client", "to client", "dropped"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in allocations:
        table.add_row(
            Text(str(one["id"])),
            Text(printable(str(one["user"]))),
            Text(str(one["client"])),
            Text(" ".join(one["relayed"])),
            f"{one['lifetime_s']:.0f} s",
            amount(one["from_client_bytes"]),
            amount(one["to_client_bytes"]),
            str(one["dropped"]),
        )
    return table


def amount(number: float) -> str:
    """Bytes for a person: ``1.5 MB``."""
    power = 0
    while number >= 1000 and power < len(_UNITS) - 1:
        number /= 1000
        power += 1
    return f"{number:.0f} B" if power == 0 else f"{number:.1f} {_UNITS[power]}"


class LiveTable:
    """Draws, on a terminal.

    Args:
        listening: where the server listens.
        console: of the terminal.
        clock: seconds, for rates.
    """

    def __init__(self, listening: Sequence[str], console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._listening = listening
        self._clock = clock
        self._before: tuple[float, Snapshot] | None = None
        self.live = Live(console=console, auto_refresh=False, transient=True)

    def draw(self, snapshot: Snapshot, allocations: Sequence[Mapping[str, Any]]) -> None:
        """Show how things are now."""
        self.live.update(self.picture(snapshot, allocations), refresh=True)

    def picture(self, snapshot: Snapshot, allocations: Sequence[Mapping[str, Any]]) -> RenderableType:
        """What is drawn; rates are since the picture before."""
        now = self._clock()
        before, self._before = self._before, (now, snapshot)
        parts: list[RenderableType] = [Text(f"listening at {', '.join(self._listening)}", overflow="fold")]
        if "turn" in snapshot:
            parts.append(_traffic(snapshot, before, now))
        parts.append(_requests(snapshot))
        if allocations:
            busiest = sorted(allocations, key=lambda one: -(one["from_client_bytes"] + one["to_client_bytes"]))
            parts += [Text(), allocation_table(busiest[:_SHOWN])]
            if len(busiest) > _SHOWN:
                parts.append(Text(f"and {len(busiest) - _SHOWN} more"))
        return Group(*parts)


def _traffic(snapshot: Snapshot, before: tuple[float, Snapshot] | None, now: float) -> Text:
    turn = snapshot["turn"]
    text = count(turn["allocations"], "allocation")
    if before is not None and now > before[0]:
        seconds, earlier = now - before[0], before[1].get("turn", {})
        # A worker that was started anew counts from 0.
        up, down = (max(0, turn[name] - earlier.get(name, 0)) / seconds for name in ("received_bytes", "sent_bytes"))
        text += f", {amount(up)}/s from clients, {amount(down)}/s to clients"
    return Text(text)


def _requests(snapshot: Snapshot) -> Text:
    stun = snapshot["stun"]
    text = f"{count(stun['requests'], 'request')}, {count(stun['connections'], 'stream')} open"
    refused = sorted(stun["dropped"].items(), key=lambda one: -one[1])[:_REASONS]
    if refused:
        text += "; refused: " + ", ".join(f"{reason} {number}" for reason, number in refused)
    return Text(text, overflow="fold")
