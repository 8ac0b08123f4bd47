"""A server's own addresses as peers: nothing but relayed addresses, of others (RFC 8656 21.1.6)."""

import pytest

from _turn_serving import (
    CLIENT,
    DTLS,
    HOST,
    LISTENERS,
    TCP,
    TCP_RELAY,
    TLS,
    UDP,
    TurnServing,
    code_of,
    sent_to_peers,
)
from sansice.machine import Address, DropReason, IcmpError, OpenSocket, SocketError, SocketErrorKind
from sansice.stun import (
    CHANNEL_NUMBER,
    ICMP,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    XOR_PEER_ADDRESS,
    AddressFamily,
    Icmp,
    Listener,
    Method,
    decode_untrusted,
)
from sansice.turn import PeerPolicy, RelayAddress, TurnServerConfig, encode_channel_data
from sansice.turn._server._allocation import TCP_PROTOCOL, UDP_PROTOCOL
from sansice.turn._server._own import OwnAddresses

OTHER_CLIENT = CLIENT._replace(port=9)
LISTENER = Address(HOST, 3478)
SERVICE = Address(HOST, 22)
BIND, PERMIT, REFRESH = Method.CHANNEL_BIND, Method.CREATE_PERMISSION, Method.REFRESH
OPEN = PeerPolicy(allow=[HOST])
PRIVATE, PUBLIC = "10.0.0.5", "203.0.113.5"


def two(**options):
    """Two clients of one server, allocated."""
    serving = TurnServing(**options)
    users = serving.client(), serving.client(OTHER_CLIENT, user="bob")
    for user in users:
        user.allocate()
    return serving, *users


def test_data_goes_between_relayed_addresses_of_one_server():
    _, alice, bob = two()
    (at_bob,) = bob.relayed
    assert alice.bind(0x4000, at_bob) == 0
    outputs = alice.send(encode_channel_data(0x4000, b"hello"))
    assert sent_to_peers(outputs, alice.relays[0]) == [(at_bob, b"hello")]
    assert bob.permit(alice.relayed[0]) == 0
    assert len(bob.hear(alice.relayed[0], b"hello")) == 1
    assert sent_to_peers(alice.indicate(at_bob, b"too"), alice.relays[0]) == [(at_bob, b"too")]


@pytest.mark.parametrize("policy", [PeerPolicy(), OPEN], ids=["default", "opened"])
def test_no_listener_is_a_peer(policy):
    serving, alice, _ = two(peer_policy=policy)
    assert alice.bind(0x4000, LISTENER) == 403
    alice.permit(LISTENER)
    assert alice.indicate(LISTENER, b"a request to itself") == []
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 1
    assert alice.hear(LISTENER, b"an answer to itself") == []


DATAGRAM_LISTENERS = (Listener(UDP, Address(HOST, 4001)), Listener(DTLS, Address(HOST, 4002)))
STREAM_LISTENERS = (Listener(TCP, Address(HOST, 4003)), Listener(TLS, Address(HOST, 4004)))
APART = (*LISTENERS, *DATAGRAM_LISTENERS, *STREAM_LISTENERS)


@pytest.mark.parametrize("listener", [*DATAGRAM_LISTENERS, *STREAM_LISTENERS], ids=lambda one: one.transport.value)
def test_over_udp_the_port_of_a_stream_listener_is_like_any_other(listener):
    _, alice, _ = two(peer_policy=OPEN, listeners=APART)
    peer, is_open = listener.address, listener in STREAM_LISTENERS
    assert alice.permit(peer) == 0  # a permission has no port
    assert sent_to_peers(alice.indicate(peer, b"x"), alice.relays[0]) == [(peer, b"x")] * is_open
    assert len(alice.hear(peer, b"y")) == is_open
    assert alice.bind(0x4000, peer) == (0 if is_open else 403)
    outputs = alice.send(encode_channel_data(0x4000, b"z"))
    assert sent_to_peers(outputs, alice.relays[0]) == [(peer, b"z")] * is_open


