"""One scene, and what is written about it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import attrs
import click

from sansice.simulation import Capture, Passage, Scene, SceneRun, SimulationError, Story, changes_in_words, simulate
from sansice_cli._text import count

_STDOUT = Path("-")


@attrs.frozen(kw_only=True)
class Wishes:
    """What is to be written.

    Attributes:
        pcap, svg: files to write; ``-`` is stdout.
        timeline, diagram: on the terminal.
        limit: packets in each of them but the capture.
        as_json: a JSON object on stdout, the rest on stderr.

    Raises:
        click.UsageError: two of them want stdout.
    """

    pcap: Path | None = None
    svg: Path | None = None
    timeline: bool = False
    diagram: bool = False
    limit: int
    as_json: bool = False

    def __attrs_post_init__(self) -> None:
        if self._files_on_stdout + self.as_json > 1:
            raise click.UsageError("--pcap -, --svg - and --json: not more than one of them, as both want stdout")

    @property
    def stream(self) -> TextIO:
        """Where a person reads."""
        return sys.stderr if self.as_json or self._files_on_stdout else sys.stdout

    @property
    def _files_on_stdout(self) -> int:
        return sum(path == _STDOUT for path in (self.pcap, self.svg))


def run_scene(scene: Scene, seed: int, wishes: Wishes) -> int:
    """Run it; the exit code.

    Raises:
        click.ClickException: the simulated world does something impossible, or a file cannot be written.
    """
    story = Story(limit=wishes.limit)
    try:
        with contextlib.ExitStack() as stack:
            observers: list[Callable[[Passage], object]] = [story]
            if wishes.pcap is not None:
                file = stack.enter_context(click.open_file(str(wishes.pcap), "wb"))
                observers.append(stack.enter_context(Capture(file, comment=f"{scene.name}, seed {seed}")))
            run = simulate(scene, seed=seed, observers=observers)
    except OSError as error:
        raise click.ClickException(f"{wishes.pcap}: {error.strerror}") from None
    except (SimulationError, ValueError) as error:
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise click.ClickException(f"{scene.name}: {error}{notes}") from None
    _write_story(run, story, wishes)
    _summarize(run, wishes.stream)
    if wishes.as_json:
        click.echo(json.dumps(_report(run)))
    return 1 if run.surprises else 0


def _write_story(run: SceneRun, story: Story, wishes: Wishes) -> None:
    nodes, notes = run.world.nodes, changes_in_words(run.scene)
    if wishes.timeline:
        click.echo(story.timeline(nodes, notes), file=wishes.stream)
    if wishes.diagram:
        click.echo(story.diagram(nodes, notes), file=wishes.stream)
    if wishes.svg is not None:
        image = story.svg(nodes, notes, title=f"{run.scene.name}, seed {run.seed}")
        try:
            with click.open_file(str(wishes.svg), "w", encoding="utf-8") as file:
                file.write(image)
        except OSError as error:
            raise click.ClickException(f"{wishes.svg}: {error.strerror}") from None


def _summarize(run: SceneRun, stream: TextIO) -> None:
    head = click.style(f"{run.scene.name}, seed {run.seed}:", bold=True)
    packets = count(run.packets, "packet")
    if run.connected:
        words = f"connected over {', '.join(run.pair_types)} after {run.setup_ms:g} ms, {packets}"
        if not run.lasted:
            words += "; no longer connected at the end"
    else:
        words = f"not connected, {packets}"
    click.echo(f"{head} {click.style(words, fg='green' if run.connected else 'yellow')}", file=stream)
    for surprise in run.surprises:
        click.secho(f"not as the scene says: {surprise}", fg="red", file=stream)
    for name, agent in run.agents.items():
        for finding in agent.explain().findings[:1]:
            click.echo(f"{name}: {finding}", file=stream)


def _report(run: SceneRun) -> dict[str, object]:
    return {
        "scene": run.scene.name,
        "seed": run.seed,
        "connected": run.connected,
        "setup_ms": run.setup_ms,
        "pair_types": list(run.pair_types),
        "packets": run.packets,
        "events": len(run.events),
        "lasted": run.lasted,
        "sent": run.sent,
        "echoed": run.echoed,
        "surprises": list(run.surprises),
        "causes": {name: [one.cause.value for one in agent.explain().findings] for name, agent in run.agents.items()},
    }
