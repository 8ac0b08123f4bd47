"""Runs the commands and programs of docs/howto/relay.md against a relay and an echo on this machine.

The argument is the path of a block, in which the names and addresses of the document become those of this machine.
"""

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

HANG = 60  # seconds
SANSICE = [sys.executable, "-P", "-X", "dev", "-m", "sansice_cli"]


def main(block):
    text = block.read_text(encoding="utf-8")
    with serving() as server, echoing() as echo:
        text = text.replace("turn:turn.example.org", f"turn:{server}")
        text = text.replace('Address("192.0.2.77", 7)', f'Address("127.0.0.1", {echo})')
        if block.suffix == ".py":
            block.write_text(text, encoding="utf-8")
            said = run([sys.executable, "-P", "-X", "dev", block])
            assert "b'hello'" in said, said
        else:
            for line in text.splitlines():
                run([*SANSICE, *shlex.split(line)[1:]])


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


@contextlib.contextmanager
def serving():
    """A relay for a user who may reach this machine."""
    options = ["--listen", "udp:127.0.0.1:0", "--user", "alice:password", "--allow-peer", "127.0.0.0/8", "--drain-timeout", "1"]
    with subprocess.Popen([*SANSICE, "serve", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            [listening] = json.loads(line)["listening"]
            yield listening.removeprefix("udp:")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=HANG)
        finally:
            process.kill()


@contextlib.contextmanager
def echoing():
    """A peer that sends everything back; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        threading.Thread(target=send_back, args=[sock], daemon=True).start()
        yield sock.getsockname()[1]
        sock.sendto(b"", sock.getsockname())  # nothing at all ends it


def send_back(sock):
    while True:
        data, source = sock.recvfrom(65535)
        if not data:
            return
        sock.sendto(data, source)


main(*map(Path, sys.argv[1:]))
