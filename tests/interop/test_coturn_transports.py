"""coturn as a STUN server over every transport that it has: UDP, TCP, TLS, DTLS."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from functools import partial

import pytest
import trio

from _certificates import Authority
from sansice import Address, Transport
from sansice.sockets import TlsConfig
from sansice.stun import StunError
from sansice_trio import stun_binding

HOST, NAME = "127.0.0.1", "stun.example"
SECONDS = 30  # a coturn that takes longer to start, or an answer, hangs

URIS = {Transport.UDP: "stun", Transport.TCP: "stun", Transport.TLS: "stuns", Transport.DTLS: "stuns"}


def free_ports(count):
    """Ports that are free for UDP and TCP, each with the one after it, which coturn takes, too."""
    found = []
    while len(found) < count:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            port = 0
            for step, kind in ((0, socket.SOCK_STREAM), (0, socket.SOCK_DGRAM), (1, socket.SOCK_STREAM), (1, socket.SOCK_DGRAM)):
                probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind((HOST, port + step if port else 0))
                port = port or probe.getsockname()[1]
            if all(abs(port - other) > 1 for other in found):
                found.append(port)
    return found


@contextlib.asynccontextmanager
async def coturn(certificate):
    """A running server: its address in the clear, and the one of TLS and DTLS."""
    port, secure = free_ports(2)
    command = ["turnserver", "-n", "-L", HOST, "--relay-ip", HOST, "-p", str(port), "--tls-listening-port", str(secure)]
    command += ["--cert", str(certificate), "--pkey", str(certificate)]
    command += ["--no-cli", "--pidfile", "", "--log-file", "stdout"]
    start = partial(trio.run_process, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    async with trio.open_nursery() as nursery:
        process = await nursery.start(start)
        with trio.fail_after(SECONDS):
            while True:  # what is not listening yet says so at once
                assert process.returncode is None, f"turnserver has ended with {process.returncode}"
                with contextlib.suppress(StunError):
                    await stun_binding(f"stun:{HOST}:{secure}", transports=[Transport.TCP])
                    break
            yield Address(HOST, port), Address(HOST, secure)
        nursery.cancel_scope.cancel()


async def test_every_transport_tells_our_address(tmp_path):
    authority = Authority(tmp_path)
    tls = TlsConfig(ca_file=authority.ca_file)
    async with coturn(authority.issue(NAME)) as (clear, secure):
        for transport, scheme in URIS.items():
            server = clear if scheme == "stun" else secure
            local = Address(HOST, free_ports(1)[0])
            mapped = await stun_binding(f"{scheme}:{server}", transports=[transport], local=local, verify_name=NAME, tls=tls)
            assert mapped == local, transport


@pytest.mark.req("RFC8489-038", "RFC7350-001")
@pytest.mark.parametrize("transport", [Transport.TLS, Transport.DTLS])
async def test_a_certificate_of_another_name_is_refused(tmp_path, transport):
    authority = Authority(tmp_path)
    async with coturn(authority.issue("other.example")) as (_, secure):
        with pytest.raises(StunError, match="certificate was refused"):
            await stun_binding(
                f"stuns:{secure}", transports=[transport], verify_name=NAME, tls=TlsConfig(ca_file=authority.ca_file)
            )
