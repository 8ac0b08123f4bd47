"""The machine of mDNS: its commands, its sockets, and what it listens to."""

import math

import pytest

from ice._mdns import NAME, OTHER_NAME, OURS, PEER, MdnsBench
from sansice.ice import HostAddress, MdnsAgent, MdnsConfig, NameResolved
from sansice.machine import (
    Address,
    DropReason,
    Ids,
    LocalProtocolError,
    SocketError,
    SocketErrorKind,
    SocketOptions,
    Transport,
)

FAILED = SocketError(SocketErrorKind.ADDRESS_IN_USE)


def test_each_interface_and_family_has_a_socket_in_the_group():
    eth = [HostAddress("192.168.1.1", "eth0"), HostAddress("192.168.1.9", "eth0"), HostAddress("fe80::1%eth0", "eth0")]
    bench = MdnsBench(HostAddress("127.0.0.1", "lo"), "::1", *eth, "2001:db8::1/64")
    assert [(one.bind, one.transport, one.remote, one.options) for one in bench.opened] == [
        (Address("192.168.1.1", 5353), Transport.UDP, None, options(("224.0.0.251",), "eth0")),
        (Address("fe80::1%eth0", 5353), Transport.UDP, None, options(("ff02::fb",), "eth0")),
        (Address("2001:db8::1", 5353), Transport.UDP, None, options(("ff02::fb",), None)),
    ]
    assert bench.agent.addresses == ("192.168.1.1", "fe80::1%eth0", "2001:db8::1")


def options(groups, interface):
    return SocketOptions(multicast_groups=groups, reuse_port=True, interface=interface)


def test_addresses_that_come_and_go_open_and_close_sockets():
    bench = MdnsBench("192.168.1.1", "10.0.0.1")
    bench.do("update_addresses", ["10.0.0.1", "2001:db8::1"])
    assert ([one.bind.host for one in bench.opened], bench.closed) == (["192.168.1.1", "10.0.0.1", "2001:db8::1"], [1])
    assert bench.agent.addresses == ("10.0.0.1", "2001:db8::1")


def test_an_interface_keeps_its_socket_while_its_address_is_there():
    one, two = HostAddress("10.0.0.1", "eth0"), HostAddress("10.0.0.2", "eth0")
    bench = MdnsBench(one)
    bench.do("update_addresses", [two, one])
    assert (len(bench.opened), bench.closed) == (1, [])
    bench.do("update_addresses", [two])
    assert ([action.bind.host for action in bench.opened], bench.closed) == (["10.0.0.1", "10.0.0.2"], [1])


def test_an_address_more_on_an_interface_is_told_there():
    one, two = HostAddress("10.0.0.1", "eth0"), HostAddress("10.0.0.2", "eth0")
    bench = MdnsBench(one)
    name = bench.registered("10.0.0.2")
    assert bench.sent == []
    bench.do("update_addresses", [one, two])
    assert [sent.names for sent in bench.wait(5)] == [[name], [name]]
    bench.do("update_addresses", [one, two])
    assert bench.wait(5) == []


def test_an_address_list_that_flaps_a_hundred_times_a_second_makes_no_flood():
    bench = MdnsBench("10.0.0.1", "10.0.0.2")
    bench.registered("10.0.0.1")
    before = len(bench.sent)
    for number in range(100):
        bench.do("update_addresses", ["10.0.0.1", "10.0.0.2"][: 1 + number % 2])
        bench.wait(0.01)
    assert len(bench.sent) == before


@pytest.mark.parametrize("ends", ["gone", "failed"])
def test_what_was_told_on_a_link_is_forgotten_with_the_link(ends):
    """RFC 6762 10.3: what was taken back meanwhile nobody has heard."""
    bench = MdnsBench(OURS)
    bench.answer(NAME, "192.168.1.2")
    if ends == "gone":
        bench.do("update_addresses", ())
    else:
        bench.agent.handle_socket_failed(1, SocketError(SocketErrorKind.OTHER, "the interface is gone"), now=bench.now)
    bench.do("update_addresses", [OURS])
    bench.do("resolve", NAME)
    assert bench.told == []
    assert NAME in [name for sent in bench.wait(1.0) for name in sent.names]


def test_there_are_no_more_sockets_than_the_bound_and_those_that_are_there_stay():
    bench = MdnsBench("10.0.0.1", "10.0.0.2", config=MdnsConfig(max_links=2))
    bench.do("update_addresses", ["10.0.0.3", "10.0.0.2", "10.0.0.1"])
    assert bench.agent.addresses == ("10.0.0.1", "10.0.0.2") and bench.closed == []
    assert bench.agent.stats.dropped == {DropReason.LIMIT: 1}


