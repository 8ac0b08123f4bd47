"""Dask, as a sweep uses it: a cluster of this machine, or one that there is."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import click
import dask.config
from distributed import Client, Nanny, Scheduler, SpecCluster, Worker
from distributed.comm.addressing import get_address_host_port
from distributed.security import Security

from sansice import __version__

LOOPBACK = "127.0.0.1"
CONNECT_TIMEOUT = 10.0  # s for a cluster to answer: it is there, or it is not

_SILENT: Any = logging.CRITICAL  # Dask takes a level where it says that it takes a bool

# Sessions are nothing but computing: samples of what a worker does take from it, and nobody looks at them.
_CONFIG = {"distributed.worker.profile.enabled": False}


class _QuietScheduler(Scheduler):
    """Has no HTTP server: Dask's own opens a port for the dashboard even where there is none."""

    def start_http_server(self, *args: Any, **kwargs: Any) -> None:
        """None."""


class _QuietWorker(Worker):
    """Has no HTTP server either."""

    def start_http_server(self, *args: Any, **kwargs: Any) -> None:
        """None."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def local_cluster(workers: int) -> Iterator[Client]:
    """Processes of this machine, each with one thread, that talk over the loopback interface and are gone in the end.

    A worker that dies is replaced. Whoever connects to a scheduler can have it run anything, so they know each other by
    certificates that live as long as they do: others on this machine cannot.
    """
    security = Security.temporary()
    place: dict[str, Any] = {"host": LOOPBACK, "protocol": "tls://", "security": security, "dashboard": False}
    with tempfile.TemporaryDirectory(prefix="sansice-sweep-") as folder, dask.config.set(_CONFIG):
        options = {
            **place,
            "nthreads": 1,
            "memory_limit": 0,  # they have no data: what they need is theirs
            "local_directory": folder,
            "worker_class": _QuietWorker,
            "silence_logs": _SILENT,  # a worker that dies is told of by who waits for it
        }
        with _deaf_to_interrupts() as deaf:
            cluster = deaf.submit(
                SpecCluster,
                scheduler={"cls": _QuietScheduler, "options": place},
                workers={number: {"cls": Nanny, "options": options} for number in range(workers)},
                security=security,
                silence_logs=_SILENT,
            ).result()
        with cluster, Client(cluster, set_as_default=False, timeout=CONNECT_TIMEOUT) as client:
            yield client


def _deaf_to_interrupts() -> Executor:
    """A thread whose threads and processes, and theirs, get no SIGINT: they inherit that from their first moment on.

    A terminal's Ctrl-C goes to a whole group of processes; a worker that took it would say so with a traceback, and be
    replaced or, while it starts, end the sweep as failed.
    """
    resource_tracker.ensure_running()  # a thread that begins it, as the first one to have a process does, would hear again
    return ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, {signal.SIGINT}))


@contextmanager
def remote_cluster(address: str) -> Iterator[Client]:
    """A cluster that there is, whose workers have sansice installed.

    Raises:
        click.ClickException: nobody answers at this address, or a worker has another version of sansice, or none.
    """
    try:
        get_address_host_port(address)  # a client that cannot read it is not closed without a traceback
        client = Client(address, set_as_default=False, timeout=CONNECT_TIMEOUT)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--dask {address}: {error}") from None
    with client:
        _require_same_version(client, address)
        yield client


def _require_same_version(client: Client, address: str) -> None:
    """Another version may have other answers for the same seeds."""
    found: Any = client.run(importlib.metadata.version, "sansice", on_error="return")
    for worker, version in found.items():
        if version != __version__:
            said = f"no sansice ({version})" if isinstance(version, Exception) else f"sansice {version}"
            raise click.ClickException(f"--dask {address}: the worker {worker} has {said}, and here is {__version__}")
