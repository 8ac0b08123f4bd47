"""The command line of ``sansice demo``."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TextIO

import attrs
import click

from ._other import OtherProcess

if TYPE_CHECKING:
    from ._outcome import Outcome
    from ._presenter import Presenter
    from ._story import Story

MIN_SIZE = 16  # bytes, for a word and a number
MAX_SIZE = 65507  # bytes: what UDP over IPv4 can carry


@click.command()
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Datagrams to echo.")
@click.option("--size", type=click.IntRange(MIN_SIZE, MAX_SIZE), default=200, show_default=True, help="Bytes in each of them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
def demo(count: int, size: int, as_json: bool) -> int:
    """Connect two processes over real sockets, and show how.

    This process starts another one. Each runs an ICE agent; they exchange descriptions through a pipe and
    connect. Then one sends datagrams, and the other sends them back. Nothing but this machine is
    needed: a loopback interface is enough.

    Times count from the moment both ends have the other's description: setup_ms until both have
    selected a pair, first_byte_ms until the first datagram was delivered. That is earlier, because data flows
    on the first pair that works, before one is selected.

    Exit codes: 0 all datagrams came back; 1 they did not, and why; 2 usage; 130 interrupted.
    """
    stream = sys.stderr if as_json else sys.stdout
    with OtherProcess() as other:
        result = _perform(other, count, size, stream)
        if isinstance(result, signal.Signals):
            click.echo("Interrupted." if result is signal.SIGINT else f"Ended by {result.name}.", err=True)
            return 128 + result
        end_of_other = other.end()
    presenter, outcome = result
    if outcome.is_abandoned and end_of_other:
        outcome = attrs.evolve(outcome, problem=f"{outcome.problem.removesuffix('.')}: {end_of_other}.")
    presenter.conclude(outcome)
    if as_json:
        click.echo(outcome.to_json())
    return outcome.exit_code


def _perform(other: OtherProcess, count: int, size: int, stream: TextIO) -> tuple[Presenter, Outcome] | signal.Signals:
    """Run to the end, or to a signal."""
    # Only now: the other process loads the same modules meanwhile.
    import trio

    from ._echo import Echo
    from ._lines import Lines
    from ._session import Session
    from ._story import Story

    async def run(presenter: Presenter) -> Outcome | signal.Signals:
        caught: list[signal.Signals] = []

        async def watch() -> None:
            async for number in signals:
                caught.append(signal.Signals(number))
                nursery.cancel_scope.cancel()

        writing, reading = (trio.lowlevel.FdStream(file) for file in other.files)
        link = Lines(writing, reading)
        outcome: Outcome | None = None
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                try:
                    outcome = await Session(link, story, Echo(count, size), presenter).run()
                finally:
                    await link.close()
                nursery.cancel_scope.cancel()
        return outcome if outcome is not None and not caught else caught[0]

    story = Story(os.getpid(), other.pid)
    with _presenter(story, stream) as presenter:
        try:
            result = trio.run(run, presenter)
        except BaseExceptionGroup as group:
            if group.split(BrokenPipeError)[1] is not None:
                raise
            raise BrokenPipeError(errno.EPIPE, "whoever read the output has left") from group  # which click knows
    return result if isinstance(result, signal.Signals) else (presenter, result)


def _presenter(story: Story, stream: TextIO) -> AbstractContextManager[Presenter]:
    """A picture where one can be drawn, lines elsewhere."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and stream.encoding.lower().startswith("utf"):
        from rich.console import Console

        from ._live import Picture

        return Picture(story, Console(file=stream, highlight=False))
    from ._plain import Plain

    return Plain(story, lambda line: click.echo(line, file=stream))