@pytest.mark.parametrize("listener", [*DATAGRAM_LISTENERS, *STREAM_LISTENERS], ids=lambda one: one.transport.value)
def test_over_tcp_the_port_of_a_datagram_listener_is_like_any_other(listener):
    serving = TurnServing(APART, peer_policy=OPEN, policy={"tcp_relay": True})
    user = serving.stream()
    assert user.code(Method.ALLOCATE, TCP_RELAY) == 0
    serving.holding = True
    outputs = user.send(user.request(Method.CONNECT, (XOR_PEER_ADDRESS, listener.address)))
    led = [one.remote for one in outputs if type(one) is OpenSocket]
    assert led == ([listener.address] if listener in DATAGRAM_LISTENERS else [])
    assert [code_of(decode_untrusted(one)) for one in user.answers(outputs)] == ([] if led else [403])


def test_nothing_else_on_the_host_is_a_peer():
    serving, alice, bob = two()
    assert alice.bind(0x4000, SERVICE) == 403
    assert alice.permit(bob.relayed[0]) == 0  # a permission has no port, so that it is for the whole host
    assert alice.indicate(SERVICE, b"SSH-2.0") == []
    assert alice.hear(SERVICE, b"SSH-2.0") == []
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 2


def test_a_host_that_the_policy_refuses_is_permitted_to_who_names_a_relayed_address_there():
    _, alice, bob = two()
    assert alice.permit(SERVICE) == 403
    assert alice.permit(LISTENER) == 403
    assert alice.permit(bob.relayed[0]) == 0
    assert alice.permit(bob.relayed[0], SERVICE) == 403


def test_but_where_a_rule_says_so():
    _, alice, _ = two(peer_policy=OPEN)
    assert alice.bind(0x4000, SERVICE) == 0
    assert sent_to_peers(alice.send(encode_channel_data(0x4000, b"x")), alice.relays[0]) == [(SERVICE, b"x")]


def test_a_listener_that_has_died_is_an_address_like_another():
    serving, alice, _ = two(peer_policy=OPEN, listeners=[*LISTENERS, Listener(UDP, Address(HOST, 4000))])
    assert alice.bind(0x4000, Address(HOST, 4000)) == 403
    dying = next(socket for socket, asked in serving.opened.items() if asked.bind.port == 4000)
    serving.call(serving.server.handle_socket_failed, dying, SocketError(SocketErrorKind.OTHER))
    assert alice.bind(0x4000, Address(HOST, 4000)) == 0


def test_a_listener_stays_none_when_one_of_the_other_protocol_at_its_port_has_died():
    at = Address(HOST, 4000)
    serving, alice, _ = two(peer_policy=OPEN, listeners=[*LISTENERS, Listener(UDP, at), Listener(TCP, at)])
    dying = [socket for socket, asked in serving.opened.items() if asked.bind == at]
    serving.call(serving.server.handle_socket_failed, dying[1], SocketError(SocketErrorKind.OTHER))
    assert alice.bind(0x4000, at) == 403
    serving.call(serving.server.handle_socket_failed, dying[0], SocketError(SocketErrorKind.OTHER))
    assert alice.bind(0x4000, at) == 0


def test_a_relayed_address_that_has_ended_is_no_peer_any_more():
    serving, alice, bob = two()
    alice.bind(0x4000, bob.relayed[0])
    alice.indicate(bob.relayed[0], b"x")
    bob.ask(REFRESH, (LIFETIME, 0))
    assert alice.send(encode_channel_data(0x4000, b"whoever has that port now")) == []
    assert alice.indicate(bob.relayed[0], b"x") == []
    assert alice.bind(0x4000, bob.relayed[0]) == 403
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 2


def test_a_client_may_talk_to_itself():
    _, alice, _ = two()
    assert alice.bind(0x4000, alice.relayed[0]) == 0


