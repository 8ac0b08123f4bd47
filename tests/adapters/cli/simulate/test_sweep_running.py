"""Chunks of sessions on a cluster of this machine, whose workers may die."""

import concurrent.futures
import importlib.metadata
import os
import signal

import click
import psutil
import pytest
from distributed import KilledWorker

from sansice.simulation import NatCouple, SimulationError, Sweep, run_sweep
from sansice_cli.simulate._sweep._cluster import _require_same_version, cores, local_cluster, remote_cluster
from sansice_cli.simulate._sweep._running import _answers_of, run_chunks

HANG = 120  # seconds
SWEEP = Sweep(name="x", couples=(NatCouple("open", "full-cone"),), parameters={"loss": (0.0, 0.2)}, seeds=range(60))
CHUNKS = [range(first, first + 5) for first in range(0, SWEEP.sessions, 5)]


@pytest.fixture(scope="module")
def cluster():
    """A client, and the processes of a cluster with two workers; afterwards nothing of it is left."""
    before = set(psutil.Process().children(recursive=True))
    with local_cluster(2) as client:
        yield client, [one for one in psutil.Process().children(recursive=True) if one not in before]
        started = [one for one in psutil.Process().children(recursive=True) if one not in before]
    workers = [one for one in started if "resource_tracker" not in " ".join(one.cmdline() if one.is_running() else [])]
    _, alive = psutil.wait_procs(workers, timeout=HANG)
    assert alive == []


@pytest.fixture
def client(cluster):
    return cluster[0]


def test_cluster_listens_on_the_loopback_interface_alone_and_has_no_dashboard(cluster):
    client, processes = cluster
    mine = psutil.Process().net_connections("inet")
    listening = [one.laddr.ip for one in mine if one.status == psutil.CONN_LISTEN]
    for process in processes:
        listening += [one.laddr.ip for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert set(listening) == {"127.0.0.1"}
    info = client.scheduler_info(n_workers=-1)
    assert info["address"].startswith("tls://127.0.0.1:")  # nobody else on this machine can have it run anything
    assert info["services"] == {}
    assert [one["services"] for one in info["workers"].values()] == [{}, {}]
    assert [one["nthreads"] for one in info["workers"].values()] == [1, 1]


def test_answers_are_those_of_this_process(client):
    kept = {}
    run_chunks(client, SWEEP, CHUNKS, kept.__setitem__, lambda: False)
    assert sorted(kept, key=lambda sessions: sessions.start) == CHUNKS
    assert [answer for sessions in CHUNKS for answer in kept[sessions]] == run_sweep(SWEEP)


def test_worker_that_dies_costs_its_chunk_again_and_nothing_else(client):
    pids = list(client.run(os.getpid).values())
    kept = []

    def keep(sessions, answers):
        if not kept:
            os.kill(pids[0], signal.SIGKILL)
        kept.append((sessions.start, answers))

    run_chunks(client, SWEEP, CHUNKS, keep, lambda: False)
    kept.sort(key=lambda one: one[0])
    assert [start for start, _ in kept] == [sessions.start for sessions in CHUNKS]
    assert [answer for _, answers in kept for answer in answers] == run_sweep(SWEEP)
    client.wait_for_workers(2, timeout=HANG)
    assert pids[0] not in client.run(os.getpid).values()


def test_once_stopped_nothing_more_is_kept_or_left_with_the_cluster(client):
    kept = []
    run_chunks(client, SWEEP, CHUNKS, lambda sessions, answers: kept.append(sessions), lambda: len(kept) >= 2)
    assert len(kept) == 2
    assert {one.status for one in client.futures.values()} <= {"finished"}


def test_stopped_before_it_began_it_keeps_nothing(client):
    kept = []
    run_chunks(client, SWEEP, CHUNKS, lambda sessions, answers: kept.append(sessions), lambda: True)
    assert kept == []


def test_what_is_wrong_with_a_session_is_told_with_its_seed(client):
    impossible = Sweep(
        name="x", couples=(NatCouple("open", "open"),), parameters={"loss": (0.9,), "burst_length": (2.0,)}, seeds=range(5)
    )
    with pytest.raises(click.ClickException, match=r"open-open with loss 0.9, burst_length 2.0: loss must be"):
        run_chunks(client, impossible, [range(5)], lambda *_: None, lambda: False)


def failed(error):
    future = concurrent.futures.Future()
    future.set_exception(error)
    return future


def test_notes_of_an_error_are_told():
    error = SimulationError("time stands still")
    error.add_note("in two-homes, loss 0.3, with seed 42")
    with pytest.raises(click.ClickException, match=r"^time stands still; in two-homes, loss 0\.3, with seed 42$"):
        _answers_of(failed(error), range(5))


def test_chunk_that_kills_every_worker_is_named():
    with pytest.raises(click.ClickException, match="sessions 5 to 9: every worker that ran them died"):
        _answers_of(failed(KilledWorker("key", None, 4)), range(5, 10))


def test_cluster_that_is_gone_is_told():
    future = concurrent.futures.Future()
    future.cancel()
    with pytest.raises(click.ClickException, match="the cluster is gone; what is finished is kept"):
        _answers_of(future, range(5))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense://x"])
def test_cluster_that_does_not_answer_is_named(address, monkeypatch):
    monkeypatch.setattr("sansice_cli.simulate._sweep._cluster.CONNECT_TIMEOUT", 0.2)
    with pytest.raises(click.ClickException, match=f"--dask {address}: "), remote_cluster(address):
        pass


def test_cores_are_those_that_this_process_may_use():
    assert cores() == len(os.sched_getaffinity(0))


def test_cluster_whose_workers_lack_sansice_is_refused():
    class Bare:
        def run(self, function, *arguments, on_error):
            return {"tcp://10.0.0.5:1": importlib.metadata.PackageNotFoundError("sansice")}

    with pytest.raises(click.ClickException, match=r"--dask x: the worker tcp://10\.0\.0\.5:1 has no sansice \(No package"):
        _require_same_version(Bare(), "x")
