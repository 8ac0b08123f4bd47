"""A client and a server, machine against machine, with a network in between that may do what networks do."""

import math

import pytest

from _turn_client_scene import DTLS, TCP, TLS, UDP
from sansice.machine import Address, AddressRecord, IcmpError, LocalProtocolError, Machine, OpenSocket, SendDatagram, SocketId
from sansice.simulation import Link, Network
from sansice.stun import (
    ACCESS_TOKEN,
    AccessToken,
    Listener,
    LongTermCredentials,
    Method,
    ServerAuthentication,
    StaticUsers,
    ThirdPartyServerAuthentication,
    TokenContents,
    TokenKey,
    decode_untrusted,
    encode_token,
)
from sansice.turn import (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    AllocationRefreshed,
    ChannelBound,
    Closed,
    DataReceived,
    PeerPolicy,
    PeerUnreachable,
    PermissionCreated,
    PermissionFailed,
    TurnClient,
    TurnClientState,
    TurnServer,
    TurnServerConfig,
    TurnStep,
)

REALM = "example.org"
CREDENTIALS = LongTermCredentials("user", "password")
SERVER = "192.0.2.1"
SERVER6 = "2001:db8::1"
PEERS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
ECHO = 7
SHARED = TokenKey("shared", b"k" * 32)
UNIX = 1_700_000_000.0  # when a simulated network begins


def token_for(seconds, *, mac_key=b"m" * 20, first_party=None):
    """What an authorization server gives out, for so many seconds from the start of the world."""
    contents = TokenContents(mac_key, UNIX, seconds)
    return AccessToken(SHARED.kid, encode_token(contents, SHARED, REALM, nonce=bytes(12)), mac_key, first_party)


class Echo(Machine):
    """A peer that sends everything back, or whatever it is told to."""

    def __init__(self, *hosts):
        super().__init__()
        self.hosts = hosts
        self.heard = []

    def start(self, *, now):
        for number, host in enumerate(self.hosts, start=1):
            self._outputs.append(OpenSocket(SocketId(number), UDP, Address(host, ECHO)))

    def handle_datagrams(self, socket, batch, *, now):
        for source, data in batch:
            self.heard.append((source, data))
            self._outputs.append(SendDatagram(socket, source, data))

    def say(self, destination, data, *, now):
        self._outputs.append(SendDatagram(SocketId(2 if destination.is_ipv6 else 1), destination, data))


class World:
    """A client behind a NAT, a server, and a peer."""

    def __init__(
        self,
        *,
        seed=1,
        anonymous=False,
        tokens=False,
        nonce_lifetime=3600.0,
        server_hosts=(SERVER, SERVER6),
        client=None,
        **network,
    ):
        self.net = Network(seed=seed, latency=0.02, **network)
        self.nat = self.net.nat("203.0.113.1")
        self.server_host = self.net.host("server", *server_hosts)
        self.server_host.certificate = ("turn.example.org",)
        self.peer_host = self.net.host("peer", "198.51.100.9", "2001:db8:9::9")
        self.client_host = self.net.host("client", "10.0.0.2", behind=self.nat)
        self.home = self.net.host("home", "203.0.113.77", "2001:db8:7::7")
        self.anonymous, self.tokens, self.nonce_lifetime = anonymous, tokens, nonce_lifetime
        records = [AddressRecord(host) for host in server_hosts]
        self.net.resolve("turn.example.org", records)
        self.start_server()
        self.echo = Echo("198.51.100.9", "2001:db8:9::9")
        self.peer_node = self.peer_host.run(self.echo)
        self.peer_node.call(self.echo.start)
        self.peer, self.peer6 = Address("198.51.100.9", ECHO), Address("2001:db8:9::9", ECHO)

    def start_server(self):
        entropy = self.server_host.entropy
        users = StaticUsers({"user": "password"}, REALM)
        options = {"lookup_key": users, "nonce_lifetime": self.nonce_lifetime, "entropy": entropy}
        if self.tokens:
            authentication = ThirdPartyServerAuthentication(server_name=REALM, keys=[SHARED], **options)
        else:
            authentication = ServerAuthentication(realm=REALM, **options)
        self.server = TurnServer(
            authentication=None if self.anonymous else authentication,
            config=TurnServerConfig(anonymous=self.anonymous),
            peer_policy=PeerPolicy(allow=PEERS),
            entropy=entropy,
        )
        self.server_node = self.server_host.run(self.server)
        ports = {UDP: 3478, TCP: 3478, TLS: 5349, DTLS: 5349}
        listeners = [Listener(t, Address(host, port)) for host in self.server_host.addresses for t, port in ports.items()]
        self.server_node.call(self.server.start, listeners)

    def kept(self):
        """The server's allocations."""
        return self.server_node.call(self.server.allocations)

    def run_client(self, uri="turn:turn.example.org", *, host=None, **options):
        host = host or self.client_host
        options = {"credentials": None if self.anonymous else CREDENTIALS, **options}
        self.client = TurnClient(uri, entropy=host.entropy, **options)
        self.node = host.run(self.client)
        return self.client

    def wait(self, condition, seconds=60.0):
        assert self.net.run(until=self.net.now + seconds, when=condition), self.client.explain(now=self.net.now)

    def told(self, kind):
        return [event for _, event in self.node.events if isinstance(event, kind)]

    def allocate(self, **wish):
        before = self.client.stats.allocations
        self.node.call(self.client.allocate, **wish)
        self.wait(lambda: self.client.stats.allocations > before)

    def permit(self, *peers):
        self.node.call(self.client.create_permission, *peers)
        self.wait(lambda: all(self.client.is_permitted(peer.host) for peer in peers))

    def bind(self, peer):
        self.node.call(self.client.bind_channel, peer)
        self.wait(lambda: self.client.channel(peer) is not None)

    def echoes(self, peer, data, seconds=5.0):
        """Whether a datagram comes back."""
        before = len(self.told(DataReceived))
        self.node.call(self.client.send, peer, data)
        return self.net.run(
            until=self.net.now + seconds, when=lambda: DataReceived(peer, data) in self.told(DataReceived)[before:]
        )

    def close(self):
        self.node.call(self.client.close)
        self.wait(lambda: self.client.state is TurnClientState.CLOSED)


