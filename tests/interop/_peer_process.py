"""Another ICE agent in a process of its own, which is told what to do in JSON objects, a line each, and answers each with one."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import trio

LIMIT = 30  # seconds for any one test, or step of one; two agents on one machine need a fraction of that


class PeerProcess:
    """The process, whose answers are awaited; one command after the other.

    Its pipes belong to no run of trio's, so that the tests of a module, each a run of its own, can share it.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._received = b""
        self._asked = 0

    async def ask(self, **command: Any) -> Any:
        """Tell it something, and wait for the answer to just that: the test before may have given up on one.

        Raises:
            AssertionError: it failed at it; the text is its own.
        """
        self._asked += 1
        await self._write(json.dumps({"id": self._asked, **command}).encode() + b"\n")
        while (answer := json.loads(await self._read_line()))["id"] != self._asked:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    async def end(self) -> None:
        """Have it end, and wait for that while the rest of the test goes on: a relay of it may live there."""
        self._process.stdin.close()
        await trio.to_thread.run_sync(self._process.wait, LIMIT)

    async def _write(self, data: bytes) -> None:
        pipe = self._process.stdin.fileno()
        for start in range(0, len(data), select.PIPE_BUF):  # so much a pipe takes at once when it is writable
            await trio.lowlevel.wait_writable(pipe)
            os.write(pipe, data[start : start + select.PIPE_BUF])

    async def _read_line(self) -> bytes:
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._received:
            await trio.lowlevel.wait_readable(pipe)
            chunk = os.read(pipe, 65536)
            assert chunk, f"the peer's process ended with {self._process.wait(LIMIT)}; see its stderr above"
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line


@contextlib.contextmanager
def peer_process(command: Sequence[str | os.PathLike[str]]) -> Iterator[PeerProcess]:
    """Start the process; the end of its stdin ends it, and at the latest a signal to it and its children."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=os.path.sep, start_new_session=True
    )
    try:
        yield PeerProcess(process)
        process.stdin.close()
        assert process.wait(LIMIT) == 0
    finally:
        process.stdin.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
