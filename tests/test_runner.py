"""`python3 tests`: the decisions it takes; what it runs is seen by running it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def runner():
    spec = importlib.util.spec_from_file_location("tests_command", ROOT / "tests" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def stage(runner, monkeypatch, tmp_path):
    """The runner with every command written down instead of run; `stage.fail` holds names of steps that fail."""

    class Stage:
        fail: tuple[str, ...] = ()  # `NAME #2` is only its second run
        failures: tuple[str, ...] = ()  # the tests that pytest notes as failed

        def __init__(self):
            self.steps = []

        def run(self, name, command, where, python=None):
            self.steps.append((name, [str(part) for part in command]))
            noted = [Path(part.removeprefix("cache_dir=")) for part in map(str, command) if part.startswith("cache_dir=")]
            for cache in noted if self.failures else ():
                (cache / "v" / "cache").mkdir(parents=True, exist_ok=True)
                (cache / "v" / "cache" / "lastfailed").write_text(json.dumps(dict.fromkeys(self.failures, True)))
            times = sum(one == name for one, _ in self.steps)
            return name not in self.fail and f"{name} #{times}" not in self.fail

        def names(self):
            return [name for name, _ in self.steps if not name.startswith(("install", "build", "virtual"))]

    stage = Stage()
    monkeypatch.setattr(runner, "run", stage.run)
    monkeypatch.setattr(runner, "build_wheel", lambda python, folder: folder / "sansice.whl")
    monkeypatch.setattr(runner, "version", lambda python, parts=3: "3.12.1" if "3.12" in str(python) else "3.11.7")
    monkeypatch.setattr(runner, "VENVS", tmp_path)
    monkeypatch.setattr(runner.sys, "executable", "/usr/bin/python3.11")
    monkeypatch.setattr(runner, "other_versions", lambda: ["3.12", "3.13", "3.14"])
    monkeypatch.setattr(runner, "find_python", {"3.12": Path("/usr/bin/python3.12")}.get)
    monkeypatch.setattr(runner, "DEBIAN", ())
    return stage


PACKAGES = ["sansice", "sansice_trio", "sansice_asyncio", "sansice_blocking"]
CHECKS = ["ruff check", "ruff format", "mypy", "pyright", *(f"pyright --verifytypes {package}" for package in PACKAGES)]

SUITES = ["captures on 3.11.7", "pytest on 3.11.7", "coverage", "captures on 3.12.1", "pytest on 3.12.1"]
AGAIN = "pytest on 3.11.7, what failed, alone"


def test_everything_runs_and_the_suite_comes_last(runner, stage):
    assert runner.main([]) == 0
    assert stage.names() == [*CHECKS, *SUITES]


def test_every_python_that_is_not_there_is_named(runner, stage, capsys):
    assert runner.main([]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: ")]
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["pytest on 3.13", "pytest on 3.14"]
    runner.main(["--quick"])
    assert "left out" not in capsys.readouterr().err


def test_quick_runs_the_suite_alone_and_without_gates(runner, stage):
    assert runner.main(["--quick"]) == 0
    assert stage.names() == ["pytest on 3.11.7"]
    assert not any(part.startswith("--cov") for part in stage.steps[-1][1])


def test_set_up_installs_and_runs_nothing(runner, stage):
    assert runner.main(["--set-up"]) == 0
    assert stage.names() == []
    assert stage.steps[-1][0] == "install what its extras need: test"


def test_other_arguments_go_to_pytest_and_paths_are_seen_from_the_root(runner, stage):
    runner.main(["-k", "docs", "tests/test_docs.py::test_x"])
    (command,) = [command for name, command in stage.steps if name.startswith("pytest")]
    assert command[-3:] == ["-k", "docs", str(ROOT / "tests/test_docs.py::test_x")]
    assert stage.names() == ["pytest on 3.11.7"]


def test_whole_run_has_the_coverage_gate_and_records_the_requirements(runner, stage):
    runner.main([])
    first, second = [command for name, command in stage.steps if name.startswith("pytest")]
    assert {"--cov-branch", f"--req-record={runner.RECORD}"} <= set(first)
    (gate,) = [command for name, command in stage.steps if name == "coverage"]
    assert "--fail-under=100" in gate
    assert not any(part.startswith("--cov") for part in second)
    assert first[-1] == second[-1] == str(ROOT / "tests")
    assert "not long" not in first
    assert second[-3:-1] == ["-m", "not long"]  # once is enough for these


@pytest.mark.parametrize("step", [*CHECKS, *SUITES])
def test_failed_step_fails_the_whole_but_stops_nothing(runner, stage, step, capsys):
    stage.fail = (step,)
    assert runner.main([]) == 1
    assert stage.names() == [*CHECKS, *SUITES]
    assert f"FAILED: {step}" in capsys.readouterr().err


def test_what_fails_in_the_real_world_is_tried_again_alone_and_named(runner, stage, capsys):
    stage.fail = ("pytest on 3.11.7",)
    stage.failures = ("tests/interop/test_aioice.py::test_x[a b]", "tests/test_leaks.py::test_y")
    assert runner.main([]) == 0
    again = [command for name, command in stage.steps if name == AGAIN]
    assert len(again) == runner.TIMES_AGAIN
    assert all(command[-2:] == [str(ROOT / one) for one in stage.failures] and "-n" not in command for command in again)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("UNSTABLE")]
    assert [line.rpartition("pytest on 3.11.7: ")[2] for line in lines] == list(stage.failures)


@pytest.mark.parametrize("time", range(1, 4))
def test_what_fails_alone_too_fails_the_whole(runner, stage, capsys, time):
    stage.fail = ("pytest on 3.11.7", f"{AGAIN} #{time}")
    stage.failures = ("tests/test_leaks.py::test_y",)
    assert runner.main([]) == 1
    assert [name for name in stage.names() if name == AGAIN] == [AGAIN] * time
    err = capsys.readouterr().err
    assert "FAILED: pytest on 3.11.7" in err
    assert "UNSTABLE" not in err


@pytest.mark.parametrize(
    "failures",
    [
        ["tests/ice/test_candidate.py::test_x"],
        ["tests/test_leaks.py::test_y", "tests/stun/test_message.py::test_x"],
        ["tests/interop/test_aioice.py"] * 4,
        [],
    ],
)
def test_what_is_ours_alone_or_too_much_for_an_accident_is_not_tried_again(runner, stage, failures):
    stage.fail = ("pytest on 3.11.7",)
    stage.failures = tuple(f"{one}[{number}]" for number, one in enumerate(failures))
    assert runner.main([]) == 1
    assert AGAIN not in stage.names()


def test_real_tests_are_where_the_runner_says(runner):
    assert all((ROOT / name).exists() for name in runner.REAL)


def test_suite_is_not_tried_where_it_could_not_be_installed(runner, stage):
    stage.fail = ("install the wheel",)
    assert runner.main([]) == 1
    assert stage.names() == []


def test_interpreter_that_cannot_be_set_up_is_a_failure_of_its_own(runner, stage, monkeypatch, capsys):
    def no_312(base):
        if "3.12" in str(base):
            raise runner.Failed("no virtual environment for python3.12")
        return Path("/venv/3.11/bin/python")

    monkeypatch.setattr(runner, "make_venv", no_312)
    assert runner.main([]) == 1
    assert stage.names()[-2:] == ["pytest on 3.11.7", "coverage"]
    assert "FAILED: pytest on 3.12.1: no virtual environment" in capsys.readouterr().err


def test_missing_debian_package_is_named_where_it_cannot_be_installed(runner, stage, monkeypatch, capsys):
    monkeypatch.setattr(runner, "DEBIAN", (("python3-venv", "makes virtual environments", False), ("make", "builds", True)))
    monkeypatch.setattr(runner.os, "geteuid", lambda: 1000)
    runner.main(["--quick"])
    err = capsys.readouterr().err
    assert "left out: Debian package python3-venv (makes virtual environments): needs root and apt-get" in err
    assert "package make" not in err


def test_missing_debian_package_is_installed_by_root(runner, stage, monkeypatch):
    monkeypatch.setattr(runner, "DEBIAN", (("python3-venv", "makes virtual environments", False),))
    monkeypatch.setattr(runner.os, "geteuid", lambda: 0)
    monkeypatch.setattr(runner.shutil, "which", lambda name: f"/usr/bin/{name}")
    runner.main(["--quick"])
    install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends", "python3-venv"]
    assert install in [command for _, command in stage.steps]


def test_version_of_what_is_no_interpreter_is_empty(runner, tmp_path):
    assert runner.version(Path(sys.executable)) == "{}.{}.{}".format(*sys.version_info)
    assert runner.version(tmp_path / "python") == ""


def test_other_pythons_are_of_other_minor_versions_and_real(runner):
    minors = runner.other_versions()
    assert "{}.{}".format(*sys.version_info) not in minors
    assert set(minors) | {"{}.{}".format(*sys.version_info)} >= set(runner.OTHERS)
    found = {minor: path for minor in minors if (path := runner.find_python(minor)) is not None}
    assert {minor: runner.version(path, parts=2) for minor, path in found.items()} == {minor: minor for minor in found}


def test_python_of_path_comes_before_pyenvs_and_of_these_the_newest(runner, tmp_path, monkeypatch):
    places = [tmp_path / "versions" / full / "bin" / "python" for full in ("3.12.9", "3.12.10")]
    for place in places:
        place.parent.mkdir(parents=True)
        place.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(runner, "version", lambda python, parts: "3.12")
    monkeypatch.setattr(runner.shutil, "which", lambda name: None)
    assert runner.find_python("3.12") == places[1]
    assert runner.find_python("3.13") is None
    monkeypatch.setattr(runner.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert runner.find_python("3.12") == Path("/usr/bin/python3.12")
    monkeypatch.setattr(runner, "version", lambda python, parts: "")  # a shim of pyenv, for a version that is not chosen
    assert runner.find_python("3.12") is None


def test_step_is_judged_by_its_exit_code_and_its_output_is_shown(runner, tmp_path, capfd):
    assert runner.run("good", [sys.executable, "-c", "print('seen')"], tmp_path)
    assert not runner.run("bad", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path)
    out, err = capfd.readouterr()
    assert "seen" in out.splitlines()
    assert "bad: exit code 3" in err


def test_step_that_hangs_is_ended_with_its_children(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "STEP_SECONDS", 0.5)
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    child = "import signal; file = open('fifo', 'w'); signal.pause()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert not runner.run("hangs", [sys.executable, "-c", program], tmp_path)
    assert os.read(reader, 1) == b""  # the end comes when nobody holds the other side any more
    os.close(reader)


def test_environment_does_not_lead_past_the_virtual_environment(runner, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    env = runner.environment(Path("/venv/bin/python"))
    assert "PYTHONPATH" not in env
    assert env["PATH"].startswith("/venv/bin:")
    assert env["VIRTUAL_ENV"] == "/venv"


def test_ci_calls_the_same_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert script.rstrip().endswith('exec python3 tests "$@"')
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"]).returncode == 0