def test_a_tcp_relay_is_no_peer_over_udp():
    serving = TurnServing(policy={"tcp_relay": True})
    tcp = serving.stream()
    answer = tcp.ask(Method.ALLOCATE, TCP_RELAY)
    assert code_of(answer) == 0
    (listening,) = (asked.bind for asked in serving.opened.values() if asked.bind.port > 5349)
    alice = serving.client(OTHER_CLIENT)
    alice.allocate()
    assert alice.code(BIND, (CHANNEL_NUMBER, 0x4000), (XOR_PEER_ADDRESS, listening)) == 403


class TestBehindANatThatMapsOneToOne:
    @pytest.fixture
    def clients(self):
        listeners = [Listener(UDP, Address(PRIVATE, 3478))]
        return two(listeners=listeners, policy={"relay_addresses": [RelayAddress(PRIVATE, PUBLIC)]})

    def test_clients_are_told_what_is_seen_outside(self, clients):
        serving, alice, _ = clients
        (relayed,) = alice.relayed
        assert relayed.host == PUBLIC
        assert Address(PRIVATE, relayed.port) in [asked.bind for asked in serving.opened.values()]

    def relay_of(self, serving, user):
        (relayed,) = user.relayed
        return next(socket for socket, asked in serving.opened.items() if asked.bind == Address(PRIVATE, relayed.port))

    def test_data_between_two_relayed_addresses_takes_the_short_way_and_does_not_look_so(self, clients):
        serving, alice, bob = clients
        at_alice, at_bob = alice.relayed[0], bob.relayed[0]
        inside_alice, inside_bob = Address(PRIVATE, at_alice.port), Address(PRIVATE, at_bob.port)
        from_alice, to_bob = self.relay_of(serving, alice), self.relay_of(serving, bob)
        assert alice.bind(0x4000, at_bob) == 0
        sent = sent_to_peers(alice.send(encode_channel_data(0x4000, b"x")), from_alice)
        sent += sent_to_peers(alice.indicate(at_bob, b"y"), from_alice)
        assert sent == [(inside_bob, b"x"), (inside_bob, b"y")]
        bob.permit(at_alice)
        (heard,) = bob.answers(serving.feed(to_bob, (inside_alice, b"x")))
        assert decode_untrusted(heard).get(XOR_PEER_ADDRESS) == at_alice
        bob.bind(0x4001, at_alice)
        assert bob.answers(serving.feed(to_bob, (inside_alice, b"x"))) == [encode_channel_data(0x4001, b"x")]

    def test_an_icmp_error_of_that_way_is_about_what_is_seen_outside(self, clients):
        serving, alice, bob = clients
        alice.permit(bob.relayed[0])
        inside_bob = Address(PRIVATE, bob.relayed[0].port)
        serving.server.handle_icmp(self.relay_of(serving, alice), inside_bob, IcmpError(3, 1), now=serving.now)
        (told,) = alice.answers(serving.take())
        message = decode_untrusted(told)
        assert (message.get(XOR_PEER_ADDRESS), message.get(ICMP)) == (bob.relayed[0], Icmp(3, 1, 0))

    def test_neither_side_of_the_nat_shows_anything_else_of_the_host(self, clients):
        _, alice, _ = clients
        for host in (PRIVATE, PUBLIC):
            assert alice.bind(0x4000, Address(host, 3478)) == 403
            assert alice.bind(0x4000, Address(host, 22)) == 403

    def test_a_rule_that_opens_the_host_opens_no_listener_from_outside(self):
        listeners = [Listener(UDP, Address(PRIVATE, 3478))]
        policy = {"relay_addresses": [RelayAddress(PRIVATE, PUBLIC)]}
        _, alice, _ = two(listeners=listeners, policy=policy, peer_policy=PeerPolicy(allow=[PUBLIC]))
        assert alice.bind(0x4000, Address(PUBLIC, 3478)) == 403
        assert alice.bind(0x4000, Address(PUBLIC, 22)) == 0

    def test_what_has_ended_is_forgotten_on_both_sides(self, clients):
        serving, alice, bob = clients
        alice.permit(bob.relayed[0])
        inside_bob = Address(PRIVATE, bob.relayed[0].port)
        bob.ask(REFRESH, (LIFETIME, 0))
        assert alice.answers(serving.feed(self.relay_of(serving, alice), (inside_bob, b"x"))) == []


