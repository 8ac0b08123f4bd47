"""What the tests with real peers need: an address other than loopback."""

from __future__ import annotations

import os
import subprocess

import ifaddr
import pytest

from sansice.ice import usable_addresses
from sansice_trio import interfaces


@pytest.fixture(scope="session")
def own_address():
    """``None`` where the machine has an address beside loopback, which aioice ignores; otherwise one made for this process."""
    if _ordinary_addresses():
        yield None
        return
    # RFC 2544 addresses, one a process: another may run these tests too, and take its own away while ours are in use.
    address = "198.18.{}.{}".format(*divmod(os.getpid() % 2**16, 2**8))
    _ip("address", "add", f"{address}/32", "dev", "lo")
    try:
        interfaces(refresh=True)
        yield address
    finally:
        _ip("address", "delete", f"{address}/32", "dev", "lo")
        interfaces(refresh=True)


def _ordinary_addresses() -> list[str]:
    every = [ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return usable_addresses([host for host in every if not host.startswith("fe80:")], include_loopback=False)


def _ip(*arguments: str) -> None:
    wish = "This machine has no address but loopback, which aioice ignores, and none can be added"
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        reason = "there is no `ip` command (Debian package iproute2)"
    else:
        reason = f"`ip {' '.join(arguments)}` says {done.stderr.strip()!r}; it needs root" if done.returncode else ""
    if reason:
        pytest.fail(f"{wish}: {reason}.", pytrace=False)
