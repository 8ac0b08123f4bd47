import contextlib
import socket
import sys

import pytest

from adapters.cli.conftest import Serving


@pytest.fixture
def two_ports():
    """Two ports that are free at 127.0.0.1 and at 127.0.0.2."""
    with contextlib.ExitStack() as stack:

        def port():
            first = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            second = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.2", first.getsockname()[1]))
            return first.getsockname()[1]

        return port(), port()


@pytest.fixture
def manager(tmp_path):
    """A service manager's socket: its path, and a function that gives the next message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        yield str(tmp_path / "notify"), lambda: sock.recv(4096).decode().splitlines()


# What a service manager does between fork and exec: the sockets from descriptor 3 on, and the variables that say so.
ACTIVATE = """
import fcntl, os, sys
descriptors, names = [int(one) for one in sys.argv[1].split(",")], sys.argv[2]
copies = [fcntl.fcntl(one, fcntl.F_DUPFD, 100) for one in descriptors]
for number, one in enumerate(copies, 3):
    os.dup2(one, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(copies)), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.fixture
def activation():
    """Options of `serving` that hand sockets over: ``activation({"name": sock})``."""

    def options(sockets):
        numbers = [sock.fileno() for sock in sockets.values()]
        listed = ",".join(map(str, numbers))
        return {"prefix": [sys.executable, "-c", ACTIVATE, listed, ":".join(sockets)], "pass_fds": numbers}

    return options


@pytest.fixture
def relaying(start):
    """``with relaying("--quota", 1) as server``: a TURN server, by default for the user ``me`` with the password ``pw``."""

    @contextlib.contextmanager
    def running(*arguments, users=("--user", "me:pw"), listen=("--listen", "udp:127.0.0.1:0"), **options):
        with start("serve", "--log-format", "text", *listen, *users, *arguments, **options) as process:
            yield Serving(process)

    return running