SIBLINGS = {"relay_ports": (50000, 50009), "shared_ports": (50000, 50019), "relay_addresses": [RelayAddress(HOST)]}
SIBLING = Address(HOST, 50015)


def test_relayed_addresses_of_a_sibling_process_are_peers():
    _, alice, _ = two(policy=dict(SIBLINGS))
    assert alice.bind(0x4000, SIBLING) == 0
    assert alice.bind(0x4001, SIBLING._replace(port=50020)) == 403
    outputs = alice.send(encode_channel_data(0x4000, b"hello"))
    assert sent_to_peers(outputs, alice.relays[0]) == [(SIBLING, b"hello")]
    assert len(alice.hear(SIBLING, b"hello")) == 1


def test_ports_of_this_process_are_peers_only_while_they_are_relayed_addresses():
    _, alice, bob = two(policy=dict(SIBLINGS))
    free = next(port for port in range(50000, 50010) if port not in (alice.relayed[0].port, bob.relayed[0].port))
    assert alice.bind(0x4000, SIBLING._replace(port=free)) == 403


def test_a_siblings_relayed_address_is_reached_on_the_short_way_and_does_not_look_so():
    listeners = [Listener(UDP, Address(PRIVATE, 3478))]
    policy = {**SIBLINGS, "relay_addresses": [RelayAddress(PRIVATE, PUBLIC)]}
    serving, alice, _ = two(listeners=listeners, policy=policy)
    relay = next(socket for socket, asked in serving.opened.items() if asked.bind.port == alice.relayed[0].port)
    outside, inside = Address(PUBLIC, SIBLING.port), Address(PRIVATE, SIBLING.port)
    assert alice.bind(0x4000, outside) == 0
    assert sent_to_peers(alice.send(encode_channel_data(0x4000, b"hello")), relay) == [(inside, b"hello")]
    assert alice.answers(serving.feed(relay, (inside, b"back"))) == [encode_channel_data(0x4000, b"back")]


def test_a_listener_among_the_siblings_ports_is_no_peer():
    listener = Listener(LISTENERS[0].transport, SIBLING)
    _, alice, _ = two(policy=dict(SIBLINGS), listeners=(*LISTENERS, listener))
    assert alice.bind(0x4000, SIBLING) == 403
    assert alice.permit(SIBLING._replace(port=50016)) == 0


def test_shared_ports_hold_those_of_this_process():
    with pytest.raises(ValueError, match="shared_ports: 50001-50019 does not hold 50000-50009"):
        TurnServerConfig(relay_ports=(50000, 50009), shared_ports=(50001, 50019))


def test_addresses_that_lead_to_this_server_are_its_own():
    # A NAT64 brings what is sent there back, from a client's side as well as from a peer's.
    here, others = "64:ff9b::c633:6401", "64:ff9b::c633:6402"
    serving = TurnServing(peer_policy=PeerPolicy(allow=["64:ff9b::/96", "198.51.100.0/24"]))
    user, other = serving.client(), serving.client(OTHER_CLIENT)
    user.allocate((REQUESTED_ADDRESS_FAMILY, AddressFamily.IPV6))
    other.allocate()
    listener, service, relayed = (Address(here, port) for port in (3478, 22, other.relayed[0].port))
    assert [user.bind(0x4000, listener), user.bind(0x4001, service), user.bind(0x4002, relayed)] == [403, 0, 0]
    assert user.bind(0x4003, Address(others, 3478)) == 0
    assert user.permit(listener) == 0  # a permission has no port
    assert user.indicate(listener, b"a request to itself") == []
    assert user.hear(listener, b"an answer to itself") == []
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 2


