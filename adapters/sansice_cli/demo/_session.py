"""End A: offers, connects, sends the datagrams and counts what comes back."""

from __future__ import annotations

import math

import trio

from sansice.driver import clock
from sansice.ice import Description, IceError
from sansice_trio import IceConnection, open_ice

from ._echo import Echo
from ._end import End
from ._lines import Lines
from ._outcome import Outcome
from ._presenter import Presenter
from ._reports import Described, Failed, PeerKnown, Report, Selected
from ._settings import Settings
from ._story import EndStory, Story

START_TIMEOUT = 15.0  # seconds for the other process to start and answer the offer
CONNECT_TIMEOUT = 10.0  # seconds for both ends to select a pair; on one machine it takes a tenth of one
REFRESH = 0.1  # seconds between two pictures; drawing one costs as much as many round trips


_NO_ADDRESS = "This machine has no usable network address, not even a loopback one."
_NO_RELAY = "No server relays."


class Session:
    """One demonstration, from the offer to the last echo.

    Args:
        link: to the other process.
        story: where everything is noted.
        echo: what to send.
        presenter: what shows it.
        settings: how this end connects; the other one knows already.
    """

    def __init__(self, link: Lines, story: Story, echo: Echo, presenter: Presenter, settings: Settings | None = None) -> None:
        self._link = link
        self._story = story
        self._echo = echo
        self._presenter = presenter
        self._settings = settings or Settings()
        self._scope = trio.CancelScope()
        self._told, self._telling = trio.open_memory_channel[tuple[EndStory, Report]](math.inf)
        self._answered = trio.Event()
        self._answer: Description | None = None
        self._peer_selected = trio.Event()
        self._is_abandoned = False
        self._problem = ""
        self._explanation = ""

    async def run(self) -> Outcome:
        """Do all of it; what went wrong is in the outcome. Cancelling it closes the agent."""
        with self._scope:
            async with open_ice(**self._settings.arguments(of_b=False)) as ice, trio.open_nursery() as nursery:
                nursery.start_soon(self._listen)
                nursery.start_soon(self._present)
                nursery.start_soon(self._keep_refreshing)
                await self._work(ice)
                nursery.cancel_scope.cancel()
        while self._telling.statistics().current_buffer_used:
            self._presenter.report(*self._telling.receive_nowait())
        self._presenter.refresh(self._echo)
        return Outcome.of(self._story, self._echo, self._problem, self._explanation, is_abandoned=self._is_abandoned)

    def _stop(self, problem: str, explanation: str = "") -> None:
        """End early. The first reason is the one that counts."""
        if not self._problem:
            self._problem, self._explanation = problem, explanation
        self._scope.cancel()

    def _tell(self, end: EndStory, report: Report) -> None:
        end.take(report)
        self._told.send_nowait((end, report))

    async def _present(self) -> None:
        async for end, report in self._telling:
            self._presenter.report(end, report)

    async def _keep_refreshing(self) -> None:
        while True:
            self._presenter.refresh(self._echo)
            await trio.sleep(REFRESH)

    async def _listen(self) -> None:
        try:
            async for report in self._link.reports():
                self._tell(self._story.b, report)
                if isinstance(report, Described):
                    self._answer = report.description
                    self._answered.set()
                elif isinstance(report, Selected):
                    self._peer_selected.set()
                elif isinstance(report, Failed):
                    self._stop("The other end could not connect.", report.explanation)
        except ValueError as error:
            self._stop(f"The other process said something strange: {error}.")
        else:
            self._is_abandoned = not self._problem
            self._stop("The other process ended before the work was done.")

    async def _work(self, ice: IceConnection) -> None:
        end = End(ice, lambda report: self._tell(self._story.a, report))
        offer = await end.gather()
        if not offer.candidates:
            self._stop(_NO_RELAY if self._settings.relay else _NO_ADDRESS, ice.explain())
            return
        await self._link.send(Described(clock(), offer))
        with trio.move_on_after(START_TIMEOUT):
            await self._answered.wait()
        if self._answer is None:
            self._stop(f"The other process did not answer within {START_TIMEOUT:.0f} s.")
            return
        self._tell(self._story.a, PeerKnown(clock()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._echo_all, ice)
            await self._connect(end, self._answer)

    async def _connect(self, end: End, answer: Description) -> None:
        try:
            with trio.move_on_after(CONNECT_TIMEOUT) as limit:
                await end.connect(answer)
                await self._peer_selected.wait()
            if limit.cancelled_caught:
                self._stop(f"The ends were not connected within {CONNECT_TIMEOUT:.0f} s.", end.ice.explain())
        except IceError as error:
            self._stop("This end could not connect.", str(error))

    async def _echo_all(self, ice: IceConnection) -> None:
        """Send the first on the first valid pair, and the others once a pair is selected."""
        try:
            while not ice.writable:
                await ice.changed()
            await self._echo_one(ice)
            await ice.connected()
            while not self._echo.is_over:
                await self._echo_one(ice)
        except IceError as error:
            self._stop("The connection was lost.", str(error))

    async def _echo_one(self, ice: IceConnection) -> None:
        echo = self._echo
        data = echo.next(now=trio.current_time())
        if data is not None:
            ice.send_nowait(data)
        with trio.move_on_at(echo.deadline()):
            echo.received(await ice.receive(), now=trio.current_time())
        echo.handle_timer(now=trio.current_time())
