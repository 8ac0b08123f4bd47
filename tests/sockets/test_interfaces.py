"""The listing of interfaces."""

import sys

import ifaddr
import pytest

import sansice.sockets._interfaces as listing
from sansice import Address
from sansice.ice import HostAddress
from sansice.sockets import Interface, _host_facts, interfaces
from sansice.sockets._host_facts import KnownHost


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
    monkeypatch.setattr(_host_facts, "known_hosts", lambda listed: asked.append(listed) or tuple(planted))
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
