"""Which IPv4 addresses an IPv6 address leads to."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from sansice.turn import is_tunnelled
from sansice.turn._embedded_addresses import embedded_addresses, parse_host


def inner(host):
    return [str(address) for address, _ in embedded_addresses(IPv6Address(host))]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::10.1.2.3", ["10.1.2.3"]),
        ("::ffff:10.1.2.3", ["10.1.2.3"]),
        ("::ffff:0:10.1.2.3", ["10.1.2.3"]),
        ("64:ff9b::10.1.2.3", ["10.1.2.3"]),
        ("2606:4700::5efe:10.1.2.3", ["10.1.2.3"]),
        ("2606:4700::200:5efe:10.1.2.3", ["10.1.2.3"]),
        ("fe80::5efe:10.1.2.3", ["10.1.2.3"]),
        ("2606:4700::10.1.2.3", []),
        ("2606:4700::5eff:10.1.2.3", []),
        ("64:ff9b:0:0:1::10.1.2.3", []),
    ],
)
def test_the_last_32_bits_are_an_address_where_an_rfc_says_so(host, expected):
    assert inner(host) == expected


def test_table_of_rfc_6052_is_read_for_each_length_that_fits_into_the_local_prefix():
    # RFC 6052 2.4 has 192.0.2.33 with 2001:db8:122:344:: as the prefix; the same bits under 64:ff9b:1::/48.
    assert inner("64:ff9b:1:c000:2:2100::")[0] == "192.0.2.33"
    assert inner("64:ff9b:1:3c0:0:221::")[1] == "192.0.2.33"
    assert inner("64:ff9b:1:344:c0:2:2100::")[2] == "192.0.2.33"
    assert inner("64:ff9b:1:344::192.0.2.33")[3] == "192.0.2.33"


@pytest.mark.parametrize("host", ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001::1", "2002::", "2002:c000:221::1"])
def test_teredo_and_6to4_are_tunnelled(host):
    assert is_tunnelled(host)


@pytest.mark.parametrize("host", ["2001:1::1", "2003::1", "200.2.3.4", "2001:4860:4860::8888", "8.8.8.8", "fe80::1%eth0"])
def test_others_are_not(host):
    assert not is_tunnelled(host)


def test_a_host_is_read_without_its_scope_and_unmapped():
    assert parse_host("fe80::1%eth0") == IPv6Address("fe80::1")
    assert parse_host("::ffff:8.8.8.8") == IPv4Address("8.8.8.8")
    assert parse_host("8.8.8.8") == IPv4Address("8.8.8.8")


@pytest.mark.parametrize("text", ["localhost", "127.1", "0x7f000001", "", "1.2.3.4.5", "::g"])
def test_a_name_or_an_abbreviation_is_no_host(text):
    with pytest.raises(ValueError, match=r"."):
        parse_host(text)