def test_a_socket_that_failed_is_tried_again_with_the_next_addresses():
    bench = MdnsBench(OURS, opens=False)
    bench.agent.handle_socket_failed(1, FAILED, now=bench.now)
    bench.opens = True
    bench.do("update_addresses", [OURS])
    assert [one.socket for one in bench.opened] == [1, 2] and bench.agent.addresses == (OURS,)


def test_nothing_is_sent_on_a_socket_that_is_not_open():
    bench = MdnsBench(OURS, opens=False)
    name = bench.do("register", OURS)
    bench.do("resolve", NAME)
    assert bench.wait(0.5) == []
    bench.open(bench.opened[0])
    bench.open(bench.opened[0])
    assert [sent.names for sent in bench.wait(0.9)] == [[name], [NAME]]
    bench.do("withdraw", name)


def test_what_comes_before_a_socket_is_open_is_for_nobody():
    bench = MdnsBench(HostAddress("10.0.0.1", "eth0"), opens=False)
    bench.do("update_addresses", [HostAddress("10.0.0.1", "eth0"), HostAddress("10.0.0.2", "eth0")])
    bench.answer(NAME, "10.0.0.9")
    assert bench.agent.stats.dropped == {DropReason.UNKNOWN_SOCKET: 1}


def test_goodbyes_are_for_links_that_are_open():
    bench = MdnsBench(OURS)
    name = bench.registered()
    bench.agent.handle_socket_failed(1, FAILED, now=bench.now)
    before = len(bench.sent)
    bench.do("withdraw", name)
    assert len(bench.sent) == before


def test_unknown_sockets_are_of_no_concern():
    bench = MdnsBench(OURS)
    bench.agent.handle_socket_opened(9, Address(OURS, 5353), now=bench.now)
    bench.agent.handle_socket_failed(9, FAILED, now=bench.now)
    bench.agent.handle_datagrams(9, [(PEER, b"x"), (PEER, b"y")], now=bench.now)
    assert bench.agent.stats.dropped == {DropReason.UNKNOWN_SOCKET: 2}


@pytest.mark.parametrize(("host", "is_heard"), [("192.168.1.77", True), ("169.254.7.7", True), ("192.168.2.2", False)])
def test_where_the_prefix_is_known_only_the_link_is_listened_to(host, is_heard):
    bench = MdnsBench("192.168.1.1/24")
    name = bench.registered()
    bench.answer(NAME, "192.168.1.2", source=Address(host, 5353))
    sent = bench.ask(name, source=Address(host, 5353))
    assert (len(sent), len(bench.agent._querier.cache)) == (is_heard, is_heard)
    assert bench.agent.stats.dropped == ({} if is_heard else {DropReason.WRONG_SOURCE: 2})


def test_a_source_of_the_other_family_is_not_on_the_link():
    bench = MdnsBench("192.168.1.1/24")
    bench.answer(NAME, "192.168.1.2", source=Address("2001:db8::9", 5353))
    assert bench.agent.stats.dropped == {DropReason.WRONG_SOURCE: 1}


@pytest.mark.parametrize(
    ("ours", "zone"),
    [
        (HostAddress("fe80::1%eth0"), "%eth0"),
        (HostAddress("2001:db8::1", "wlan0"), "%wlan0"),
        (HostAddress("192.168.1.1", "wlan0"), "%wlan0"),
        ("fe80::1", ""),
    ],
    ids=["of the address", "of the interface", "told over IPv4", "no zones"],
)
def test_a_link_local_address_is_of_the_link_that_it_was_told_on(ours, zone):
    bench = MdnsBench(ours)
    query = bench.do("resolve", NAME)
    bench.answer(NAME, "fe80::2")
    assert bench.events == [NameResolved(query, NAME, f"fe80::2{zone}")]


@pytest.mark.req("MDNS-002")
def test_an_address_has_one_name_in_a_session_and_each_address_its_own():
    bench = MdnsBench(OURS, "2001:db8::1")
    four, six = bench.do("register", OURS), bench.do("register", "2001:DB8:0::1")
    assert four != six
    assert (bench.do("register", OURS), bench.do("register", "2001:db8::1")) == (four, six)
    assert bench.agent.names == (four, six)
    assert bench.do("register", OURS, session="another") not in (four, six)


def test_an_address_has_another_name_once_its_name_was_withdrawn():
    bench = MdnsBench(OURS)
    name = bench.do("register", OURS)
    bench.do("withdraw", name)
    assert bench.do("register", OURS) != name


