"""`python3 tests`: installs what the tests need, runs every check and the whole suite, on any Python from 3.11.

Needs nothing but Python with pip's wheels at hand (PyPI or a mirror): virtual environments go to `.test-venv/`, one for each
Python, with a wheel of this tree and its `test` extra in it. The suite runs against that wheel, from an empty folder.
The last line of stdout is pytest's; the exit code is 0 when everything that ran passed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENVS = ROOT / ".test-venv"
RECORD = VENVS / "requirements.json"

OLDEST = (3, 11)
OTHERS = ("3.11", "3.12", "3.13", "3.14")
STEP_SECONDS = 1800  # a step that takes longer hangs
WORKERS = 1 + (os.cpu_count() or 1)  # of pytest: much of the suite waits for peers in other processes, and for real time

# Tests of real sockets and of other people's programs, whose time the machine shares out among whatever runs there.
REAL = tuple(f"tests/{name}" for name in ("adapters/", "interop/", "sockets/", "test_docs.py", "test_leaks.py"))
MOST_AGAIN = 3  # of them may fail beside the others and be tried again: more are no accident
TIMES_AGAIN = 3  # alone, and all of them must pass
SYSTEM_PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"

# Debian packages, each with what it is needed for and whether this machine already has it.
DEBIAN = (
    ("python3-venv", "makes virtual environments", importlib.util.find_spec("ensurepip") is not None),
    ("coturn", "the peer of interoperability tests and of the bench", shutil.which("turnserver") is not None),
    ("gcc", "compiles the load generator of the relay's bench", shutil.which("gcc") is not None),
    ("libc6-dev", "what that includes", Path("/usr/include/stdio.h").exists()),
    ("openssl", "a client of our TLS and DTLS servers", shutil.which("openssl") is not None),
    ("iproute2", "network namespaces for the tests behind real NATs", shutil.which("ip") is not None),
    ("nftables", "the NATs in them", shutil.which("nft", path=SYSTEM_PATH) is not None),
    ("chromium", "the browser that our agent connects with", shutil.which("chromium") is not None),
    ("gir1.2-nice-0.1", "libnice, a peer of our agent", any(Path("/usr/lib").glob("*/girepository-1.0/Nice-0.1.typelib"))),
    ("python3-gi", "runs that peer, on Debian's own Python", Path("/usr/lib/python3/dist-packages/gi").exists()),
    ("tinyproxy", "the HTTP proxy of an office, in front of TURN servers", shutil.which("tinyproxy") is not None),
    ("tshark", "reads the captures of simulated networks", shutil.which("tshark") is not None),
)


class Failed(Exception):
    """A step without which no other makes sense has failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Set up, check, test; say what ran and what was left out."""
    parser = argparse.ArgumentParser(
        prog="python3 tests",
        description="Set up what the tests need and run them all. Other arguments go to pytest (-k NAME, tests/stun, ...): "
        "then only the suite runs, on this Python, without the gate on coverage.",
        allow_abbrev=False,
    )
    parser.add_argument("--set-up", action="store_true", help="only make .test-venv and install this tree into it")
    parser.add_argument("--quick", action="store_true", help="only the suite, only on this Python, without coverage")
    options, to_pytest = parser.parse_known_args(arguments)
    if sys.version_info[:2] < OLDEST:
        print("sansice needs Python 3.11 or newer; run this with one: python3.12 tests", file=sys.stderr)
        return 2

    everything = not (options.quick or options.set_up or to_pytest)
    report = Report()
    try:
        install_debian_packages(report)
        with tempfile.TemporaryDirectory(prefix="sansice-tests-") as folder:
            empty = Path(folder) / "empty"
            empty.mkdir()
            python = make_venv(Path(sys.executable))
            wheel = build_wheel(python, Path(folder))
            install(python, wheel, "test,lint" if everything else "test")
            if options.set_up:
                return 0
            if everything:
                for name, command, where in checks(python, empty):
                    report.ran(name, run(name, command, where, python))
            if everything:
                name = f"captures on {version(python)}"
                report.ran(name, run(name, captures(python, Path(folder)), empty, python))
            suite(report, python, to_pytest, empty, gates=everything)
            for minor in other_versions() if everything else ():
                other = find_python(minor)
                if other is None:
                    report.left_out.append(f"pytest on {minor}: there is no python{minor} on PATH or among pyenv's versions")
                    continue
                name = f"pytest on {version(other)}"
                with report.catching(name):
                    python = make_venv(other)
                    install(python, wheel, "test")
                    same = f"captures on {version(other)}"
                    report.ran(same, run(same, captures(python, Path(folder)), empty, python))
                    suite(report, python, ("-m", "not long"), empty)
    except Failed as problem:
        report.ran(str(problem), False)
    report.print()
    return int(bool(report.failed))


class Report:
    """What ran and how it ended, and what was left out."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.left_out: list[str] = []
        self.unstable: list[str] = []

    def ran(self, name: str, passed: bool) -> None:
        (self.passed if passed else self.failed).append(name)

    @contextlib.contextmanager
    def catching(self, name: str) -> Iterator[None]:
        try:
            yield
        except Failed as problem:
            self.failed.append(f"{name}: {problem}")

    def print(self) -> None:
        sys.stdout.flush()
        for title, names in self._titles():
            for name in names:
                print(f"{title}: {name}", file=sys.stderr)

    def _titles(self) -> tuple[tuple[str, list[str]], ...]:
        unstable = ("UNSTABLE, failed beside the others and passed alone", self.unstable)
        return (("passed", self.passed), ("left out", self.left_out), unstable, ("FAILED", self.failed))


