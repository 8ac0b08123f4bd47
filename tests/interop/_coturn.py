"""coturn's server in a process of its own, on two loopback addresses."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from interop._loopback import HOSTS, LIMIT, find_tool, free_ports
from sansice import Address
from sansice.stun import StunError
from sansice_blocking import stun_binding

_PAUSE = 0.02  # seconds between two looks at whether it is there


@attrs.frozen
class Coturn:
    """A running server.

    Attributes:
        plain: its first address, for UDP and TCP.
        secure: the same for TLS and DTLS.
        alternate: what it names as OTHER-ADDRESS.
    """

    plain: Address
    secure: Address
    alternate: Address


@contextlib.contextmanager
def coturn(folder: Path, certificate: Path, options: Sequence[str] = ()) -> Iterator[Coturn]:
    """A server that answers, for the time of a block.

    Args:
        folder: for its log and its data base.
        certificate: a PEM file with the certificate for TLS and DTLS, and its key.
        options: more of the command line.
    """
    plain, plain_2, secure, secure_2 = free_ports(4)
    command = [find_tool("turnserver"), "-n", *(option for host in HOSTS for option in ("-L", host))]  # -n: no configuration file
    command += ["--relay-ip", HOSTS[0], "-p", f"{plain}", "--alt-listening-port", f"{plain_2}"]
    command += ["--tls-listening-port", f"{secure}", "--alt-tls-listening-port", f"{secure_2}"]
    command += ["--cert", f"{certificate}", "--pkey", f"{certificate}", "--userdb", f"{folder / 'turndb'}"]
    command += ["--no-cli", "--pidfile", "", "--log-file", "stdout", *options]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            for address in (Address(host, port) for host in HOSTS for port in (plain, plain_2, secure, secure_2)):
                _await_answers(process, address, log)
            yield Coturn(Address(HOSTS[0], plain), Address(HOSTS[0], secure), Address(HOSTS[1], plain_2))
        finally:
            process.kill()
            process.wait()


def _await_answers(process: subprocess.Popen[bytes], address: Address, log: Path) -> None:
    """Return when the server is there, over UDP and TCP."""
    give_up = time.monotonic() + LIMIT
    while not _answers(address):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PAUSE)
        late = time.monotonic() > give_up
        if late or process.returncode is not None:
            what = f"is not there at {address} after {LIMIT} s" if late else f"has ended with {process.returncode}"
            raise AssertionError(f"turnserver {what}, and says:\n{log.read_text(errors='replace')}")


def _answers(address: Address) -> bool:
    try:
        stun_binding(f"stun:{address}", timeout=1.0)
    except StunError as error:
        # 401 is an answer, too. While nobody listens, an ICMP error says so at once.
        if "401" not in error.reason:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        return stream.connect_ex((address.host, address.port)) == 0
