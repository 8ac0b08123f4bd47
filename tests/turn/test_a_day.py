"""A day of a client behind a NAT: lost packets, nonces that grow stale, restarts of the server, and a NAT that forgets."""

from __future__ import annotations

import math

import pytest

from sansice import Address, Machine, OpenSocket, SendDatagram, SocketId, Transport
from sansice.simulation import NAT_PRESETS, Network
from sansice.stun import Listener, LongTermCredentials, ServerAuthentication, StaticUsers
from sansice.turn import (
    AllocationCreated,
    AllocationLost,
    AllocationMoved,
    Closed,
    DataReceived,
    PeerPolicy,
    TurnClient,
    TurnServer,
    TurnServerConfig,
)

HOUR = 3600.0
DAY = 24 * HOUR
SERVER, PEER = Address("192.0.2.1", 3478), Address("198.51.100.9", 7)
REALM = "example.org"
NONCES = 600.0  # seconds that one is good for
INTERVAL = 5.0  # seconds from one datagram to the next
REBINDINGS = tuple(HOUR * hour + HOUR / 2 for hour in range(24))
RESTARTS = (8 * HOUR, 16 * HOUR)
# What is renewed first, and most often, is a permission: each four minutes. Then its request, or the answer, may be lost.
RENEWAL, RETRIES = 240.0, 45.0
MAX_LIFETIME = 3600.0


class Echo(Machine):
    """A peer that sends everything back."""

    def start(self, *, now):
        self._outputs.append(OpenSocket(SocketId(1), Transport.UDP, PEER))

    def handle_datagrams(self, socket, batch, *, now):
        self._outputs += [SendDatagram(socket, source, data) for source, data in batch]


class Day:
    """The world, and an application that sends a number every few seconds, and allocates anew when it is told that it must."""

    def __init__(self, *, mobility=False, transport=Transport.UDP, seed=1):
        self.net = Network(seed=seed, latency=0.02, loss=0.05)
        # Each mapping has a random port, or a NAT that has forgotten would find the old one again.
        self.nat = self.net.nat("203.0.113.1", kind=NAT_PRESETS["symmetric"])
        self.server_host = self.net.host("server", SERVER.host)
        self.moves = 0
        self.mobility = mobility
        self.start_server()
        echo = Echo()
        peer = self.net.host("peer", PEER.host).run(echo)
        peer.call(echo.start)
        client_host = self.net.host("client", "10.0.0.2", behind=self.nat)
        self.client = TurnClient(
            f"turn:{SERVER}?transport={transport.value}",
            credentials=LongTermCredentials("user", "password"),
            entropy=client_host.entropy,
        )
        self.node = client_host.run(self.client)
        self.node.listener = self.react
        self.sent: dict[int, float] = {}
        self.echoed: dict[int, float] = {}
        self.relayed = []

    def start_server(self):
        """Run a server that knows nothing of an earlier one."""
        entropy = self.server_host.entropy
        users = StaticUsers({"user": "password"}, REALM)
        self.server = TurnServer(
            authentication=ServerAuthentication(realm=REALM, lookup_key=users, nonce_lifetime=NONCES, entropy=entropy),
            config=TurnServerConfig(mobility=self.mobility),
            peer_policy=PeerPolicy(allow=["198.51.100.0/24"]),
            entropy=entropy,
        )
        self.server_node = self.server_host.run(self.server)
        self.server_node.listener = self.note
        self.server_node.call(self.server.start, [Listener(one, SERVER) for one in (Transport.UDP, Transport.TCP)])

    def restart_server(self):
        self.server_node.stop()
        self.start_server()

    def note(self, event):
        self.moves += type(event) is AllocationMoved

    def react(self, event):
        match event:
            case AllocationCreated():
                self.relayed.append(event.relayed)
                self.node.call(self.client.bind_channel, PEER)
            case AllocationLost():
                self.allocate()
            case DataReceived():
                self.echoed[int(event.data)] = self.net.now

    def allocate(self):
        self.node.call(self.client.allocate, mobility=self.mobility)

    def say(self):
        if self.net.now < DAY:
            number = len(self.sent)
            self.sent[number] = self.net.now
            if self.client.relayed:
                self.node.call(self.client.send, PEER, b"%d" % number)
            self.net.at(self.net.now + INTERVAL, self.say)

    def pass_by(self):
        """All of it, and what is left when everything has died that nobody renews."""
        self.allocate()
        self.net.at(2.0, self.say)
        for time in REBINDINGS:
            self.net.at(time, self.nat.forget)
        for time in RESTARTS:
            self.net.at(time, self.restart_server)
        self.net.run(until=DAY)
        self.node.call(self.client.close)
        self.net.run(until=DAY + MAX_LIFETIME)

    def times(self, kind):
        return [time for time, event in self.node.events if type(event) is kind]

    def outages(self, troubles):
        """From each of the troubles to the allocation that the client made because of it."""
        lost, created = self.times(AllocationLost), self.times(AllocationCreated)[1:]
        return list(zip(troubles, lost, created, strict=True))

    def share_echoed(self, outages):
        """Of the datagrams that were sent while nothing was wrong, how many came back, and the longest silence."""
        calm = [number for number, time in self.sent.items() if not any(start <= time <= end for start, _, end in outages)]
        silence = longest = 0
        for number in calm:
            silence = 0 if number in self.echoed else silence + 1
            longest = max(longest, silence)
        return len([number for number in calm if number in self.echoed]) / len(calm), longest