# What has to be there first


def install_debian_packages(report: Report) -> None:
    """Install what is missing where that is possible; otherwise name it."""
    missing = [(name, why) for name, why, there in DEBIAN if not there]
    if not missing:
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        names = [name for name, _ in missing]
        # tshark's package asks who may capture packets; nobody is there to answer, and nobody needs to.
        install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends", *names]
        if run("apt-get update", ["apt-get", "update", "-q"], ROOT) and run("apt-get install", install, ROOT):
            return
    report.left_out += [f"Debian package {name} ({why}): needs root and apt-get" for name, why in missing]


def make_venv(base: Path) -> Path:
    """The interpreter of the virtual environment for `base`, made where it is missing or its base has gone."""
    folder = VENVS / version(base, parts=2)
    python = folder / "bin" / "python"
    if not (python.exists() and version(python) == version(base)):
        # The base, because an environment made from within another one would lose its footing when that one goes.
        command = [base, "-c", "import sys, venv; venv.main(['--clear', sys.argv[1]])", folder]
        if not run(f"virtual environment for Python {version(base)}", command, ROOT):
            raise Failed(f"no virtual environment for {base}")
    return python


def build_wheel(python: Path, folder: Path) -> Path:
    """A wheel of this tree, in `folder`."""
    command = [*pip(python), "wheel", "--no-deps", "--wheel-dir", folder, ROOT]
    if not run("build the wheel", command, folder):
        raise Failed("the wheel could not be built")
    return next(folder.glob("*.whl"))


def install(python: Path, wheel: Path, extras: str) -> None:
    """Install `wheel`, even where the same version is there, and what its extras name."""
    again = [*pip(python), "install", "--no-deps", "--force-reinstall", wheel]
    rest = [*pip(python), "install", f"sansice[{extras}] @ {wheel.as_uri()}"]
    if not (run("install the wheel", again, ROOT) and run(f"install what its extras need: {extras}", rest, ROOT)):
        raise Failed(f"installing into {python.parents[1]}")


def pip(python: Path) -> list[str | Path]:
    return [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]


def other_versions() -> list[str]:
    """The minor versions that the suite runs on beside our own."""
    own = "{}.{}".format(*sys.version_info)
    return [minor for minor in OTHERS if minor != own]


def find_python(minor: str) -> Path | None:
    """An interpreter of a minor version: on PATH, or the newest among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(path)] if (path := shutil.which(f"python{minor}")) else []
    candidates += sorted(pyenv.glob(f"{minor}.*/bin/python"), key=_patch, reverse=True)
    return next((path for path in candidates if version(path, parts=2) == minor), None)


def _patch(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parents[1].name.split(".") if part.isdecimal())


def version(python: Path, parts: int = 3) -> str:
    """`3.12.1`, or "" where there is none: pyenv's shims stand for versions that are not chosen too."""
    program = f"import sys; print(*sys.version_info[:{parts}], sep='.')"
    try:
        return subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


# What is run


