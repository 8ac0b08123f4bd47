"""The listing of interfaces."""

import sys

import ifaddr
import pytest

import sansice.sockets._interfaces as listing
from sansice import Address
from sansice.sockets import Interface, interfaces


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
