"""Which addresses are used, and in which order (RFC 8445 5.1.1.1, RFC 8421)."""

import pytest
from hypothesis import given, strategies as st

from sansice.ice._gathering._hosts import (
    COSTS,
    UNRELIABLE_COST,
    HostAddress,
    InterfaceKind,
    choose_hosts,
    intermingle,
    order_hosts,
)

WIRED, WIRELESS, CELLULAR = InterfaceKind.WIRED, InterfaceKind.WIRELESS, InterfaceKind.CELLULAR


def v4(number, **known):
    return HostAddress(f"192.0.2.{number}", **known)


def v6(number, **known):
    return HostAddress(f"2001:db8:0:{number:x}::1", **known)


def names(hosts):
    return [one.host for one in hosts]


def words(hosts):
    return "".join("6" if ":" in one.host else "4" for one in hosts)


# ------------------------------------------------------------- the order


@pytest.mark.parametrize("what", ["udp_sockets", "tcp_listeners"])
def test_an_address_gives_no_fewer_sockets_than_none(what):
    assert getattr(HostAddress("192.0.2.1"), what) == 1
    assert getattr(HostAddress("192.0.2.1", **{what: 0}), what) == 0
    with pytest.raises(ValueError, match=f"{what}: -1 is below 0"):
        HostAddress("192.0.2.1", **{what: -1})


@pytest.mark.req("RFC8421-002", "RFC8421-003")
def test_first_ipv4_address_of_two_comes_after_four_of_six_ipv6_ones():
    hosts = choose_hosts([v4(1), v4(2), *(v6(number) for number in range(6))])
    assert words(hosts) == "66664664"


@pytest.mark.req("RFC8421-002")
@pytest.mark.parametrize(
    ("ipv6", "ipv4", "order"),
    [(1, 1, "64"), (3, 3, "664644"), (1, 3, "6444"), (5, 1, "666664"), (0, 2, "44"), (2, 0, "66"), (4, 2, "666464")],
)
def test_families_take_turns_with_ipv6_first(ipv6, ipv4, order):
    hosts = choose_hosts([*(v4(number) for number in range(1, ipv4 + 1)), *(v6(number) for number in range(ipv6))])
    assert words(hosts) == order


@given(st.integers(0, 12), st.integers(1, 12))
def test_every_ipv4_address_follows_a_run_that_is_no_longer_than_the_head_start(ipv6, ipv4):
    mixed = intermingle([6] * ipv6, [4] * ipv4)
    assert (mixed.count(6), mixed.count(4)) == (ipv6, ipv4)
    runs = "".join(map(str, mixed)).split("4")
    assert max(len(run) for run in runs) <= (ipv4 + ipv6) // ipv4


def test_order_within_a_family_is_the_systems_where_nothing_is_known():
    assert names(choose_hosts(["192.0.2.9", "192.0.2.1", "192.0.2.5"])) == ["192.0.2.9", "192.0.2.1", "192.0.2.5"]


@pytest.mark.req("RFC8421-001")
def test_what_costs_less_comes_earlier_within_its_family():
    hosts = choose_hosts([v4(1, kind=WIRELESS), v6(1, kind=WIRELESS), v4(2, kind=WIRED), v6(2, kind=WIRED)])
    assert hosts == [v6(2, kind=WIRED), v6(1, kind=WIRELESS), v4(2, kind=WIRED), v4(1, kind=WIRELESS)]


@pytest.mark.req("RFC8421-001")
def test_unreliable_addresses_come_last_and_are_not_intermingled_with_the_others():
    hosts = choose_hosts([v6(1, kind=CELLULAR), v4(1), v4(3, cost=UNRELIABLE_COST), v4(2)])
    assert hosts == [v4(1), v4(2), v6(1, kind=CELLULAR), v4(3, cost=UNRELIABLE_COST)]


@pytest.mark.req("RFC8421-001")
def test_interfaces_of_which_nothing_is_known_are_equal():
    names_of = ("wlan0", "", "ppp0", "eth0", "tun0")
    hosts = [HostAddress(f"192.0.2.{number}", interface=name) for number, name in enumerate(names_of)]
    assert len({one.price for one in hosts}) == 1
    assert choose_hosts(hosts) == hosts


def test_cost_of_an_address_overrides_that_of_its_interface():
    assert (v4(1, kind=CELLULAR, cost=3).price, v4(1, kind=CELLULAR).price) == (3, COSTS[CELLULAR])


