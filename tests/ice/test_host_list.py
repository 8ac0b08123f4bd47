"""From what an agent is given to the addresses that it opens sockets for."""

import pytest

from sansice.ice import GatheringOptions, HostAddress, TcpType
from sansice.ice._gathering._host_list import HostList, host_list
from sansice.machine import LocalProtocolError

PLAIN = GatheringOptions()


def names(*given, options=PLAIN, include_loopback=None, limit=32):
    return list(host_list(given, options, include_loopback, limit).names)


def test_plain_literals_keep_their_order_within_a_family_and_the_families_take_turns():
    assert names("192.0.2.2", "192.0.2.1") == ["192.0.2.2", "192.0.2.1"]
    assert names("2001:db8::2", "2001:db8::1") == ["2001:db8::2", "2001:db8::1"]
    assert names("192.0.2.2", "192.0.2.1", "2001:db8::1") == ["2001:db8::1", "192.0.2.2", "192.0.2.1"]


@pytest.mark.parametrize(
    "given", [("192.0.2.1", "2001:db8::1", "127.0.0.1", "fe80::1%eth0"), ("127.0.0.1",), ("fe80::1%eth0",), ()]
)
@pytest.mark.parametrize("include_loopback", [None, True, False])
def test_values_that_say_nothing_mean_what_literals_mean(given, include_loopback):
    values = [HostAddress(host) for host in given]
    assert names(*given, include_loopback=include_loopback) == names(*values, include_loopback=include_loopback)


def test_interfaces_are_remembered_where_they_are_known():
    assert host_list(["192.0.2.1"], PLAIN, None, 32) == HostList(["192.0.2.1"])
    known = host_list([HostAddress("192.0.2.1", interface="eth0")], PLAIN, None, 32)
    assert known == HostList(["192.0.2.1"], {"192.0.2.1": "eth0"})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"accept": lambda one: one.host != "192.0.2.1"}, ["192.0.2.2"]),
        ({"cost": lambda one: 9 if one.host == "192.0.2.1" else 0}, ["192.0.2.2", "192.0.2.1"]),
        ({"link_local": True}, ["192.0.2.1", "192.0.2.2", "169.254.1.1"]),
    ],
)
def test_options_choose_among_literals_too(options, expected):
    assert names("192.0.2.1", "192.0.2.2", "169.254.1.1", options=GatheringOptions(**options)) == expected


def test_what_the_applications_functions_say_is_asked_anew_each_time():
    wanted = ["192.0.2.1"]
    options = GatheringOptions(accept=lambda one: one.host in wanted)
    assert names("192.0.2.1", "192.0.2.2", options=options) == ["192.0.2.1"]
    wanted.append("192.0.2.2")
    assert names("192.0.2.1", "192.0.2.2", options=options) == ["192.0.2.1", "192.0.2.2"]


def test_agents_with_the_same_addresses_share_their_list():
    given = [HostAddress("192.0.2.1", interface="eth0")]
    assert host_list(given, PLAIN, None, 32) is host_list(list(given), PLAIN, None, 32)
    assert host_list(given, PLAIN, None, 32) is not host_list(given, PLAIN, None, 1)


@pytest.mark.parametrize("options", [PLAIN, GatheringOptions(link_local=False)])
def test_number_of_addresses_is_bounded(options):
    assert names(*(f"192.0.2.{number}" for number in range(1, 9)), options=options, limit=3) == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]


def test_addresses_that_give_several_sockets_give_their_first_ones_first():
    given = [HostAddress("192.0.2.1", udp_sockets=3), HostAddress("192.0.2.2", udp_sockets=2, tcp_listeners=0), "192.0.2.3"]
    hosts = host_list(given, PLAIN, None, 32)
    assert [(seat.host[-1], seat.ordinal) for seat in hosts.seats] == [("1", 0), ("2", 0), ("3", 0), ("1", 1), ("2", 1), ("1", 2)]
    kinds = (None, TcpType.PASSIVE, TcpType.ACTIVE, TcpType.SIMULTANEOUS_OPEN)
    has = [[kind for kind in kinds if hosts.has(seat, kind)] for seat in hosts.seats]
    assert has == [list(kinds), [None, *kinds[2:]], list(kinds), [None], [None], [None]]
    assert host_list(["192.0.2.3"], PLAIN, None, 32).seats == (("192.0.2.3", 0),)


@pytest.mark.parametrize(("limit", "seats"), [(8, "123121"), (5, "12311"), (3, "123"), (2, "12")])
def test_number_of_sockets_is_bounded_as_that_of_addresses_is(limit, seats):
    given = [HostAddress("192.0.2.1", tcp_listeners=3), HostAddress("192.0.2.2", udp_sockets=2), "192.0.2.3"]
    assert "".join(seat.host[-1] for seat in host_list(given, PLAIN, None, limit).seats) == seats


@pytest.mark.parametrize(
    ("given", "options", "why"),
    [
        ("192.0.2.1", PLAIN, "a list of addresses"),
        (["localhost"], PLAIN, "literal"),
        (["localhost"], GatheringOptions(link_local=True), "literal"),
        (["192.0.2.1"], GatheringOptions(cost=lambda one: -1), "outside 0"),
    ],
)
def test_what_is_no_list_of_addresses_is_the_callers_mistake(given, options, why):
    with pytest.raises(LocalProtocolError, match=why):
        host_list(given, options, None, 32)
