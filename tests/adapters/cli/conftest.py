"""The command: run in a process of its own, or in this one; and peers for it on the loopback interface."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import click.testing
import pytest
import trustme

from sansice import Address
from sansice.stun import XOR_MAPPED_ADDRESS, MessageClass, Method, decode_untrusted, encode
from sansice_cli._ended import EndedBySignalError
from sansice_cli._main import cli

SANSICE = [sys.executable, "-W", "error", "-m", "sansice_cli"]
ENV = {**os.environ, "PYTHONWARNINGS": "error", "TERM": "dumb", "COLUMNS": "120"}
HANG = 60  # seconds


@pytest.fixture
def sansice():
    """Runs the command to its end: ``sansice("stun", uri)``."""

    def run(*arguments, **options):
        command = [*SANSICE, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=HANG, check=False, **options)
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def start():
    """Starts the command and lets it run: ``with start("stun", uri) as process``; it is killed in the end."""

    @contextlib.contextmanager
    def running(*arguments, env=ENV, prefix=(), **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        with subprocess.Popen([*prefix, *SANSICE, *map(str, arguments)], env=env, **options) as process:
            try:
                yield process
            finally:
                process.kill()

    return running


@pytest.fixture
def invoke():
    """Runs the command in this process: ``code, stdout, stderr = invoke("stun", uri)``. Usage errors have code 2."""

    def run(*arguments, input=None):
        result = click.testing.CliRunner().invoke(cli, [*map(str, arguments)], input=input, standalone_mode=False)
        if isinstance(result.exception, click.ClickException):
            return result.exception.exit_code, result.stdout, result.exception.format_message()
        if isinstance(result.exception, EndedBySignalError):
            return 128 + result.exception.number, result.stdout, str(result.exception)
        assert result.exception is None, result.exception
        return result.return_value, result.stdout, result.stderr

    return run


class Serving:
    """A server that is ready."""

    def __init__(self, process):
        self.process = process
        self.ready = json.loads(process.stdout.readline())

    def port(self, transport):
        """Of the first listener of this transport."""
        return next(int(one.rpartition(":")[2]) for one in self.ready["listening"] if one.startswith(transport + ":"))

    def line(self):
        """The next line that is logged."""
        return self.process.stderr.readline()

    def stop(self, number=signal.SIGTERM):
        """The exit code after the signal, and all that was said."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=HANG)
        assert "Traceback" not in errors
        return self.process.returncode, output, errors


@pytest.fixture
def serving(start):
    """``with serving("--listen", "127.0.0.1:0") as server``."""

    @contextlib.contextmanager
    def running(*arguments, **options):
        with start("serve", "--stun-only", "--log-format", "text", *arguments, **options) as process:
            yield Serving(process)

    return running


class Peer(threading.Thread):
    """A STUN server that misbehaves as it is told: ``answer(request, source)`` returns what to send, or None."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.uri = f"stun:127.0.0.1:{self.socket.getsockname()[1]}"
        self._answer = answer

    def run(self):
        while True:
            data, source = self.socket.recvfrom(2048)
            if not data:
                return
            answer = self._answer(data, source)
            if answer is not None:
                self.socket.sendto(answer, source)

    def end(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()


def good(data, source):
    """What an honest server answers."""
    request = decode_untrusted(data)
    return encode(Method.BINDING, MessageClass.SUCCESS, request.transaction_id, [(XOR_MAPPED_ADDRESS, Address(*source))])


@pytest.fixture
def peers():
    """Starts misbehaving servers: ``peers(dead=..., lying=...)`` gives their URIs by name."""
    started = []

    def start_all(**answers):
        for answer in answers.values():
            started.append(Peer(answer))
            started[-1].start()
        return {name: peer.uri for name, peer in zip(answers, started[-len(answers) :], strict=True)}

    yield start_all
    for peer in started:
        peer.end()


@pytest.fixture
def honest():
    """The answer of an honest server, for peers that begin with it."""
    return good


@pytest.fixture
def refusing():
    """The URI of a port on which nobody listens, though it is taken."""
    # Connected to another port, a UDP socket refuses what comes from anywhere else.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(("127.0.0.1", 9))
        yield f"stun:127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def certificate(authority, tmp_path):
    """Paths of a certificate with its key for localhost, and of the authority's."""
    own, ca = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(own)
    authority.cert_pem.write_to_path(ca)
    return own, ca
