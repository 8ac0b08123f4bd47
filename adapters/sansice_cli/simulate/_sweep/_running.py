"""Chunks of sessions on a cluster."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, cast

import click
from distributed import Client, Future, KilledWorker

from sansice.simulation import SimulationError, Sweep, SweepAnswer, run_sweep

AHEAD = 4  # chunks for each thread of the cluster: none ever waits for us, and what is under way stays small
LEAST_AHEAD = 16  # a cluster that grows as it is asked must see that there is work
LOOK = 0.2  # s from one look at the signals to the next

Keep = Callable[[range, Sequence[SweepAnswer]], object]


def run_chunks(client: Client, sweep: Sweep, chunks: Sequence[range], keep: Keep, stop: Callable[[], bool]) -> None:
    """Have all chunks run, in any order, and hand over the answers of each as it is done.

    A chunk whose worker dies is run again elsewhere.

    Args:
        client: of the cluster.
        sweep: of which they are.
        chunks: of sessions, by number.
        keep: called in this thread.
        stop: asked now and then; where it says true, what has not begun never does.

    Raises:
        click.ClickException: a session cannot be, a chunk kills every worker, or the cluster is gone.
    """
    ahead = max(LEAST_AHEAD, AHEAD * sum(cast("dict[str, int]", client.nthreads()).values()))
    waiting = iter(chunks)
    done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    running: dict[Any, tuple[range, Future[Any]]] = {}
    try:
        _submit(client, sweep, waiting, running, done, ahead)
        while running and not stop():
            try:
                future = done.get(timeout=LOOK)
            except queue.Empty:
                continue
            sessions, _ = running.pop(future.key)
            keep(sessions, _answers_of(future, sessions))
            _submit(client, sweep, waiting, running, done, ahead - len(running))
    finally:
        client.cancel([future for _, future in running.values()], force=True)


def _submit(
    client: Client,
    sweep: Sweep,
    waiting: Iterator[range],
    running: dict[Any, tuple[range, Future[Any]]],
    done: queue.SimpleQueue[Future[Any]],
    count: int,
) -> None:
    for _, sessions in zip(range(count), waiting, strict=False):
        future = client.submit(run_sweep, sweep, sessions.start, sessions.stop, pure=False)
        running[future.key] = sessions, future
        future.add_done_callback(done.put)


def _answers_of(future: Future[Any], sessions: range) -> Sequence[SweepAnswer]:
    try:
        answers: Sequence[SweepAnswer] = future.result()
    except KilledWorker:
        said = f"sessions {sessions.start} to {sessions.stop - 1}: every worker that ran them died"
        raise click.ClickException(said) from None
    except CancelledError:
        raise click.ClickException("the cluster is gone; what is finished is kept, and the same command goes on") from None
    except (SimulationError, ValueError) as error:
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        raise click.ClickException(f"{error}{notes}") from None
    return answers
