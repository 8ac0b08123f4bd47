"""Which addresses become host candidates (RFC 8445 5.1.1.1)."""

import pytest

from sansice.ice import usable_addresses


@pytest.mark.req("RFC8445-001")
def test_every_ordinary_address_is_kept_once_in_order_and_in_canonical_form():
    addresses = ["192.0.2.7", "2001:DB8:0:0::1", "10.0.0.1", "2001:db8::1", "192.0.2.7"]
    assert usable_addresses(addresses) == ["192.0.2.7", "2001:db8::1", "10.0.0.1"]


@pytest.mark.req("RFC8445-002")
def test_loopback_is_left_out_where_there_is_anything_else():
    assert usable_addresses(["127.0.0.1", "192.0.2.1", "::1", "127.8.8.8"]) == ["192.0.2.1"]
    assert usable_addresses(["127.0.0.1", "fe80::1%eth0"]) == ["fe80::1%eth0"]


def test_loopback_serves_a_machine_that_has_nothing_else():
    assert usable_addresses(["127.0.0.1", "::1"]) == ["127.0.0.1", "::1"]


def test_loopback_can_be_asked_for_and_refused():
    assert usable_addresses(["127.0.0.1", "192.0.2.1"], include_loopback=True) == ["192.0.2.1", "127.0.0.1"]
    assert usable_addresses(["127.0.0.1"], include_loopback=False) == []


@pytest.mark.req("RFC8445-003")
@pytest.mark.parametrize("deprecated", ["fec0::1", "feff::1", "::192.0.2.1", "::c000:201"])
def test_ipv4_compatible_and_site_local_addresses_are_left_out(deprecated):
    assert usable_addresses([deprecated, "2001:db8::1"]) == ["2001:db8::1"]
    assert usable_addresses([deprecated]) == []


@pytest.mark.req("RFC8445-004")
@pytest.mark.parametrize("mapped", ["::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:c000:201"])
def test_ipv4_mapped_addresses_are_left_out(mapped):
    assert usable_addresses([mapped, "2001:db8::1"]) == ["2001:db8::1"]


def test_ordinary_address_with_a_group_of_ffff_is_not_taken_for_a_mapped_one():
    assert usable_addresses(["2001:db8::ffff:1"]) == ["2001:db8::ffff:1"]


@pytest.mark.parametrize("useless", ["0.0.0.0", "::", "224.0.0.1", "ff02::1"])
def test_unspecified_and_multicast_addresses_are_left_out(useless):
    assert usable_addresses([useless, "192.0.2.1"]) == ["192.0.2.1"]
    assert usable_addresses([useless]) == []


def test_link_local_addresses_serve_only_where_there_is_no_better_one():
    assert usable_addresses(["169.254.1.1", "fe80::1%eth0"]) == ["169.254.1.1", "fe80::1%eth0"]
    assert usable_addresses(["169.254.1.1", "fe80::1%eth0", "192.0.2.1"]) == ["192.0.2.1"]


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f.1", "192.0.2.1/24", "192.0.2.1:80", "fe80::1%"])
def test_what_is_no_literal_address_is_an_error(text):
    with pytest.raises(ValueError, match="literal"):
        usable_addresses(["192.0.2.1", text])
