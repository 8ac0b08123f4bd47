"""The listing of interfaces."""

import sys

import ifaddr
import pytest

import sansice.sockets._interfaces as listing
from sansice import Address
from sansice.ice import HostAddress
from sansice.sockets import Interface, _host_facts, interfaces
from sansice.sockets._host_facts import KnownHost
from sansice.sockets._links import CARRIER_GRACE


@pytest.fixture
def scans(monkeypatch):
    """Counts how often the system is asked; the cache starts empty."""
    asked = []
    real = ifaddr.get_adapters
    monkeypatch.setattr(listing, "_listing", listing._Listing())
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: asked.append(1) or real())
    return asked


def test_loopback_is_listed_with_its_interface(scans):
    assert Interface("lo", "127.0.0.1") in interfaces()


def test_every_address_is_canonical_and_link_local_ones_carry_their_zone(scans):
    for name, address in interfaces():
        assert Address.of(address, 0).host == address
        assert not address.startswith("fe80:") or address.endswith(f"%{name}")


def test_the_system_is_asked_once_for_many_connections(scans):
    for _ in range(100):
        interfaces()
    assert len(scans) == 1


def test_a_refresh_asks_again(scans):
    interfaces()
    interfaces(refresh=True)
    interfaces()
    assert len(scans) == 2


def test_an_old_listing_is_replaced(scans, monkeypatch):
    interfaces()
    now = listing.time.monotonic()
    monkeypatch.setattr(listing.time, "monotonic", lambda: now + listing.LIFETIME)
    interfaces()
    assert len(scans) == 2


def test_a_filter_is_asked_with_the_name_and_the_address(scans):
    asked = []
    chosen = listing.host_addresses(lambda name, address: asked.append((name, address)) or address == "127.0.0.1")
    assert chosen == ["127.0.0.1"]
    assert asked == list(interfaces())


def test_without_a_filter_every_address_is_offered(scans):
    assert listing.host_addresses() == [address for _, address in interfaces()]


def test_without_ifaddr_the_error_says_how_to_install_it(scans, monkeypatch):
    monkeypatch.setitem(sys.modules, "ifaddr", None)
    with pytest.raises(ModuleNotFoundError, match="pip install ifaddr"):
        interfaces()


def test_hosts_are_the_addresses_with_their_interfaces(scans):
    hosts = listing.local_hosts(lambda name, address: name == "lo")
    assert HostAddress("127.0.0.1", interface="lo") in hosts
    assert {one.interface for one in hosts} == {"lo"}
    assert {one.host for one in listing.local_hosts()} <= {address for _, address in interfaces()}


@pytest.fixture
def looks(scans, monkeypatch):
    """Counts how often facts are looked for; what is found is planted."""
    asked = []
    planted = [KnownHost(HostAddress("2001:db8::1", interface="eth0"), 0x20), KnownHost(HostAddress("2001:db8::2", "eth0"), 0)]
    monkeypatch.setattr(_host_facts, "known_hosts", lambda listed, links: asked.append(listed) or tuple(planted))
    return asked


def test_facts_are_looked_for_once_a_listing_and_only_for_those_who_ask(looks, scans):
    interfaces()
    assert looks == []
    for _ in range(100):
        listing.local_hosts()
    assert (len(looks), len(scans)) == (1, 1)
    listing.local_hosts(refresh=True)
    assert (len(looks), len(scans)) == (2, 2)
    assert looks == [interfaces()] * 2


def test_hosts_that_are_deprecated_are_for_those_who_have_them(looks):
    assert [one.host for one in listing.local_hosts()] == ["2001:db8::2"]
    assert [one.host for one in listing.local_hosts(in_use=["2001:db8::1"])] == ["2001:db8::1", "2001:db8::2"]


def test_a_host_is_deprecated_only_beside_one_that_the_filter_lets_through(looks):
    assert [one.host for one in listing.local_hosts(lambda name, address: address == "2001:db8::1")] == ["2001:db8::1"]


UP, RUNNING = 0x01, 0x40


class Wires:
    """Two interfaces that are not there, at times that a test sets."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        self.flags = {"eth0": UP | RUNNING, "eth1": UP | RUNNING}
        monkeypatch.setattr(listing, "_listing", listing._Listing())
        monkeypatch.setattr(listing, "_list", lambda: (Interface("eth0", "192.0.2.1"), Interface("eth1:0", "198.51.100.1")))
        monkeypatch.setattr(listing, "read_flags", lambda names: {name: self.flags[name] for name in names})
        monkeypatch.setattr(listing.time, "monotonic", lambda: self.now)

    def told(self, *in_use):
        return [one.host for one in listing.local_hosts(in_use=in_use, refresh=True)]


@pytest.fixture
def wires(monkeypatch):
    return Wires(monkeypatch)


def test_an_interface_that_is_switched_off_has_no_addresses_for_anybody(wires):
    wires.flags["eth1"] = RUNNING
    assert wires.told("198.51.100.1") == wires.told() == ["192.0.2.1"] and not listing.is_faltering()
    assert len(interfaces()) == 2


def test_a_carrier_that_is_missed_is_waited_for_by_who_has_begun_and_the_watch_is_told_so(wires):
    wires.flags["eth0"] = UP
    assert not listing.is_faltering()
    assert wires.told("192.0.2.1") == ["192.0.2.1", "198.51.100.1"] and listing.is_faltering()
    assert wires.told() == ["198.51.100.1"] and listing.is_faltering()
    wires.now += CARRIER_GRACE
    interfaces(refresh=True)
    assert listing.is_faltering()  # nobody has looked at what is known of them
    assert wires.told("192.0.2.1") == ["198.51.100.1"] and not listing.is_faltering()
    wires.flags["eth0"] = UP | RUNNING
    assert wires.told() == ["192.0.2.1", "198.51.100.1"]


def test_a_carrier_that_is_back_in_a_moment_has_moved_nobody(wires):
    wires.flags["eth0"] = UP
    wires.told("192.0.2.1")
    wires.now += CARRIER_GRACE / 2
    wires.flags["eth0"] = UP | RUNNING
    assert wires.told("192.0.2.1") == ["192.0.2.1", "198.51.100.1"] and not listing.is_faltering()