URIS = {
    UDP: "turn:turn.example.org?transport=udp",
    TCP: "turn:turn.example.org?transport=tcp",
    TLS: "turns:turn.example.org?transport=tcp",
    DTLS: "turns:turn.example.org?transport=udp",
}


@pytest.mark.req("RFC8656-002")
@pytest.mark.parametrize("transport", list(URIS))
def test_data_goes_both_ways_over_every_transport_in_both_forms_and_nothing_is_left_behind(transport):
    world = World()
    client = world.run_client(URIS[transport])
    world.allocate()
    assert world.told(AllocationCreated)[0].target.transport is transport
    assert client.path.remote.port == (5349 if transport.is_secure else 3478)
    assert client.relayed[0].host == SERVER
    assert client.mapped.host == "203.0.113.1"
    world.permit(world.peer)
    for size in (0, 1, 2, 3, 4, 1200):
        assert world.echoes(world.peer, bytes(size))
    world.bind(world.peer)
    for size in (0, 1, 2, 3, 4, 1200):
        assert world.echoes(world.peer, b"c" * size)
    assert {source for source, _ in world.echo.heard} == set(client.relayed)
    assert not client.stats.dropped
    world.close()
    assert world.kept() == ()
    assert not world.node.sockets
    assert client.deadline() == math.inf


def test_a_server_without_users_serves_who_has_no_credentials():
    world = World(anonymous=True)
    world.run_client()
    world.allocate()
    world.permit(world.peer)
    assert world.echoes(world.peer, b"x")
    world.close()
    assert world.kept() == ()


def test_both_families_are_had_at_once_and_one_is_given_back():
    world = World()
    client = world.run_client()
    world.allocate(family="both")
    assert [address.host for address in client.relayed] == [SERVER, SERVER6]
    world.bind(world.peer)
    world.bind(world.peer6)
    assert world.echoes(world.peer, b"4")
    assert world.echoes(world.peer6, b"6")
    world.node.call(client.refresh, lifetime=0, family=6)
    world.wait(lambda: len(client.relayed) == 1)
    assert world.echoes(world.peer, b"4 again")
    world.close()
    assert world.kept() == ()


def test_a_reserved_port_is_the_next_one():
    world = World()
    world.run_client()
    world.allocate(even_port=True, reserve_next=True)
    (created,) = world.told(AllocationCreated)
    assert created.relayed[0].port % 2 == 0
    world.run_client()
    world.allocate(reservation_token=created.reservation_token)
    (second,) = world.told(AllocationCreated)
    assert second.relayed[0].port == created.relayed[0].port + 1


def test_who_has_no_credentials_is_told_that_the_server_asks_for_them():
    world = World()
    world.run_client(credentials=None)
    world.node.call(world.client.allocate)
    world.wait(lambda: world.told(AllocationFailed))
    (failed,) = world.told(AllocationFailed)
    assert (failed.step, failed.code) == (TurnStep.AUTHENTICATE, 401)
    assert "the server asks for credentials" in failed.reason


