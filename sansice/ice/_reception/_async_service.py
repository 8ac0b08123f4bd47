"""What a service of an asynchronous adapter does, whichever its runtime."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from sansice.driver import AsyncEvent, EventQueueBase
from sansice.ice._async_connection import AsyncIceConnection
from sansice.ice._errors import IceClosed
from sansice.machine import Event

from ._member_driver import ReceptionDriver
from ._reception import IceReception
from ._service import IceServiceBase, Queue

D = TypeVar("D", bound=ReceptionDriver)
Q = TypeVar("Q", bound=EventQueueBase)
C = TypeVar("C", bound=AsyncIceConnection[Any])


class AsyncIceService(IceServiceBase[D, Q, C]):
    """Many ICE connections on one port; ``serve_ice`` makes it. ``async for ice in service`` gives those that come."""

    __slots__ = ("_news",)

    def __init__(
        self,
        reception: IceReception,
        make_driver: Callable[[IceReception, Callable[[Event], None]], D],
        steps: Q,
        events: Q,
        queue: Queue,
    ) -> None:
        super().__init__(reception, make_driver, steps, events, queue)
        self._news: AsyncEvent | None = None

    # ------------------------------------------------------------- what a runtime supplies

    _checkpoint: Callable[[], Coroutine[Any, Any, object]]
    _event: Callable[[], AsyncEvent]

    # ------------------------------------------------------------- accepting

    async def accept(self) -> C:
        """Wait for a peer that comes by itself, and give the connection to it. Cancelling is safe: it goes on waiting.

        The connection is the caller's to close: use it in an ``async with`` block.

        Raises:
            IceClosed: the service is closed.
        """
        await self._checkpoint()
        while (connection := self._accepted()) is None:
            if self._news is None:
                self._news = self._event()
            await self._news.wait()
        return connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> C:
        """As `accept`; the iteration ends where the service is closed."""
        try:
            return await self.accept()
        except IceClosed:
            raise StopAsyncIteration from None

    # ------------------------------------------------------------- inside

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None