def test_what_leads_to_this_server_is_no_way_to_what_the_policy_refuses():
    serving = TurnServing(peer_policy=PeerPolicy(allow=["64:ff9b::/96"]))
    user = serving.client()
    user.allocate((REQUESTED_ADDRESS_FAMILY, AddressFamily.IPV6))
    assert user.bind(0x4000, Address("64:ff9b::c633:6401", 22)) == 403


def test_a_public_host_of_this_server_is_as_closed_as_any_other():
    here = "9.9.9.9"
    serving = TurnServing([Listener(UDP, Address(here, 3478))])
    user = serving.client()
    user.allocate()
    assert user.bind(0x4000, Address(here, 22)) == 403
    assert user.permit(Address(here, 22)) == 0  # a permission has no port
    assert user.indicate(Address(here, 22), b"SSH-2.0") == []
    assert user.hear(Address(here, 22), b"SSH-2.0") == []
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 2


def test_a_listener_at_an_address_that_another_one_is_told_as_is_no_peer():
    own = OwnAddresses(PeerPolicy(allow=[PRIVATE, PUBLIC]))
    own.add_host(PRIVATE, PUBLIC)
    own.add_listener(UDP, Address(PUBLIC, 3478))
    assert not own.may_reach(Address(PUBLIC, 3478))
    assert own.may_reach(Address(PUBLIC, 3479))


def test_a_listener_among_the_relayed_addresses_of_siblings_is_no_peer():
    own = OwnAddresses(PeerPolicy(), siblings=range(50_000, 50_010))
    own.add_host(PRIVATE, PUBLIC)
    own.add_listener(UDP, Address(PRIVATE, 50_001))
    found = [(own.may_permit(peer), own.may_reach(peer)) for peer in (Address(PUBLIC, 50_001), Address(PUBLIC, 50_002))]
    assert found == [(False, False), (True, True)]


@pytest.mark.parametrize(
    ("transport", "other"), [(UDP, TCP_PROTOCOL), (DTLS, TCP_PROTOCOL), (TCP, UDP_PROTOCOL), (TLS, UDP_PROTOCOL)]
)
def test_the_port_of_a_listener_may_be_a_siblings_relayed_address_of_the_other_protocol(transport, other):
    own = OwnAddresses(PeerPolicy(), siblings=range(50_000, 50_010))
    own.add_host(PRIVATE, PUBLIC)
    own.add_listener(transport, Address(PRIVATE, 50_001))
    peer = Address(PUBLIC, 50_001)
    found = {
        protocol: (own.may_permit(peer, protocol), own.may_reach(peer, protocol)) for protocol in (UDP_PROTOCOL, TCP_PROTOCOL)
    }
    assert found.pop(other) == (True, True)
    assert list(found.values()) == [(False, False)]


def test_an_address_that_leads_to_two_hosts_of_this_server_must_be_allowed_by_both():
    # Which of them it is, depends on how long the prefix of that NAT64 is.
    first, second = "10.0.0.5", "192.0.2.7"
    own = OwnAddresses(PeerPolicy(allow=["64:ff9b:1::/48", "0.0.0.0/8", "10.0.0.0/8", "192.0.2.0/24"]))
    own.add_host(first, first)
    own.add_host(second, second)
    both = Address("64:ff9b:1:a00:0:500:c000:207", 3478)
    assert own.is_own(both.host)
    assert own.may_reach(both)
    own.add_listener(UDP, Address(first, 3478))
    assert not own.may_reach(both)
    own.remove_listener(UDP, Address(first, 3478))
    own.add_listener(UDP, Address(second, 3478))
    assert not own.may_reach(both)


def test_a_relayed_address_behind_a_nat_is_forgotten_with_its_allocation():
    told = RelayAddress(PRIVATE, PUBLIC)
    serving = TurnServing([Listener(UDP, Address(PRIVATE, 3478))], policy={"relay_addresses": [told]})
    user = serving.client()
    user.allocate()
    local = Address(PRIVATE, user.relayed[0].port)
    assert serving.server._own.outside(local) == user.relayed[0]
    user.ask(REFRESH, (LIFETIME, 0))
    assert serving.server._own.outside(local) == local
