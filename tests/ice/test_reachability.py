"""Where datagrams can be sent, and from where."""

import pytest

from ice._wire import at
from sansice.ice._reachability import can_pair, is_reachable


@pytest.mark.parametrize(
    ("host", "port", "reachable"),
    [
        ("192.0.2.1", 1, True),
        ("192.0.2.1", 0, False),
        ("0.0.0.0", 1, False),
        ("255.255.255.255", 1, False),
        ("224.0.0.1", 1, False),
        ("239.255.255.255", 1, False),
        ("240.0.0.1", 1, True),
        ("2001:db8::1", 1, True),
        ("::", 1, False),
        ("ff02::1", 1, False),
        ("fe80::1%eth0", 1, True),
    ],
)
def test_port_that_is_none_wildcards_and_groups_cannot_be_reached(host, port, reachable):
    assert is_reachable(at(host, port)) is reachable


@pytest.mark.req("RFC8445-034", "RFC8445-035")
@pytest.mark.parametrize(
    ("one", "other", "possible"),
    [
        ("192.0.2.1", "198.51.100.1", True),
        ("192.0.2.1", "2001:db8::1", False),
        ("2001:db8::1", "192.0.2.1", False),
        ("2001:db8::1", "fd00::1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("fe80::1%eth0", "2001:db8::1", False),
        ("2001:db8::1", "febf::1", False),
    ],
)
def test_pair_is_of_one_family_and_link_local_goes_with_link_local(one, other, possible):
    assert can_pair(at(one), at(other)) is can_pair(at(other), at(one)) is possible
