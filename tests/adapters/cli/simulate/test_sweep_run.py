"""A sweep from the command line: interrupted, gone on with, refused."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys

import psutil
import pyarrow.parquet as pq
import pytest
from distributed import Nanny, SpecCluster

from sansice_cli.simulate._sweep import _cluster, _extra
from sansice_cli.simulate._sweep._folder import Folder

HANG = 120  # seconds
TEXT = """
name = "homes"
seeds = {seeds}
scenes = "two-homes"
[couples]
a = ["port-restricted", "symmetric"]
b = "symmetric"
[parameters]
loss = [0.0, 0.2]
"""
FILES = ["answers.parquet", "setup-by-loss.png", "setup-by-rtt.png", "success-by-nats.png", "summary.json", "sweep.json"]


@pytest.fixture
def sweep(tmp_path):
    """A file of 1,200 sessions."""
    path = tmp_path / "homes.toml"
    path.write_text(TEXT.format(seeds=200))
    return path


def contents(folder):
    return {one.name: one.read_bytes() for one in folder.iterdir()}


def test_interrupted_sweep_goes_on_and_ends_in_the_same_files_whatever_the_workers(sweep, tmp_path, start, invoke):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    code, output, _ = invoke("simulate", "--sweep", sweep, "--out", whole, "--workers", 1)
    assert code == 0
    assert sorted(contents(whole)) == FILES
    assert "two-homes" in output and "symmetric to symmetric" in output and str(whole / "answers.parquet") in output

    with start("simulate", "--sweep", sweep, "--out", parted, "--workers", 2, "--json", start_new_session=True) as process:
        assert process.stderr.readline().startswith("sweep: ")  # a fifth of it is done
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, errors = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert "Traceback" not in errors and errors.endswith("sessions are finished; the same command goes on.\nInterrupted.\n")
    said = json.loads(output)
    assert said["interrupted"] and 200 <= said["finished"] < said["wanted"] == 1200
    _, alive = psutil.wait_procs(family, timeout=HANG)
    assert alive == []
    before = {one.name: one.stat().st_mtime_ns for one in (parted / "chunks").iterdir()}
    assert len(before) * 100 == said["finished"]

    with pytest.MonkeyPatch.context() as patch:
        kept = note_kept(patch)
        code, output, errors = invoke("simulate", "--sweep", sweep, "--out", parted, "--workers", 2, "--json")
    assert code == 0
    assert f"{said['finished']} of 1200 sessions were finished before" in errors
    assert {f"{sessions.start:09}.parquet" for sessions in kept}.isdisjoint(before)
    assert contents(parted) == contents(whole)
    said = json.loads(output.splitlines()[-1])
    assert (said["sweep"], said["points"], said["wanted"], said["finished"]) == ("homes", 6, 1200, 1200)
    assert said["interrupted"] is False
    assert said["subjects"] == json.loads((whole / "summary.json").read_text())["subjects"]

    with pytest.MonkeyPatch.context() as patch:  # once finished, no cluster is needed to tell of it
        patch.setattr("sansice_cli.simulate._sweep._run.local_cluster", lambda workers: 1 / 0)
        code, again, _ = invoke("simulate", "--sweep", sweep, "--out", parted, "--json")
    assert code == 0 and json.loads(again) == said
    assert contents(parted) == contents(whole)


def note_kept(patch):
    """The chunks that are kept from now on."""
    kept, keep = [], Folder.keep

    def noting(folder, sessions, answers):
        kept.append(sessions)
        keep(folder, sessions, answers)

    patch.setattr(Folder, "keep", noting)
    return kept


def test_cluster_that_there_is_is_used_with_dask_if_it_has_the_same_version(sweep, tmp_path, invoke, monkeypatch):
    sweep.write_text(TEXT.format(seeds=3))
    out = tmp_path / "out"
    place = {"host": "127.0.0.1", "dashboard": False}
    nanny = {**place, "nthreads": 1, "worker_class": _cluster._QuietWorker, "local_directory": str(tmp_path / "dask")}
    with SpecCluster(
        scheduler={"cls": _cluster._QuietScheduler, "options": place}, workers={0: {"cls": Nanny, "options": nanny}}
    ) as cluster:
        arguments = ["simulate", "--sweep", sweep, "--out", out, "--dask", cluster.scheduler_address, "--json"]
        with monkeypatch.context() as patch:
            patch.setattr(_cluster, "__version__", "99")
            code, _, errors = invoke(*arguments)
            assert code == 1
            assert re.search(r"the worker tcp://127\.0\.0\.1:\d+ has sansice \S+, and here is 99", errors)
        code, output, _ = invoke(*arguments)
    assert code == 0
    assert json.loads(output)["sessions"] == pq.read_metadata(out / "answers.parquet").num_rows == 18


def test_folder_of_another_sweep_is_refused(sweep, tmp_path, invoke):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sweep.json").write_text("{}")
    code, _, errors = invoke("simulate", "--sweep", sweep, "--out", tmp_path / "out")
    assert code == 1
    assert "holds another sweep" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--sweep needs --out"),
        (["--out", "x", "--workers", 1, "--dask", "127.0.0.1:8786"], "--workers and --dask exclude each other"),
        (["--out", "x", "--seed", 3], "--seed is of no use with --sweep"),
        (["--out", "x", "two-homes"], "scene is of no use with --sweep"),
    ],
)
def test_wrong_usage_is_2(arguments, said, sweep, invoke):
    code, _, errors = invoke("simulate", "--sweep", sweep, *arguments)
    assert code == 2
    assert said in errors


def test_workers_are_of_no_use_without_a_sweep(invoke):
    code, _, errors = invoke("simulate", "two-homes", "--workers", 2)
    assert code == 2
    assert "--workers is of no use to run a scene" in errors


def test_interrupt_while_workers_start_is_for_the_command_alone(sweep, tmp_path, start):
    out = tmp_path / "out"
    with start("simulate", "--sweep", sweep, "--out", out, "--workers", 2, start_new_session=True) as process:
        family = psutil.Process(process.pid)
        while not any("spawn_main" in " ".join(one.cmdline()) for one in family.children(recursive=True)):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=HANG)
    assert (process.returncode, errors.splitlines()[-1]) == (130, "Interrupted.")
    assert "Traceback" not in errors
    assert output.endswith(" of 1200 sessions are finished; the same command goes on.\n")


def test_interrupt_before_there_are_workers_begins_none(sweep, tmp_path, invoke, monkeypatch):
    monkeypatch.setattr(_extra, "require_extra", lambda: os.kill(os.getpid(), signal.SIGINT))
    monkeypatch.setattr(_cluster, "SpecCluster", None)
    code, output, said = invoke("simulate", "--sweep", sweep, "--out", tmp_path / "out")
    assert (code, said) == (130, "Interrupted.")
    assert output == "0 of 1200 sessions are finished; the same command goes on.\n"


@pytest.mark.parametrize("address", ["nonsense", "tcp://[::", "gopher://192.0.2.1:70"])
def test_address_that_is_none_is_refused_before_dask_has_it(address, sweep, tmp_path, invoke, monkeypatch):
    monkeypatch.setattr(_cluster, "Client", None)
    code, _, errors = invoke("simulate", "--sweep", sweep, "--out", tmp_path / "out", "--dask", address)
    assert code == 1
    assert errors.startswith(f"--dask {address}: ")


@pytest.mark.parametrize("missing", ["distributed", "pyarrow", "matplotlib"])
def test_missing_extra_is_named_with_the_command_that_installs_it(missing, sweep, tmp_path, invoke, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    code, _, errors = invoke("simulate", "--sweep", sweep, "--out", tmp_path / "out")
    assert code == 1
    assert errors == f"a sweep needs {missing}; install it with: pip install 'sansice[sweep]'"
    assert not (tmp_path / "out").exists()


def test_nothing_else_of_the_command_loads_what_only_sweeps_need():
    source = """
import sys
from sansice_cli.simulate import _command
from sansice_cli._main import cli
cli.main(["simulate", "two-homes"], standalone_mode=False)
assert not {"dask", "distributed", "pyarrow", "matplotlib", "numpy"} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=HANG)
    assert (done.returncode, done.stderr) == (0, "")