def test_a_name_of_ours_is_resolved_without_asking():
    bench = MdnsBench(OURS)
    name = bench.do("register", OURS)
    query = bench.do("resolve", name.upper())
    assert bench.events == [NameResolved(query, name, OURS)]


def test_names_of_ours_are_bounded():
    bench = MdnsBench(OURS, config=MdnsConfig(max_names=2))
    one, _ = (bench.do("register", host) for host in (OURS, "10.0.0.1"))
    with pytest.raises(LocalProtocolError, match="2 names are in use"):
        bench.do("register", "10.0.0.2")
    assert bench.do("register", OURS) == one


@pytest.mark.parametrize(
    ("command", "arguments", "keywords"),
    [
        ("update_addresses", (["localhost"],), {}),
        ("update_addresses", (["10.0.0.1", "10.0.0.2/99"],), {}),
        ("register", ("name",), {}),
        ("resolve", (NAME,), {"timeout": 0.0}),
        ("resolve", (NAME,), {"timeout": math.nan}),
    ],
)
def test_a_mistake_of_the_caller_is_refused_and_changes_nothing(command, arguments, keywords):
    bench = MdnsBench(OURS)
    with pytest.raises(LocalProtocolError):
        bench.do(command, *arguments, **keywords)
    assert (bench.agent.names, bench.agent.addresses, bench.agent.deadline()) == ((), (OURS,), math.inf)


def test_closing_says_goodbye_closes_the_sockets_and_is_final():
    bench = MdnsBench(OURS)
    name = bench.registered()
    before = len(bench.sent)
    bench.do("close")
    bench.do("close")
    assert ([sent.names for sent in bench.sent[before:]], bench.closed) == ([[name]], [1])
    bench.answer(NAME, "192.168.1.2", source=PEER)
    assert bench.agent.stats.dropped == {DropReason.CLOSED: 1}
    for command, arguments in [("update_addresses", ([],)), ("register", (OURS,)), ("resolve", (NAME,))]:
        with pytest.raises(LocalProtocolError, match="closed"):
            bench.do(command, *arguments)
    bench.do("withdraw", name)
    bench.do("end_session", "")
    assert bench.agent.deadline() == math.inf and bench.wait(10) == []


def test_ids_may_be_shared_with_another_machine():
    ids = Ids()
    ids.socket()
    agent = MdnsAgent(ids=ids)
    agent.update_addresses([OURS], now=0.0)
    assert [action.socket for action in agent.take_outputs()] == [2]
    assert agent.resolve(NAME, now=0.0) == 3


def test_what_was_sent_is_counted():
    bench = MdnsBench(OURS)
    bench.registered()
    bench.do("resolve", NAME)
    bench.wait(0.5)
    assert (bench.agent.stats.queries_sent, bench.agent.stats.responses_sent) == (1, 2)


def test_a_name_that_was_made_elsewhere_is_announced_answered_for_and_taken_back():
    bench = MdnsBench(OURS)
    bench.do("publish", NAME.upper(), OURS)
    bench.do("publish", NAME, OURS)
    announcements = bench.wait(5)
    assert bench.agent.names == (NAME,) and [one.names for one in announcements] == [[NAME], [NAME]]
    assert [one.names for one in bench.ask(NAME)] == [[NAME]]
    before = len(bench.sent)
    bench.do("withdraw", NAME)
    assert [record.ttl for record in bench.sent[before].message.hosts_untrusted()] == [0]


def test_names_that_were_made_elsewhere_are_no_sessions_and_leave_its_own_alone():
    bench = MdnsBench(OURS)
    bench.do("publish", NAME, OURS)
    bench.do("publish", OTHER_NAME, OURS)
    assert bench.do("register", OURS) not in (NAME, OTHER_NAME)


@pytest.mark.parametrize(
    ("name", "address", "says"),
    [("printer.local", OURS, "no UUID"), (NAME, "localhost", "address: "), (OTHER_NAME, "192.168.1.9", "is that of 192.168.1.1")],
)
def test_what_cannot_be_published_is_refused(name, address, says):
    bench = MdnsBench(OURS)
    bench.do("publish", OTHER_NAME, OURS)
    with pytest.raises(LocalProtocolError, match=says):
        bench.do("publish", name, address)
    assert bench.agent.names == (OTHER_NAME,)


def test_too_many_names_and_a_closed_machine_refuse_what_is_published():
    bench = MdnsBench(OURS, config=MdnsConfig(max_names=1))
    bench.do("publish", NAME, OURS)
    with pytest.raises(LocalProtocolError, match="1 names are in use"):
        bench.do("publish", OTHER_NAME, OURS)
    bench.do("close")
    with pytest.raises(LocalProtocolError, match="closed"):
        bench.do("publish", NAME, OURS)
