"""Network namespaces of one process: made, joined, and gone again on every way out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from trio._core import _thread_cache

PREFIX = "sansice"
RUN = Path("/run/netns")
PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
CLONE_NEWNET = 0x40000000  # <linux/sched.h>
STEP_SECONDS = 30  # an `ip` or `nft` that takes longer hangs


class Unavailable(Exception):
    """This machine cannot make network namespaces; the text says why, and what would help."""


class Namespaces:
    """The namespaces of a test, by short names; processes are started in them and end with them."""

    def __init__(self) -> None:
        self._made: list[str] = []
        self._processes: list[subprocess.Popen[str]] = []

    def add(self, name: str) -> None:
        """Make a namespace with loopback."""
        full = f"{PREFIX}{os.getpid()}-{name}"
        _run(["ip", "netns", "add", full])
        self._made.append(full)
        self.ip(name, ["link set lo up"])

    def join(self, one: str, one_device: str, other: str, other_device: str) -> None:
        """Connect two namespaces by a cable."""
        peer = f"peer name {other_device} netns {self._full(other)}"
        self.ip(one, [f"link add {one_device} type veth {peer}", f"link set {one_device} up"])
        self.ip(other, [f"link set {other_device} up"])

    def ip(self, name: str, lines: Iterable[str]) -> None:
        """Run lines of `ip -batch` in a namespace."""
        _run(["ip", "-n", self._full(name), "-batch", "-"], "\n".join(lines))

    def nft(self, name: str, ruleset: str) -> None:
        """Load rules in a namespace."""
        _run(self.command(name, ["nft", "-f", "-"]), ruleset)

    def sysctl(self, name: str, key: str, value: str) -> None:
        """Set a kernel parameter of a namespace."""
        path = f"/proc/sys/{key.replace('.', '/')}"
        _run(self.command(name, ["sh", "-c", f"echo '{value}' > {path}"]))

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program in a namespace."""
        process = subprocess.Popen(
            self.command(name, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._processes.append(process)
        return process

    def command(self, name: str, command: Sequence[str] = ()) -> list[str]:
        """A command, or what stands before one, that runs it in a namespace."""
        return [_tool("ip"), "netns", "exec", self._full(name), *command]

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """For the time of a block, what this thread opens is in a namespace."""
        with open("/proc/thread-self/ns/net") as before, open(RUN / self._full(name)) as there, _threads_of_its_own():
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def close(self) -> None:
        """End the processes, then delete the namespaces, whatever happens to any of them."""
        for process in self._processes:
            process.kill()
            process.communicate()
        for full in self._made:
            subprocess.run(["ip", "netns", "delete", full], capture_output=True, check=False, env=_environment())

    def _full(self, name: str) -> str:
        return f"{PREFIX}{os.getpid()}-{name}"


@contextlib.contextmanager
def namespaces() -> Iterator[Namespaces]:
    """Namespaces for the time of a block.

    Raises:
        Unavailable: `ip` or `nft` is missing, or the system does not let us.
    """
    _tool("nft")
    _delete_orphans()
    made = Namespaces()
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def required_namespaces() -> Iterator[Namespaces]:
    """`namespaces` for a test: it fails where there can be none, unless the environment says that it may be left out."""
    if os.environ.get("SANSICE_WITHOUT_ROOT") == "1":
        pytest.skip("SANSICE_WITHOUT_ROOT=1: no network namespaces, so no real NATs")
    try:
        with namespaces() as spaces:
            yield spaces
    except Unavailable as reason:
        pytest.fail(f"No network namespaces: {reason}. SANSICE_WITHOUT_ROOT=1 leaves these tests out.", pytrace=False)


def _delete_orphans() -> None:
    """Those of a process that was killed, and could not clean up after itself."""
    for path in RUN.glob(f"{PREFIX}*-*") if RUN.is_dir() else ():
        pid = re.fullmatch(rf"{PREFIX}(\d+)-.*", path.name)
        if pid is not None and not Path(f"/proc/{pid[1]}").exists():
            _run(["ip", "netns", "delete", path.name])


def _run(command: Sequence[str], text: str = "") -> None:
    command = [_tool(command[0]), *command[1:]]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env=_environment(), timeout=STEP_SECONDS
    )
    if done.returncode:
        shown = f"{' '.join(command)}\n{text}".strip()
        raise Unavailable(f"`{shown}` says {done.stderr.strip()!r}; it needs root, and a kernel that has it")


def _enter(namespace: int) -> None:
    """`setns` for this thread; Python has it from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextlib.contextmanager
def _threads_of_its_own() -> Iterator[None]:
    """Threads inherit the namespace, and trio keeps them: a later test's process would be started in one that is not its own."""
    kept, _thread_cache.THREAD_CACHE = _thread_cache.THREAD_CACHE, _thread_cache.ThreadCache()
    try:
        yield
    finally:
        _thread_cache.THREAD_CACHE = kept


def _tool(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        raise Unavailable(f"there is no `{name}` (Debian packages iproute2 and nftables)")
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": PATH}
