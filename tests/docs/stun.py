"""Runs the commands and programs of docs/howto/stun.md against servers on this machine.

The arguments are the path of a block and, where the next block shows what is printed, the path of that one. The names and
addresses of the document, and its well-known ports, become those of this machine.
"""

import contextlib
import json
import shlex
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import trustme

from sansice.stun import USERNAME, MessageClass, Method, TransactionId, encode, short_term_key

HANG = 60  # seconds
SANSICE = [sys.executable, "-P", "-X", "dev", "-m", "sansice_cli"]
WELL_KNOWN = ("3478", "3479", "5349", "9100")
ID = TransactionId(bytes(range(12)))


def main(block, shown=None):
    make_files()
    changes = replacements()
    text = block.read_text(encoding="utf-8")
    with contextlib.ExitStack() as stack:
        if "stun.example.org" in text:
            stack.enter_context(serving(localised(SERVER, changes)))
        text = localised(text, changes)
        if block.suffix == ".py":
            block.write_text(text, encoding="utf-8")
            run([sys.executable, "-P", "-X", "dev", block])
            return
        for command in commands(text):
            if command[1] == "serve":
                with serving(command):
                    pass
            else:
                said = run([*SANSICE, *command[1:]])
                assert shown is None or said == shown.read_text(encoding="utf-8"), said


SERVER = shlex.split(
    "sansice serve --stun-only --listen 192.0.2.1:3478 --rfc5780 192.0.2.2:3479 --listen tls:192.0.2.1:5349 --tls-cert cert.pem"
)


def commands(text):
    """The lines of a shell block, or what a unit starts."""
    lines = [
        line.removeprefix("ExecStart=") for line in text.splitlines() if line.removeprefix("ExecStart=").startswith("sansice ")
    ]
    assert lines
    return [shlex.split(line) for line in lines]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


@contextlib.contextmanager
def serving(command):
    """A server that gets ready, and drains in the end."""
    with subprocess.Popen([*SANSICE, *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line and json.loads(line)["ready"], process.stderr.read()
            yield
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=HANG)
            assert process.returncode == 0 and "Warning" not in errors, errors
        finally:
            process.kill()


def replacements():
    """Pairs to put one in the place of the other, the longer ones first."""
    ports = dict(zip(WELL_KNOWN, free_ports(len(WELL_KNOWN)), strict=True))
    return [
        ("stuns:stun.example.org", f"stuns:127.0.0.1:{ports['5349']}"),
        ("stun:stun.example.org", f"stun:127.0.0.1:{ports['3478']}"),
        ("192.0.2.1:", "127.0.0.1:"),
        ("192.0.2.2:", "127.0.0.2:"),
        *((f":{old}", f":{new}") for old, new in ports.items()),
    ]


def localised(what, changes):
    if isinstance(what, list):
        return [localised(one, changes) for one in what]
    for old, new in changes:
        what = what.replace(old, new)
    return what


def free_ports(number):
    """Ports that are free for UDP at both addresses, and for TCP."""
    with contextlib.ExitStack() as stack:
        found = []
        while len(found) < number:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                for host in ("127.0.0.1", "127.0.0.2"):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((host, port))
                found.append(port)
        return found


def make_files():
    """What the commands of the document name."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")
    authority.issue_cert("stun.example.org").private_key_and_cert_chain_pem.write_to_path("cert.pem")
    Path("users.txt").write_text("alice:secret\n")
    Path("secrets.txt").write_text("a-long-secret\n")
    request = encode(
        Method.BINDING, MessageClass.REQUEST, ID, [(USERNAME, "alice")], key=short_term_key("secret"), fingerprint=True
    )
    Path("request.hex").write_text(request.hex())
    datagram = struct.pack("!4H", 5000, 3478, 8 + len(request), 0) + request
    packet = (
        struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0) + bytes((10, 0, 0, 1, 192, 0, 2, 1)) + datagram
    )
    head = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)  # raw IP
    Path("capture.pcap").write_bytes(head + struct.pack("<4I", 0, 0, len(packet), len(packet)) + packet)


main(*map(Path, sys.argv[1:]))