def test_users_costs_replace_all_others():
    hosts = choose_hosts([v4(1, cost=0), v4(2, cost=9)], cost=lambda one: 0 if one.host == "192.0.2.2" else 1)
    assert names(hosts) == ["192.0.2.2", "192.0.2.1"]


@pytest.mark.parametrize("cost", [-1, 1000])
def test_costs_outside_the_scale_are_refused_wherever_they_come_from(cost):
    with pytest.raises(ValueError, match=r"outside 0\.\.999"):
        v4(1, cost=cost)
    with pytest.raises(ValueError, match=r"192\.0\.2\.1.*outside 0\.\.999"):
        order_hosts([v4(1)], lambda one: cost)


def test_limit_cuts_at_the_end_of_the_order():
    assert words(choose_hosts([v4(1), v4(2), v6(1), v6(2)], limit=3)) == "664"


# ------------------------------------------------------------- which


def test_plain_literals_are_made_canonical_and_taken_once():
    assert names(choose_hosts(["2001:DB8:0::1", "2001:db8::1", HostAddress("2001:db8:0:0::1")])) == ["2001:db8::1"]


@pytest.mark.req("RFC8445-005")
def test_temporary_address_drives_out_permanent_ones_of_its_interface_and_prefix_and_link_local_ones():
    temporary = HostAddress("2001:db8:1::77", interface="eth0", is_temporary=True)
    hosts = [
        HostAddress("2001:db8:1::1", interface="eth0"),
        temporary,
        HostAddress("fe80::1%eth0", interface="eth0"),
        HostAddress("2001:db8:1::1:1", interface="wlan0"),
        HostAddress("2001:db8:2::1", interface="eth0"),
        HostAddress("192.0.2.1", interface="eth0"),
        HostAddress("fe80::1%wlan0", interface="wlan0"),
        HostAddress("169.254.0.1", interface="eth0"),
    ]
    assert names(choose_hosts(hosts, link_local=True)) == [
        "2001:db8:1::77",
        "2001:db8:1::1:1",
        "2001:db8:2::1",
        "192.0.2.1",
        "fe80::1%wlan0",
        "169.254.0.1",
    ]


def test_link_local_addresses_are_used_on_request_or_where_there_is_nothing_else():
    hosts = ["fe80::1%eth0", "192.0.2.1"]
    assert names(choose_hosts(hosts)) == ["192.0.2.1"]
    assert names(choose_hosts(hosts, link_local=True)) == ["fe80::1%eth0", "192.0.2.1"]
    assert names(choose_hosts(hosts[:1])) == ["fe80::1%eth0"]
    assert names(choose_hosts(hosts[:1], link_local=False)) == []


@pytest.mark.req("RFC8445-002")
def test_loopback_serves_on_request_or_where_there_is_nothing_else():
    hosts = ["127.0.0.1", "192.0.2.1"]
    assert names(choose_hosts(hosts)) == ["192.0.2.1"]
    assert names(choose_hosts(hosts, include_loopback=True)) == ["192.0.2.1", "127.0.0.1"]
    assert names(choose_hosts(hosts[:1])) == ["127.0.0.1"]
    assert names(choose_hosts(hosts[:1], include_loopback=False)) == []


@pytest.mark.req("RFC8445-003", "RFC8445-004")
@pytest.mark.parametrize("useless", ["fec0::1", "::192.0.2.1", "::ffff:192.0.2.1", "0.0.0.0", "::", "ff02::1"])
def test_deprecated_and_unspecific_addresses_are_left_out(useless):
    assert choose_hosts([useless], link_local=True, include_loopback=True) == []


def test_filter_sees_everything_that_is_known_and_decides_before_what_is_left_counts():
    seen = []

    def accept(one):
        seen.append(one)
        return one.interface != "docker0"

    hosts = [HostAddress("172.17.0.1", interface="docker0"), "127.0.0.1"]
    assert names(choose_hosts(hosts, accept=accept)) == ["127.0.0.1"]
    assert seen == [hosts[0], HostAddress("127.0.0.1")]


@pytest.mark.parametrize("text", ["localhost", "192.0.2.1:80", ""])
def test_what_is_no_literal_is_refused(text):
    with pytest.raises(ValueError, match="literal"):
        choose_hosts([text])
