"""The command line of ``sansice replay``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from sansice.simulation import INVARIANTS, replay_file, replay_schedule

_SCHEDULE = "sansice-schedule"  # the key by which a schedule says what it is


@click.command(short_help="Replay a recording, or what exploration found.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--schedule", is_flag=True, help="FILE is a schedule, whatever it looks like.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
def replay(file: Path, schedule: bool, as_json: bool) -> int:
    """Replay a recording of a machine, or a schedule that sansice simulate --explore has saved.

    A recording is fed to a fresh machine, and every output byte is compared with what the machine answered then. The first
    difference is shown with the input that led to it. A schedule is run again in its scene, up to the rule that breaks.

    Exit codes: 0 all is as it was: every output, or the same rule breaks again; 1 it is not, or the file cannot be replayed;
    2 usage; 130 interrupted.
    """
    if schedule or _looks_like_a_schedule(file):
        return _replay_schedule(file, as_json)
    return _replay_recording(file, as_json)


def _looks_like_a_schedule(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return _SCHEDULE.encode() in opened.read(200)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None


def _replay_recording(file: Path, as_json: bool) -> int:
    try:
        report = replay_file(file)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(_at(file, error)) from None
    click.secho(str(report), fg=None if report.same else "red", file=sys.stderr if as_json else sys.stdout)
    if as_json:
        fields = {
            "machine": report.machine,
            "steps": len(report.recording.steps),
            "replayed": report.replayed,
            "outputs": report.outputs,
            "same": report.same,
            "difference": None if report.difference is None else str(report.difference),
        }
        click.echo(json.dumps(fields))
    return 0 if report.same else 1


def _replay_schedule(file: Path, as_json: bool) -> int:
    try:
        text = file.read_text("utf-8")
        run = replay_schedule(text)
        meant = json.loads(text).get("invariant")
        if meant not in _KNOWN:
            raise ValueError(f"{meant} is no rule of sansice's own: give it to replay_schedule(..., invariants=)")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(_at(file, error)) from None
    stream = sys.stderr if as_json else sys.stdout
    breach = run.breach
    for line in () if breach is None else breach.story:
        click.echo(line, file=stream)
    same = breach is not None and breach.invariant == meant
    if breach is None:
        click.echo(f"{meant} holds now: nothing is broken after {run.inputs} inputs.", file=stream)
    elif not same:
        click.echo(f"When it was found, {meant} was broken.", file=stream)
    if as_json:
        fields = {
            "invariant": None if breach is None else breach.invariant,
            "finding": None if breach is None else breach.finding,
            "events": None if breach is None else breach.events,
            "same": same,
        }
        click.echo(json.dumps(fields))
    return 0 if same else 1


_KNOWN = {getattr(rule, "__name__", "") for rule in INVARIANTS} | {"NothingRaises", "TimeMovesOn"}


def _at(file: Path, error: ValueError) -> str:
    return str(error) if str(file) in str(error) else f"{file}: {error}"
