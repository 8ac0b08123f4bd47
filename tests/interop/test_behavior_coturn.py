"""Our discovery asks somebody else's server of RFC 5780: coturn, at two loopback addresses."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from functools import partial

import pytest
import trio

from sansice import Address
from sansice.stun import (
    BehaviorConfig,
    BehaviorTest,
    ClassicType,
    FilteringBehavior,
    FragmentHandling,
    MappingBehavior,
    Schedule,
    ServerKind,
    StunError,
)
from sansice_trio import discover_nat, stun_binding

HOSTS = ("127.0.0.1", "127.0.0.2")
SECONDS = 30  # a coturn that takes longer to start, or a discovery, hangs


def two_free_ports():
    """A port that is free at both addresses, as is the one after it, which coturn takes, too."""
    while True:
        with contextlib.ExitStack() as stack:
            port = 0
            with contextlib.suppress(OSError, OverflowError):
                for host, step in ((HOSTS[0], 0), (HOSTS[0], 1), (HOSTS[1], 0), (HOSTS[1], 1)):
                    probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    probe.bind((host, port + step if port else 0))
                    port = port or probe.getsockname()[1]
                return port


@contextlib.asynccontextmanager
async def coturn():
    """A running server; its address."""
    server = Address(HOSTS[0], two_free_ports())
    addresses = [option for host in HOSTS for option in ("-L", host)]
    # -n: no configuration file. A relay's address is asked for, and not used here.
    command = ["turnserver", "-n", *addresses, "--relay-ip", HOSTS[0], "-p", str(server.port)]
    command += ["--no-cli", "--no-tls", "--no-dtls", "--pidfile", "", "--log-file", "stdout"]
    start = partial(trio.run_process, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    async with trio.open_nursery() as nursery:
        process = await nursery.start(start)
        with trio.fail_after(SECONDS):
            await answering(server, process)
            yield server
        nursery.cancel_scope.cancel()


async def answering(server, process):
    """Return when the server answers; what is not listening yet says so at once, by ICMP."""
    while True:
        assert process.returncode is None, f"turnserver has ended with {process.returncode}"
        with contextlib.suppress(StunError):
            await stun_binding(f"stun:{server}")
            return


@pytest.mark.req("RFC5780-001", "RFC5780-003")
async def test_every_test_can_be_run_with_coturn():
    config = BehaviorConfig(schedule=Schedule(rc=4, rm=2), lifetime_first=0.2)
    async with coturn() as server:
        found = await discover_nat(server, tests=list(BehaviorTest), lifetime_limit=0.4, config=config)
    assert (found.kind, found.classic) == (ServerKind.RFC5780, ClassicType.OPEN)
    assert (found.mapping, found.filtering) == (MappingBehavior.NONE, FilteringBehavior.ENDPOINT_INDEPENDENT)
    assert found.fragments == FragmentHandling(outgoing=True, incoming=True)
    assert found.alg is False
    assert found.lifetime_s >= 0.4
    assert found.expired_s is None
    assert dict(found.unavailable) == {BehaviorTest.HAIRPINNING: "there is no NAT that could turn packets round"}
