"""Reports over a pair of byte streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from ._reports import Report, from_line, to_line


class Lines:
    """The way to the other process.

    Args:
        sending, receiving: pipes; `close` closes both.
    """

    def __init__(self, sending: trio.abc.SendStream, receiving: trio.abc.ReceiveStream) -> None:
        self._sending = sending
        self._receiving = receiving

    async def send(self, report: Report) -> bool:
        """Send one report; ``False`` where the other process has gone. Cancelling it may leave half a line sent."""
        return await self.send_line(to_line(report))

    async def send_line(self, line: bytes) -> bool:
        """Send a line as it is; ``False`` where the other process has gone. Cancelling it may leave half of it sent."""
        try:
            await self._sending.send_all(line)
        except trio.BrokenResourceError:
            return False
        return True

    async def reports(self) -> AsyncIterator[Report]:
        """What the other process tells, until it closes its end. Half a last line is left out.

        Raises:
            ValueError: a line that is no report.
        """
        rest = b""
        async for chunk in self._receiving:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield from_line(line)

    async def close(self) -> None:
        """Close both pipes; the other process sees the end of its input."""
        await trio.aclose_forcefully(self._sending)
        await trio.aclose_forcefully(self._receiving)
