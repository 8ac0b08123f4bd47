"""Listeners for those who look after a server: they are let in although there is nothing left for anybody else."""

from __future__ import annotations

import contextlib
import errno
import logging
import os

import trio


class SparingListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts also when the server's clients have taken every descriptor: it keeps one.

    Whoever serves a connection calls `restock` when it has closed it; the next one waits for that.

    Args:
        listener: what accepts.
    """

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._spare: int | None = None
        self.restock()
        # What trio says of each try, ten times a second, would stand between the lines of the server's own log.
        logging.getLogger("trio.serve_listeners").disabled = True

    def restock(self) -> None:
        """Keep a descriptor, if there is one."""
        if self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = os.open(os.devnull, os.O_RDONLY)

    def _spend(self) -> bool:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
        return spare is not None

    async def accept(self) -> trio.SocketStream:
        """The next connection."""
        try:
            return await self._listener.accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._spend():
                raise
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Close it."""
        self._spend()
        await self._listener.aclose()
