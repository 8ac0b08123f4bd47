"""The command line of ``sansice demo``."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

import attrs
import click
from click.core import ParameterSource

from ._other import OtherProcess

if TYPE_CHECKING:
    from ._outcome import Outcome
    from ._presenter import Presenter
    from ._settings import Settings
    from ._story import Story

MIN_SIZE = 16  # bytes, for a word and a number
_OPTION = MappingProxyType({"servers": "server", "password_file": "password-file"})  # where it is not called like its parameter
MAX_SIZE = 65507  # bytes: what UDP over IPv4 can carry


@click.command()
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Datagrams to echo.")
@click.option("--size", type=click.IntRange(MIN_SIZE, MAX_SIZE), default=200, show_default=True, help="Bytes in each of them.")
@click.option("--server", "servers", metavar="URI", multiple=True, help="STUN or TURN, which both ends ask; repeat it.")
@click.option("--user", metavar="NAME[:PASSWORD]", help="For TURN: user name and password, parted at the last colon.")
@click.option("--password-file", type=click.File("r", encoding="utf-8"), help="Read the password from this file's first line.")
@click.option("--relay", is_flag=True, help="Connect over relays alone: those of --server, or one on this machine.")
@click.option("--lite", is_flag=True, help="The other end is a lite agent, as servers are.")
@click.option(
    "--scene", metavar="NAME", help="Two agents in the laboratory instead, in slow motion. See sansice simulate --list."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is random in the scene.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
@click.pass_context
def demo(
    ctx: click.Context,
    count: int,
    size: int,
    servers: tuple[str, ...],
    user: str | None,
    password_file: TextIO | None,
    relay: bool,
    lite: bool,
    scene: str | None,
    seed: int,
    as_json: bool,
) -> int:
    """Connect two processes over real sockets, and show how.

    This process starts another one. Each runs an ICE agent; they exchange descriptions through a pipe and
    connect. Then one sends datagrams, and the other sends them back. Nothing but this machine is
    needed: a loopback interface is enough.

    Times count from the moment both ends have the other's description: setup_ms until both have
    selected a pair, first_byte_ms until the first datagram was delivered. That is earlier, because data flows
    on the first pair that works, before one is selected.

    With --scene both agents are in the laboratory, behind NATs or what else the scene has, and the picture is twenty times
    slower than they are.

    Exit codes: 0 all datagrams came back, or the scene went as it says; 1 not so, and why; 2 usage; 130 interrupted.
    """
    stream = sys.stderr if as_json else sys.stdout
    if scene is not None:
        _refuse_beside_scene(ctx)
        from ._laboratory import show_scene

        return show_scene(scene, seed, partial(_presenter, stream=stream), as_json=as_json)
    if ctx.get_parameter_source("seed") is not ParameterSource.DEFAULT:
        raise click.UsageError("--seed goes with --scene")
    settings = None
    if servers or user or password_file or relay or lite:
        from ._settings import read_settings  # most demonstrations need none, and the other process waits for nobody then

        settings = read_settings(servers, user, password_file, relay=relay, lite=lite)
    with OtherProcess(is_told=settings is not None) as other:
        result = _perform(other, settings, count, size, stream)
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


def _refuse_beside_scene(ctx: click.Context) -> None:
    """A scene has its own agents, servers and data."""
    for name in ("count", "size", "servers", "user", "password_file", "relay", "lite"):
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--scene and --{_OPTION.get(name, name)} exclude each other")


def _perform(
    other: OtherProcess, settings: Settings | None, count: int, size: int, stream: TextIO
) -> tuple[Presenter, Outcome] | signal.Signals:
    """Run to the end, or to a signal."""
    # Only now: the other process loads the same modules meanwhile.
    import trio

    from ._echo import Echo
    from ._lines import Lines
    from ._relay import with_relay
    from ._session import Session
    from ._story import Story

    async def work(link: Lines, presenter: Presenter) -> Outcome:
        echo = Echo(count, size)
        if settings is None:
            return await Session(link, story, echo, presenter).run()
        async with with_relay(settings) as told:
            await link.send_line(told.to_line())
            return await Session(link, story, echo, presenter, told).run()

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
                    outcome = await work(link, presenter)
                finally:
                    await link.close()
                nursery.cancel_scope.cancel()
        return outcome if outcome is not None and not caught else caught[0]

    story = Story.of_processes(os.getpid(), other.pid)
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