def test_wrong_credentials_are_told_as_such_and_leave_nothing():
    world = World()
    world.run_client(credentials=LongTermCredentials("user", "guess"))
    world.node.call(world.client.allocate)
    world.wait(lambda: world.told(AllocationFailed))
    (failed,) = world.told(AllocationFailed)
    assert (failed.step, failed.code) == (TurnStep.AUTHENTICATE, 401)
    assert world.kept() == ()


def test_a_peer_that_the_server_never_relays_to_is_told_and_the_others_are_served():
    world = World()
    world.run_client()
    world.allocate()
    world.node.call(world.client.create_permission, Address("127.0.0.1", 1), world.peer, Address("10.0.0.1", 1))
    world.wait(lambda: len(world.told(PermissionFailed)) == 2 and world.told(PermissionCreated))
    assert {host for event in world.told(PermissionFailed) for host in event.hosts} == {"127.0.0.1", "10.0.0.1"}
    assert all(event.code == 403 for event in world.told(PermissionFailed))
    assert world.told(PermissionCreated) == [PermissionCreated((world.peer.host,))]


def test_a_closed_port_of_a_peer_is_told():
    world = World()
    world.run_client()
    world.allocate()
    world.permit(world.peer)
    closed = Address(world.peer.host, 9)
    world.node.call(world.client.send, closed, b"x")
    world.wait(lambda: world.told(PeerUnreachable))
    assert world.told(PeerUnreachable) == [PeerUnreachable(closed, IcmpError(3, 3))]


@pytest.mark.req("RFC8656-001")
def test_a_client_with_both_families_is_not_held_up_by_a_broken_one():
    world = World()
    world.net.drop = lambda packet: ":" in packet.destination.host
    world.run_client("turn:turn.example.org?transport=udp", host=world.home)
    world.allocate()
    assert world.told(AllocationCreated)[0].target.address.host == SERVER
    assert world.node.events[0][0] <= 0.25 + 0.1
    world.close()
    assert world.kept() == ()


@pytest.mark.req("RFC8656-001")
@pytest.mark.parametrize("anonymous", [False, True])
def test_however_slow_either_family_is_exactly_one_allocation_is_left(anonymous):
    for delay in (0.0, 0.1, 0.2, 0.21, 0.25, 0.3, 0.5):
        world = World(anonymous=anonymous)
        slow = world.net.host("slow", "203.0.113.88", "2001:db8:7::8", link=Link(latency=delay))
        world.run_client("turn:turn.example.org?transport=udp", host=slow)
        world.allocate()
        world.net.run(until=20.0)
        assert len(world.kept()) == 1
        world.close()
        assert world.kept() == ()


@pytest.mark.parametrize("transport", list(URIS))
def test_whenever_it_is_closed_nothing_is_left_behind(transport):
    for moment in range(40):
        world = World()
        world.run_client(URIS[transport])
        world.node.call(world.client.allocate, family="both")
        world.net.run(until=moment * 0.01)
        world.node.call(world.client.close)
        world.net.run(until=30.0)
        assert world.client.state is TurnClientState.CLOSED
        assert world.kept() == (), moment
        assert not world.node.sockets
        assert world.told(Closed) == [Closed()]


def test_many_peers_keep_their_channels_through_changes_of_the_nonce():
    world = World(nonce_lifetime=100.0)
    host = world.net.host("crowd", *(f"198.51.100.{number}" for number in range(100, 150)))
    crowd = Echo(*host.addresses)
    host.run(crowd).call(crowd.start)
    world.run_client()
    world.allocate()
    peers = [Address(one, ECHO) for one in host.addresses]
    for peer in peers:
        world.node.call(world.client.bind_channel, peer)
    world.wait(lambda: len(world.told(ChannelBound)) == len(peers))
    for hour in (1.0, 2.0):
        world.net.run(until=3600.0 * hour)
        before = len(world.told(DataReceived))
        for peer in peers:
            world.node.call(world.client.send, peer, peer.host.encode())
        world.wait(lambda before=before: len(world.told(DataReceived)) - before == len(peers))
    assert not world.told(PermissionFailed)
    assert len(world.told(ChannelBound)) == len(peers)
    assert world.client.stats.unsent == 0


@pytest.mark.long
@pytest.mark.parametrize("transport", [UDP, TCP])
def test_a_day_with_short_nonces_and_losses_costs_no_more_than_the_losses(transport):
    world = World(nonce_lifetime=600.0, loss=0.05)
    world.run_client(URIS[transport])
    world.allocate()
    world.bind(world.peer)
    missed = 0
    for minute in range(1, 24 * 60, 10):
        world.net.run(until=60.0 * minute)
        missed += not any(world.echoes(world.peer, b"%d %d" % (minute, attempt)) for attempt in range(8))
    assert missed == 0
    assert not world.told(AllocationLost)
    assert not world.told(PermissionFailed)
    assert len(world.told(AllocationRefreshed)) >= 24 * 6
    world.close()
    world.net.run(until=world.net.now + 700.0)
    assert world.kept() == ()


