"""A network under trio: its time is that of trio's clock."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator

import trio

from sansice.simulation import Network, SimulationError

from ._factory import Sockets
from ._guard import LeftNetworkWarning, warn_of_thread, watch_for_leaving
from ._here import HERE
from ._names import Names

_AHEAD = 1e-6  # s: more than rounding makes of two clocks that do not start together


@contextlib.asynccontextmanager
async def open_network(network: Network) -> AsyncIterator[Network]:
    """Put a network under `trio.socket` for the time of the block.

    Everything in this run of trio that opens a socket, or looks up a name, must be on a host then, see `on_host`; what was
    opened before stays real. In the block the network's time passes with trio's clock: with `trio.testing.MockClock` and an
    ``autojump_threshold`` of 0 (the fixture ``autojump_clock`` of pytest-trio) it jumps to whatever happens next, in the
    network or in a program. Machines may run in the same network (`Host.run`), and `Network.at` works as ever; `Network.run`
    is not for the block.

    Example::

        network = Network(seed=7, latency=0.02)
        client, server = network.host("client", "192.0.2.1"), network.host("server", "192.0.2.2")
        async with open_network(network), trio.open_nursery() as nursery:
            with on_host(server):
                await nursery.start(trio.serve_tcp, echo, 7)
            with on_host(client):
                stream = await trio.open_tcp_stream("192.0.2.2", 7)

    Raises:
        RuntimeError: sockets of this run have been replaced already, by another network for one.
        SimulationError: what the network raises, from the block; see `Network.run`.
    """
    taken = trio.socket.set_custom_socket_factory(Sockets(network))
    if taken is not None:
        trio.socket.set_custom_socket_factory(taken)
        raise RuntimeError(f"the sockets of this run are those of {taken!r} already: one network a run")
    names = trio.socket.set_custom_hostname_resolver(Names())
    watch_for_leaving()
    time = _Time(network)
    try:
        async with time.passing():
            yield network
    finally:
        trio.socket.set_custom_socket_factory(None)
        trio.socket.set_custom_hostname_resolver(names)


class _Time(trio.abc.Instrument):
    """Keeps the network's time with trio's.

    Before a task runs, all happens in the network that is due by then; after it ran, a task of our own wants to be woken
    when the next thing happens. So nobody else has to know of two clocks: neither sockets, nor a test that calls machines.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._offset = trio.current_time() - network.now
        self._scope: trio.CancelScope | None = None  # in which our task sleeps
        self._until = math.inf  # the network's time at which it wakes
        self._failure: BaseException | None = None
        self._block = trio.CancelScope()
        self._limiter = trio.to_thread.current_default_thread_limiter()
        self._threads = self._limiter.borrowed_tokens
        self._over = False

    @contextlib.asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Have time pass in the block."""
        trio.lowlevel.add_instrument(self)
        trio.lowlevel.spawn_system_task(self._sleep, name="time of a simulated network")
        try:
            with self._block:
                yield
        finally:
            trio.lowlevel.remove_instrument(self)
            self._over = True
            if self._scope is not None:
                self._scope.cancel()
            if self._failure is not None:
                raise self._failure

    async def _sleep(self) -> None:
        while not self._over and self._failure is None:
            self._until = self._network.next_time
            self._scope = trio.CancelScope(deadline=self._until + self._offset)
            with self._scope:
                await trio.sleep_forever()
            if not self._over:
                self._let_happen(self._until)  # in case that the two clocks round differently

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Let happen what is due."""
        now = trio.current_time() - self._offset
        if now > self._network.now or self._network.next_time <= now:
            self._let_happen(now)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See what the task changed."""
        network, scope = self._network, self._scope
        if self._failure is not None:
            return
        self._look_for_threads(task)
        if scope is not None and network.next_time != self._until and not scope.cancel_called:
            self._until = network.next_time
            scope.deadline = self._until + self._offset
        if network.now + self._offset > trio.current_time() + _AHEAD:
            self._fail(
                SimulationError("the network ran ahead of trio's clock: within `open_network` trio's time is the network's")
            )

    def _look_for_threads(self, task: trio.lowlevel.Task) -> None:
        before, self._threads = self._threads, self._limiter.borrowed_tokens
        if self._threads > before and (host := task.context.get(HERE)) is not None:
            try:
                warn_of_thread(host)
            except LeftNetworkWarning as warning:
                self._fail(warning)

    def _let_happen(self, now: float) -> None:
        if self._failure is None:
            try:
                self._network.run(until=now)
            except BaseException as error:  # an instrument's exceptions go into a log, and this one belongs to the block
                self._fail(error)

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._block.cancel()
