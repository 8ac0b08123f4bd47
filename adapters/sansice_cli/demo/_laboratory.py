"""``sansice demo --scene``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import click
import trio

from sansice.simulation import SimulationError
from sansice_cli._running import run
from sansice_cli.simulate._scenes import find_scene

from ._outcome import Outcome
from ._presenter import Presenter
from ._scene import SceneSession
from ._story import Story


def show_scene(word: str, seed: int, present: Callable[[Story], AbstractContextManager[Presenter]], *, as_json: bool) -> int:
    """Run a scene of the library, or of a file, in slow motion; the exit code.

    Raises:
        click.UsageError: there is no such scene, or no agents in it.
        click.ClickException: the simulated world does something impossible.
    """
    scene = find_scene(word)
    try:
        session = SceneSession(scene, seed)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with present(session.story) as presenter:

        async def work() -> Outcome:
            return await session.run(presenter, trio.sleep)

        try:
            outcome = run(work)
        except SimulationError as error:
            raise click.ClickException(f"{scene.name}: {error}") from None
    presenter.conclude(outcome)
    if as_json:
        click.echo(json.dumps({"scene": scene.name, "seed": seed} | outcome.values()))
    return outcome.exit_code