def test_a_nat_that_forgets_is_noticed_within_one_renewal_and_the_client_allocates_anew():
    world = World()
    client = world.run_client(URIS[UDP])
    world.allocate()
    world.bind(world.peer)
    for _ in range(3):
        world.net.run(until=world.net.now + 100.0)
        lost = len(world.told(AllocationLost))
        world.nat.forget()
        start = world.net.now
        world.wait(lambda lost=lost: len(world.told(AllocationLost)) > lost, 260.0)
        assert world.told(AllocationLost)[-1].code == 437
        assert world.net.now - start <= 240.0
        assert client.state is TurnClientState.IDLE
        world.allocate()
        world.bind(world.peer)
        assert world.echoes(world.peer, b"again")
    world.close()
    world.net.run(until=world.net.now + 700.0)
    assert world.kept() == ()


def test_a_server_that_is_started_anew_is_noticed_within_one_renewal():
    world = World()
    world.run_client(URIS[UDP])
    world.allocate()
    world.permit(world.peer)
    world.server_node.stop()
    world.net.run(until=world.net.now + 10.0)
    world.start_server()
    world.wait(lambda: world.told(AllocationLost), 250.0)
    world.allocate()
    world.permit(world.peer)
    assert world.echoes(world.peer, b"again")


@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_lost_connection_is_told_at_once_and_opened_anew(transport):
    world = World()
    world.run_client(URIS[transport])
    world.allocate()
    world.server_node.stop()
    world.net.run(until=world.net.now + 1.0)
    assert world.told(AllocationLost)
    world.start_server()
    world.allocate()
    world.permit(world.peer)
    assert world.echoes(world.peer, b"again")


@pytest.mark.req("RFC7635-002", "RFC7635-003", "RFC7635-011")
def test_a_token_opens_the_server_and_is_shown_in_allocate_and_refresh_alone():
    world = World(tokens=True)
    shown = {}

    def look(packet):
        data = packet.data
        if packet.destination.port == 3478 and data[:1] == b"\0":
            message = decode_untrusted(data)
            if message.has_integrity:
                shown.setdefault(message.method, set()).add(ACCESS_TOKEN in message)
        return False

    world.net.drop = look
    world.run_client(URIS[UDP], credentials=token_for(3600, first_party=CREDENTIALS))
    world.allocate()
    world.bind(world.peer)
    assert world.echoes(world.peer, b"x")
    world.net.run(until=700.0)
    assert world.echoes(world.peer, b"y")
    world.close()
    assert world.kept() == ()
    assert shown == {
        Method.ALLOCATE: {True},
        Method.REFRESH: {True},
        Method.CREATE_PERMISSION: {False},
        Method.CHANNEL_BIND: {False},
    }


@pytest.mark.req("RFC7635-003")
def test_where_no_token_is_wanted_a_password_is_shown():
    world = World()
    world.run_client(URIS[UDP], credentials=token_for(3600, first_party=CREDENTIALS))
    world.allocate()
    world.close()


def test_a_token_is_renewed_before_it_expires_and_the_allocation_goes_on():
    world = World(tokens=True)
    world.run_client(URIS[UDP], credentials=token_for(1000))
    world.allocate()
    world.permit(world.peer)
    world.net.run(until=900.0)
    world.node.call(world.client.renew, token_for(5000))
    world.net.run(until=2000.0)
    assert not world.told(AllocationLost)
    assert world.echoes(world.peer, b"x")
    world.net.run(until=6000.0)
    assert world.told(AllocationLost)
    assert world.kept() == ()


def test_with_a_new_token_who_was_refused_may_ask_again():
    world = World(tokens=True)
    world.run_client(URIS[UDP], credentials=token_for(10))
    world.net.run(until=20.0)
    world.node.call(world.client.allocate)
    world.wait(lambda: world.told(AllocationFailed))
    assert world.told(AllocationFailed)[0].code == 401
    world.node.call(world.client.allocate)
    world.wait(lambda: len(world.told(AllocationFailed)) == 2)
    assert world.told(AllocationFailed)[1].step is TurnStep.WAIT
    world.node.call(world.client.renew, token_for(5000, mac_key=b"n" * 20))
    world.allocate()


def test_who_has_no_token_has_none_to_renew():
    world = World()
    world.run_client()
    with pytest.raises(LocalProtocolError, match="no access token"):
        world.node.call(world.client.renew, token_for(10))
