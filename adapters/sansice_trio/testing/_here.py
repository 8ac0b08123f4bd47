"""Which host a task is on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from sansice.simulation import Host, SimulationError

HERE: ContextVar[Host] = ContextVar("sansice host")
"""The host of a task, and of the tasks that it starts."""


@contextlib.contextmanager
def on_host(host: Host) -> Iterator[Host]:
    """Have this task be on ``host`` within the block, and with it every task, and every thread, that is started there.

    Example::

        with on_host(server):
            nursery.start_soon(trio.serve_tcp, handler, 80)
        with on_host(client):
            stream = await trio.open_tcp_stream("192.0.2.1", 80)

    A socket stays on the host where it was made.
    """
    before = HERE.set(host)
    try:
        yield host
    finally:
        HERE.reset(before)


def here(what: str) -> Host:
    """The host of the current task.

    Raises:
        SimulationError: it is on none; the text says what was asked for.
    """
    host = HERE.get(None)
    if host is None:
        raise SimulationError(f"{what}, and this task is on no host: start it within `with on_host(host):`")
    return host
