"""What tests with other people's STUN programs share: two loopback addresses, ports free on both, and the programs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence

import pytest
import trio

HOSTS = ("127.0.0.1", "127.0.0.2")
PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
LIMIT = 30  # seconds; a program that takes longer hangs: each needs a fraction of one


def find_tool(name: str, package: str = "coturn") -> str:
    """Where a program is; the test fails where it is missing, and says which Debian package has it."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.fail(f"There is no `{name}`: install the Debian package {package}.", pytrace=False)
    return found


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, at both addresses, for UDP and TCP."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            first = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            first.bind((HOSTS[0], 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):  # taken by somebody at one of the other three
                for host, kind in ((HOSTS[0], socket.SOCK_STREAM), *((HOSTS[1], kind) for kind in _KINDS)):
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((host, port))
                ports.append(port)
        return ports


_KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


async def output_of(command: Sequence[object], *, limit: float = LIMIT) -> str:
    """What a program prints until it ends, its errors too; it is gone then, whatever happens."""
    with trio.fail_after(limit):
        done = await trio.run_process([str(one) for one in command], capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    printed = done.stdout.decode()
    assert done.returncode == 0, f"{command[0]} ends with {done.returncode} and says: {printed}"
    return printed
