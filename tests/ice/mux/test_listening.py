"""Where a mux listens, and which of its sockets does for what an agent wants."""

import pytest

from ice._wire import at
from sansice.ice import HostAddress
from sansice.ice._mux._listening import Listening, read_listeners
from sansice.machine import Ids, LocalProtocolError, OpenSocket, SocketError, SocketErrorKind, SocketId, SocketOptions, Transport
from sansice.stun import Listener, ListenerFailed, ListenerOpened, ServerReady

ONE, TWO = at("192.0.2.1", 4000), at("192.0.2.1", 0)


def listening(*addresses):
    table = Listening()
    wishes = list(table.start(read_listeners(addresses), Ids(), 1000))
    return table, wishes


def wish(host, port=0, transport=Transport.UDP, remote=None):
    return OpenSocket(SocketId(9), transport, at(host, port), remote)


def test_addresses_and_listeners_are_taken_one_or_several():
    assert read_listeners(ONE) == read_listeners([ONE]) == read_listeners([Listener(Transport.UDP, ONE)])
    assert read_listeners(Listener(Transport.UDP, ONE)) == (Listener(Transport.UDP, ONE),)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((), "at least one"),
        ((at("0.0.0.0"),), "name each address"),
        ((at("::"),), "name each address"),
        ((Listener(Transport.TLS, ONE),), "neither UDP nor TCP"),
        ((ONE, ONE), "same address twice"),
    ],
)
def test_what_cannot_be_listened_at_is_refused(given, text):
    with pytest.raises(LocalProtocolError, match=text):
        read_listeners(given)


def test_any_port_may_be_asked_for_twice():
    table, wishes = listening(TWO, TWO)
    assert [one.bind for one in wishes] == [TWO, TWO] and table.hosts == (HostAddress("192.0.2.1", udp_sockets=2),)
    assert wishes[0].options.receive_buffer == 1000


def test_a_socket_is_asked_for_as_its_listener_says():
    alone, beside = Listener(Transport.UDP, ONE), Listener(Transport.UDP, ONE._replace(port=4001), reuse_port=True)
    assert [one.options.reuse_port for one in listening(alone, beside)[1]] == [False, True]


def test_ready_is_told_once_when_all_are_decided_on():
    table, _ = listening(ONE, at("192.0.2.2", 4000))
    first, second = table.sockets.values()
    assert [type(one) for one in table.opened(first, ONE)] == [ListenerOpened]
    assert table.hosts == ("192.0.2.1", "192.0.2.2")
    [failed, ready] = table.failed(second, SocketError(SocketErrorKind.ADDRESS_IN_USE))
    assert isinstance(failed, ListenerFailed) and ready == ServerReady(((Transport.UDP, ONE),))
    assert [type(one) for one in table.failed(first, SocketError(SocketErrorKind.OTHER))] == [ListenerFailed]
    assert table.addresses == table.hosts == ()


def test_socket_serves_its_address_and_any_port_or_its_own():
    table, _ = listening(ONE, at("192.0.2.1", 4001), at("2001:db8::1", 0))
    first, second, third = table.sockets.values()
    assert table.serving(wish("192.0.2.1")) is first
    assert table.serving(wish("192.0.2.1", 4001)) is second
    assert table.serving(wish("192.0.2.1", 4002)) is None
    assert table.serving(wish("192.0.2.9")) is None
    assert table.serving(wish("2001:db8::1", 777)) is None
    list(table.opened(third, at("2001:db8::1", 777)))
    assert table.serving(wish("2001:db8::1", 777)) is third


def test_agents_gather_from_each_address_as_many_sockets_as_there_are():
    second, ipv6 = at("192.0.2.1", 4001), at("2001:db8::1", 4000)
    assert listening(ONE, ipv6)[0].hosts == ("192.0.2.1", "2001:db8::1")
    assert listening(ONE, Listener(Transport.TCP, ONE))[0].hosts == ("192.0.2.1",)
    assert listening(ONE, second, ipv6, Listener(Transport.TCP, ipv6))[0].hosts == (
        HostAddress("192.0.2.1", udp_sockets=2, tcp_listeners=0),
        HostAddress("2001:db8::1"),
    )
    assert listening(Listener(Transport.TCP, ONE), Listener(Transport.TCP, second))[0].hosts == (
        HostAddress("192.0.2.1", tcp_listeners=2),  # no UDP at all, which is then the agents' own affair
    )


def test_an_agent_that_has_a_place_at_one_port_is_given_the_next():
    table, _ = listening(TWO, TWO)
    first, second = table.sockets.values()
    assert table.serving(wish("192.0.2.1"), [first]) is second
    assert table.serving(wish("192.0.2.1"), [first, second]) is None


def test_streams_and_sockets_towards_one_server_are_not_shared():
    table, _ = listening(ONE)
    assert table.serving(wish("192.0.2.1", transport=Transport.TCP)) is None
    table, wishes = listening(ONE, Listener(Transport.TCP, ONE))
    assert table.serving(wish("192.0.2.1", transport=Transport.TCP)) is list(table.sockets.values())[1]
    assert [one.options.receive_buffer for one in wishes] == [1000, 0]  # each connection would have as much
    both_ways = OpenSocket(SocketId(9), Transport.TCP, ONE, options=SocketOptions(reuse_port=True))
    assert table.serving(both_ways) is None
    assert table.serving(wish("192.0.2.1", remote=at("203.0.113.9"))) is None