def checks(python: Path, empty: Path) -> Iterator[tuple[str, list[str | Path], Path]]:
    """Everything beside the suite: name, command and folder to run it in."""
    bin = python.parent
    yield "ruff check", [bin / "ruff", "check", "--quiet", "."], ROOT
    yield "ruff format", [bin / "ruff", "format", "--check", "--quiet", "."], ROOT
    yield "mypy", [bin / "mypy"], ROOT
    yield "pyright", [bin / "pyright"], ROOT  # takes the first `python` on PATH, and --pythonpath for the one behind it
    for package in ("sansice", "sansice_trio", "sansice_asyncio", "sansice_blocking"):
        command = [bin / "pyright", "--ignoreexternal", "--verifytypes", package]
        yield f"pyright --verifytypes {package}", command, empty


def suite(report: Report, python: Path, arguments: Sequence[str], empty: Path, *, gates: bool = False) -> None:
    """The suite. What fails in it fails the whole, but for a few tests of the real world that pass again and again when alone."""
    name = f"pytest on {version(python)}"
    cache = empty.parent / f"cache-{version(python)}"
    passed = run(name, pytest(python, cache, arguments, gates=gates), empty, python)
    if gates:
        report.ran("coverage", run("coverage", coverage(python), empty, python))
    failed = [] if passed else failures(cache)
    if not passed and 0 < len(failed) <= MOST_AGAIN and all(one.startswith(REAL) for one in failed):
        command = [*_pytest(python, cache), *(str(ROOT / one) for one in failed)]
        passed = all(run(f"{name}, what failed, alone", command, empty, python) for _ in range(TIMES_AGAIN))
        report.unstable += [f"{name}: {one}" for one in failed] if passed else []
    report.ran(name, passed)


def pytest(python: Path, cache: Path, arguments: Sequence[str], *, gates: bool = False) -> list[str | Path]:
    """The command of the suite; with gates, the branches that it takes are noted and the requirements are recorded."""
    command = [*_pytest(python, cache), "-n", str(WORKERS)]
    if gates:
        config = f"--cov-config={ROOT / 'pyproject.toml'}"
        command += ["--cov", "--cov-branch", "--cov-report=", config, f"--req-record={RECORD}"]
    # pytest runs in an empty folder, but a person names tests/stun/test_message.py::test_x as seen from the root.
    named = [one for one in arguments if one.startswith("tests/")]
    given = [str(ROOT / one) if one in named else one for one in arguments]
    return [*command, *given, *([] if named else [ROOT / "tests"])]


def _pytest(python: Path, cache: Path) -> list[str | Path]:
    return [python, "-P", "-m", "pytest", "-c", ROOT / "pyproject.toml", f"--rootdir={ROOT}", "-o", f"cache_dir={cache}"]


def coverage(python: Path) -> list[str | Path]:
    """The gate: every branch of the core was taken by the suite that ran before, in the same folder."""
    command = [python, "-P", "-m", "coverage", "report", f"--rcfile={ROOT / 'pyproject.toml'}"]
    return [*command, "--show-missing", "--skip-covered", "--fail-under=100"]


def failures(cache: Path) -> list[str]:
    """The tests that failed, seen from the root, as pytest noted them; none where it did not come that far."""
    try:
        return list(json.loads((cache / "v" / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:
        return []


def captures(python: Path, folder: Path) -> list[str | Path]:
    """The command that holds the simulation on this Python against what it did on the one before."""
    return [python, "-P", ROOT / "tests" / "captures", folder / "captures.txt"]


def run(name: str, command: Sequence[str | Path], where: Path, python: Path | None = None) -> bool:
    """Run one step, its output on ours, and tell whether it passed."""
    print(f"--- {name}: {shlex.join(map(str, command))}", flush=True)
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=where, env=environment(python), stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        status = process.wait(STEP_SECONDS)
    except BaseException as reason:  # the time limit, or an interrupt: the step's own children go with it
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(reason, subprocess.TimeoutExpired):
            raise
        status = -1
    print(f"{name}: exit code {status}, {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return status == 0


def environment(python: Path | None) -> dict[str, str]:
    """Ours, without what would lead Python past the virtual environment."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__")}
    env["HYPOTHESIS_STORAGE_DIRECTORY"] = str(ROOT / ".hypothesis")
    if python is not None:
        env["PATH"] = f"{python.parent}{os.pathsep}{env.get('PATH', os.defpath)}"
        env["VIRTUAL_ENV"] = str(python.parents[1])
    return env


if __name__ == "__main__":
    sys.exit(main())
