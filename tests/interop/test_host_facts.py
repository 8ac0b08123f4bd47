"""What Linux itself says of addresses and interfaces, in network namespaces."""

import contextlib
import fcntl
import json
import os
import struct
import sys
import time

import pytest
import trio

from interop._netns import required_namespaces
from sansice.ice import HostAddress
from sansice.sockets import interfaces, local_hosts

SECONDS = 20  # that the kernel has for what takes it none
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # <linux/if_tun.h>
PREFIX = "2001:db8:0:1:"
TELL = """
import json, sys
from sansice.sockets import local_hosts
told = [(one.interface, one.host, one.kind.value, one.is_temporary) for one in local_hosts() if one.interface != "lo"]
json.dump(told, sys.stdout)
"""


@contextlib.contextmanager
def running_tunnel(spaces, name, device):
    """What a VPN's program does."""
    with spaces.inside(name), open("/dev/net/tun", "r+b", buffering=0) as tunnel:
        fcntl.ioctl(tunnel, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        yield


@pytest.fixture
def home():
    """A network of its own, with a permanent address, a temporary one made of it, a deprecated and a tentative one."""
    with required_namespaces() as spaces:
        spaces.add("home")
        spaces.add("isp")
        spaces.join("home", "eth0", "isp", "eth0")
        for key, value in {"use_tempaddr": "2", "accept_dad": "0", "dad_transmits": "0"}.items():
            spaces.sysctl("home", f"net.ipv6.conf.eth0.{key}", value)
        spaces.ip("home", ["link add br0 type bridge", "link set br0 up", "tuntap add vpn0 mode tun", "link set vpn0 up"])
        spaces.ip(
            "home",
            [
                "addr add 192.0.2.1/24 dev br0",
                "addr add 198.51.100.1/24 dev vpn0",
                f"addr add {PREFIX}:1/64 dev eth0 preferred_lft 3600 valid_lft 7200 mngtmpaddr nodad",
                f"addr add {PREFIX}:2/64 dev eth0 preferred_lft 0 nodad",
            ],
        )
        spaces.join("home", "port0", "isp", "port0")
        spaces.ip("home", ["link set port0 master br0"])
        # Nobody answers who might have this one, and by a link that is down nobody is asked.
        spaces.ip("home", ["link add eth1 type veth peer name eth2", f"addr add {PREFIX}:3/64 dev eth1"])
        yield spaces
    interfaces(refresh=True)  # what is remembered is not of this machine


def test_linux_tells_kinds_of_interfaces_and_of_addresses(home):
    with running_tunnel(home, "home", "vpn0"):
        told, errors = home.start("home", [sys.executable, "-c", TELL]).communicate(timeout=30)
    assert errors == ""
    by_address = {host: (interface, kind, temporary) for interface, host, kind, temporary in json.loads(told)}
    assert by_address.pop("192.0.2.1") == ("br0", "virtual", False)
    assert by_address.pop("198.51.100.1") == ("vpn0", "vpn", False)
    assert by_address.pop(f"{PREFIX}:1") == ("eth0", "virtual", False)
    [temporary] = [host for host in by_address if host.startswith(PREFIX)]
    assert by_address[temporary] == ("eth0", "virtual", True)


def told_once(wanted, unwanted):
    """IPv4 addresses as they are told, once the kernel has made up its mind, which takes it a moment."""
    end = time.monotonic() + SECONDS
    while True:
        told = {one.host for one in local_hosts(refresh=True) if ":" not in one.host}
        if told >= wanted and not told & unwanted:
            return told
        assert time.monotonic() < end, told


def test_addresses_by_which_nothing_leaves_are_not_told(home):
    home.join("home", "cable0", "isp", "cable0")
    home.ip("isp", ["link set cable0 down"])  # as if it were pulled out there
    home.ip("home", [f"addr add 203.0.113.{number}/32 dev {name}" for number, name in enumerate(("cable0", "eth1"))])
    unplugged, off, bridge, tunnel = "203.0.113.0", "203.0.113.1", "192.0.2.1", "198.51.100.1"
    with home.inside("home"):
        told = told_once({bridge}, {unplugged})
        assert {host for _, host in interfaces(refresh=True) if ":" not in host} - told == {unplugged, off, tunnel}
        home.ip("isp", ["link set cable0 up", "link set port0 down"])
        assert told_once({unplugged}, {bridge}) == {"127.0.0.1", unplugged}


def test_an_address_in_use_that_is_deprecated_is_still_told(home):
    with home.inside("home"):
        new = local_hosts(refresh=True)
        kept = local_hosts(in_use=[f"{PREFIX}:2"])
    assert [one.host for one in kept if one not in new] == [f"{PREFIX}:2"]
    assert HostAddress("127.0.0.1", interface="lo") in new


def test_threads_of_a_namespace_are_not_used_outside_it(home):
    def seen():
        return trio.run(trio.to_thread.run_sync, os.readlink, "/proc/thread-self/ns/net")

    before = seen()
    with home.inside("home"):
        there = seen()
    assert seen() == before != there