def nothing_is_left(day):
    """Neither allocations, permissions and channels, nor timers, nor sockets but those that the server listens with."""
    assert type(day.node.events[-1][1]) is Closed
    assert (day.client.deadline(), day.node.sockets) == (math.inf, {})
    assert day.server_node.call(day.server.allocations) == ()
    assert day.server.stats.allocations == 0
    assert day.server.deadline() == math.inf
    assert len(day.server_node.sockets) == 2


@pytest.mark.long
def test_a_day_without_mobility_each_loss_is_noticed_within_one_renewal_and_a_new_allocation_made_at_once():
    day = Day()
    day.pass_by()
    outages = day.outages(sorted((*REBINDINGS, *RESTARTS)))
    for trouble, lost, created in outages:
        assert trouble < lost <= trouble + RENEWAL + RETRIES
        assert created <= lost + RETRIES
    share, silence = day.share_echoed(outages)
    assert share > 0.79  # 0.95 for each of the four ways that a datagram and its echo go is 0.81
    assert silence <= 8
    assert len(set(day.relayed)) == 27
    nothing_is_left(day)


@pytest.mark.long
def test_a_day_with_mobility_only_the_restarts_cost_the_allocation():
    day = Day(mobility=True)
    day.pass_by()
    outages = day.outages(RESTARTS)
    for trouble, lost, created in outages:
        assert trouble < lost <= trouble + RENEWAL + RETRIES
        assert created <= lost + RETRIES
    assert len(set(day.relayed)) == 3
    assert day.moves == len(REBINDINGS)
    share, _ = day.share_echoed([*outages, *((time, time, time + RENEWAL + RETRIES) for time in REBINDINGS)])
    assert share > 0.79
    nothing_is_left(day)


@pytest.mark.long
def test_a_day_over_tcp_is_interrupted_by_what_breaks_the_stream_and_by_nothing_else():
    day = Day(transport=Transport.TCP)
    day.pass_by()
    lost = day.times(AllocationLost)
    assert len(lost) == len(day.times(AllocationCreated)) - 1
    assert len(lost) == len(REBINDINGS) + len(RESTARTS)
    nothing_is_left(day)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
def test_orphans_die_with_their_lifetime_and_are_never_more_than_the_troubles_of_that_time(seed):
    day = Day(seed=seed)
    kept = []

    def count():
        kept.append(len(day.server_node.call(day.server.allocations)))
        if day.net.now < DAY:
            day.net.at(day.net.now + 60.0, count)

    day.net.at(60.0, count)
    day.pass_by()
    assert max(kept) == 2  # the one that is used, and the one that a NAT has cut off, for ten minutes
    assert kept.count(2) <= len(REBINDINGS) * 11
