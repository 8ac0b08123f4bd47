"""A sweep from its file to its pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import click
from distributed import Client

from sansice.simulation import Sweep, SweepAnswer
from sansice_cli._ended import EndedBySignalError
from sansice_cli.simulate._interrupts import Interrupts
from sansice_cli.simulate._progress import progress

from ._cluster import cores, local_cluster, remote_cluster
from ._file import read_file
from ._folder import SUMMARY_FILE, Folder, replacing
from ._plots import draw_plots
from ._running import run_chunks
from ._summary import Summary
from ._tables import draw


def run_sweep_file(path: Path, out: Path, interrupts: Interrupts, *, workers: int | None, dask: str | None, as_json: bool) -> int:
    """Run what is not finished, then tell what came out; the exit code. Where an interrupt is noted, no more is begun.

    Raises:
        EndedBySignalError: by a signal; the same command goes on where it stopped.
        click.UsageError: see `read_file`.
        click.ClickException: see `Folder.opened`, `remote_cluster` and `run_chunks`.
    """
    sweep = read_file(path)
    stream = sys.stderr if as_json else sys.stdout
    with Folder.opened(out, sweep) as folder:
        found = sweep.sessions if folder.is_finished else sweep.sessions - sum(map(len, folder.unfinished()))
        if found:
            click.echo(f"{out}: {found} of {sweep.sessions} sessions were finished before", file=sys.stderr)
        if not folder.is_finished:
            cluster = local_cluster(workers or cores()) if dask is None else remote_cluster(dask)
            _run(folder, cluster, interrupts)
        if interrupts.caught is not None:
            left = sum(map(len, folder.unfinished()))
            finished = sweep.sessions - left
            click.echo(f"{finished} of {sweep.sessions} sessions are finished; the same command goes on.", file=stream)
            _report(sweep, out, as_json, interrupted=True, finished=finished)
            raise EndedBySignalError(interrupts.caught)
        summary = Summary.of(folder.answers)
        with replacing(out / SUMMARY_FILE) as part:
            part.write_text(json.dumps(summary.to_json(), indent=2) + "\n", "utf-8")
        plots = draw_plots(summary, out, sweep.name)
    draw(summary, sweep.name, stream)
    for one in (folder.answers, out / SUMMARY_FILE, *plots):
        click.echo(str(one), file=stream)
    _report(sweep, out, as_json, interrupted=False, finished=sweep.sessions, **summary.to_json())
    return 0


def _run(folder: Folder, cluster: AbstractContextManager[Client], interrupts: Interrupts) -> None:
    """Run the chunks that are not there, and make the table once all are."""
    chunks = folder.unfinished()
    if chunks and interrupts.caught is None:
        wanted, done = sum(map(len, chunks)), 0
        with cluster as client, progress(sys.stderr, "sweep") as shown:

            def keep(sessions: range, answers: Sequence[SweepAnswer]) -> None:
                nonlocal done
                folder.keep(sessions, answers)
                done += len(sessions)
                shown.show(done / wanted, done)

            run_chunks(client, folder.sweep, chunks, keep, lambda: interrupts.caught is not None)
    if interrupts.caught is None:
        folder.finish()


def _report(sweep: Sweep, out: Path, as_json: bool, **values: object) -> None:
    if as_json:
        click.echo(json.dumps({"sweep": sweep.name, "out": str(out), "points": sweep.points, "wanted": sweep.sessions, **values}))
