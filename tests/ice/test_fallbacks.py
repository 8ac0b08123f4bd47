"""When each URL of a TURN server is asked, and when it need not be."""

import math

import pytest

from _turn_client_scene import CREDENTIALS
from ice._relay_scene import DTLS, SERVER, TCP, TLS, UDP, World, kinds, relay, url
from ice._wire import make_local
from sansice.ice import GatheringOptions, IceServer, ServerAnswered, ServerFailed
from sansice.ice._gathering._fallbacks import ATTEMPT_DELAY, OPENING_DELAY, SECURE_DELAY, STREAM_DELAY, Fallbacks
from sansice.ice._gathering._relay import RelayQuestion
from sansice.ice._gathering._ways import through_proxy
from sansice.ice._server import NamedServer, read_servers
from sansice.stun import HttpProxy, ServerUri

ONE, TWO = make_local("192.0.2.1", 1), make_local("192.0.2.2", 2)
LAST = STREAM_DELAY + SECURE_DELAY


class Bench:
    """Questions in the order in which they are asked, with the time of each; and those that were opened before that."""

    def __init__(self, *urls, every_url=False, found=None, at=0.0, early=False):
        self.servers = read_servers([IceServer(urls, "user", "secret")])
        self.fallbacks = Fallbacks(self.servers, every_url=every_url)
        self.asked, self.opened, self.early = [], [], early
        self.fallbacks.begin(ONE.socket, [], now=at)
        for number in range(len(urls)) if found is None else found:
            self.find(number)

    def find(self, number):
        self.fallbacks.add(RelayQuestion(ONE, self.servers[number], number, ()))

    def take(self, now):
        for question in self.fallbacks.take_due(now, early=self.early):
            (self.opened if self.fallbacks.is_held(question) else self.asked).append((now, question.number))
        released = list(self.fallbacks.take_released(now))
        assert all(socket == ONE.socket for socket, _ in released)
        self.asked += [(now, number) for _, number in released]

    def deadline(self):
        return self.fallbacks.deadline(early=self.early)

    def run(self, until=10.0):
        self.take(0.0)
        while (due := self.deadline()) <= until:
            self.take(due)
            assert self.deadline() > due
        return self.asked


# ---------------------------------------------------------------- the order


@pytest.mark.parametrize(
    ("urls", "asked"),
    [
        ([url(UDP), url(TCP), url(TLS)], [(0.0, 0), (STREAM_DELAY, 1), (LAST, 2)]),
        ([url(TLS), url(TCP), url(UDP)], [(0.0, 2), (STREAM_DELAY, 1), (LAST, 0)]),
        ([url(UDP), url(DTLS), url(TLS)], [(0.0, 0), (ATTEMPT_DELAY, 1), (LAST, 2)]),
        ([url(TLS), url(TCP)], [(0.0, 1), (SECURE_DELAY, 0)]),
        ([url(TLS)], [(0.0, 0)]),
        (["turn:a.example", "turns:a.example"], [(0.0, 0), (LAST, 1)]),
        (["turn:a.example:80?transport=tcp", "turn:a.example:443?transport=tcp"], [(0.0, 0), (ATTEMPT_DELAY, 1)]),
        (["turn:a.example?transport=udp", "turn:b.example?transport=tcp"], [(0.0, 0), (0.0, 1)]),
        (["turn:a.example:1", "turn:a.example:2", "turn:a.example:3"], [(0.0, 0), (ATTEMPT_DELAY, 1), (2 * ATTEMPT_DELAY, 2)]),
        ([url(TCP), url(DTLS)], [(0.0, 1), (STREAM_DELAY - ATTEMPT_DELAY, 0)]),
        (["turn:a.example?transport=sctp", "turn:a.example?transport=tcp"], [(0.0, 0), (STREAM_DELAY, 1)]),
    ],
)
@pytest.mark.parametrize("early", [False, True])
def test_udp_comes_first_and_the_last_resort_soon_after(urls, asked, early):
    assert Bench(*urls, early=early).run() == [(pytest.approx(time), number) for time, number in asked]


@pytest.mark.parametrize(
    ("urls", "opened"),
    [
        ([url(UDP), url(TCP), url(TLS)], [(OPENING_DELAY, 1), (OPENING_DELAY + SECURE_DELAY, 2)]),
        ([url(UDP), url(DTLS), url(TLS)], [(OPENING_DELAY + SECURE_DELAY, 2)]),
        ([url(DTLS), url(TLS)], [(OPENING_DELAY + SECURE_DELAY - ATTEMPT_DELAY, 1)]),
        ([url(TLS), url(TCP)], []),
        ([url(UDP), "turn:198.51.100.53:80?transport=udp"], []),
    ],
)
def test_streams_are_opened_before_their_turn_where_udp_is_silent_and_nothing_else_is(urls, opened):
    bench = Bench(*urls, early=True)
    bench.run()
    assert bench.opened == [(pytest.approx(time), number) for time, number in opened]


def test_one_that_leads_to_nothing_releases_what_is_opened_behind_it():
    bench = Bench(url(UDP), url(TCP), url(TLS), early=True)
    bench.take(0.0)
    bench.take(OPENING_DELAY)
    bench.fallbacks.ended(ONE.socket, 0)
    bench.take(0.3)
    assert bench.asked == [(0.0, 0), (0.3, 1)]
    assert bench.deadline() == pytest.approx(OPENING_DELAY + SECURE_DELAY)
    bench.fallbacks.ended(ONE.socket, 1)
    bench.take(0.3)
    assert bench.asked[2:] == [(0.3, 2)]
    assert bench.opened == [(OPENING_DELAY, 1)]


def test_what_is_opened_and_leads_to_nothing_is_not_asked():
    bench = Bench(url(UDP), url(TCP), early=True)
    bench.take(0.0)
    bench.take(OPENING_DELAY)
    bench.fallbacks.ended(ONE.socket, 1)
    assert bench.deadline() == math.inf


def test_what_is_opened_waits_for_its_turn_though_something_is_heard_over_udp_then():
    bench = Bench(url(UDP), url(TCP), url(TLS), early=True)
    bench.take(0.0)
    bench.take(OPENING_DELAY)
    bench.early = False
    bench.run()
    assert bench.opened == [(OPENING_DELAY, 1)]
    assert bench.asked == [(0.0, 0), (STREAM_DELAY, 1), (pytest.approx(LAST), 2)]


def test_a_tool_has_all_of_them_asked_at_once():
    bench = Bench(url(UDP), url(TCP), url(TLS), every_url=True)
    assert bench.run() == [(0.0, 0), (0.0, 1), (0.0, 2)]


def test_one_that_leads_to_nothing_delays_nobody():
    bench = Bench(url(UDP), url(TCP), url(TLS))
    bench.take(0.0)
    bench.fallbacks.ended(ONE.socket, 0)
    bench.take(0.1)
    assert bench.asked == [(0.0, 0), (0.1, 1)]
    assert bench.deadline() == pytest.approx(0.1 + SECURE_DELAY)


def test_one_that_leads_to_nothing_before_its_turn_is_never_asked():
    bench = Bench(url(UDP), url(TCP), url(TLS))
    bench.take(0.0)
    bench.fallbacks.ended(ONE.socket, 1)
    assert bench.run() == [(0.0, 0), (LAST, 2)] and bench.fallbacks.is_idle


def test_one_whose_name_is_looked_up_still_is_waited_for_as_long_as_if_it_were_asked():
    bench = Bench(url(UDP), url(TCP), found=[1])
    bench.take(0.1)
    assert bench.asked == []
    assert bench.deadline() == STREAM_DELAY
    bench.find(0)
    bench.take(0.5)
    assert bench.asked == [(0.5, 0)]
    assert bench.deadline() == 0.5 + STREAM_DELAY


def test_one_that_is_found_too_late_is_asked_all_the_same():
    bench = Bench(url(UDP), url(TCP), found=[1])
    bench.run()
    bench.find(0)
    bench.take(2.0)
    assert bench.asked == [(STREAM_DELAY, 1), (2.0, 0)]


def test_the_servers_of_others_are_other_servers():
    mine, theirs = NamedServer("a", ServerUri.parse(url(UDP)), CREDENTIALS), NamedServer("b", ServerUri.parse(url(TCP)))
    fallbacks = Fallbacks((mine, theirs), every_url=False)
    fallbacks.begin(ONE.socket, [], now=0.0)
    for number, server in enumerate((mine, theirs)):
        fallbacks.add(RelayQuestion(ONE, server, number, ()))
    assert [question.number for question in fallbacks.take_due(0.0, early=False)] == [0, 1]


def test_a_url_of_several_transports_begins_with_the_best_that_there_is_beside_a_proxy_and_through_it():
    servers = through_proxy(read_servers([IceServer(["turns:a.example", "turn:a.example"])]), HttpProxy("10.1.0.10"))
    fallbacks = Fallbacks(servers, every_url=False)
    fallbacks.begin(ONE.socket, [], now=0.0)
    for number, server in enumerate(servers):
        fallbacks.add(RelayQuestion(ONE, server, number, ()))
    asked = []
    while (due := fallbacks.deadline(early=False)) < math.inf:
        asked += [(due, question.number) for question in fallbacks.take_due(due, early=False)]
    assert asked == [(0.0, 2), (ATTEMPT_DELAY, 0), (STREAM_DELAY, 3), (pytest.approx(LAST), 1)]


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize(("early", "spared_ones"), [(False, [1, 2]), (True, [2])])
def test_who_has_won_spares_the_others(early, spared_ones):
    bench = Bench(url(UDP), url(TCP), url(TLS), early=early)
    bench.take(0.0)
    bench.take(OPENING_DELAY)
    spared, numbers = bench.fallbacks.won(RelayQuestion(ONE, bench.servers[0], 0, ()))
    assert ([question.number for question in spared], numbers) == (spared_ones, [1, 2])
    assert bench.fallbacks.is_idle
    assert bench.deadline() == math.inf


def test_what_is_given_up_is_told():
    bench = Bench(url(UDP), url(TCP))
    bench.take(0.0)
    assert not bench.fallbacks.is_idle
    assert [question.number for question in bench.fallbacks.clear()] == [1]
    assert bench.fallbacks.is_idle


def test_what_is_opened_when_all_is_given_up_is_not_asked():
    bench = Bench(url(UDP), url(TCP), early=True)
    bench.take(0.0)
    bench.take(OPENING_DELAY)
    assert bench.fallbacks.clear() == []
    assert bench.deadline() == math.inf


def test_a_socket_that_is_gone_is_forgotten_and_ends_of_its_questions_mean_nothing():
    bench = Bench(url(UDP), url(TCP))
    bench.fallbacks.begin(TWO.socket, [], now=0.0)
    bench.fallbacks.forget(ONE.socket)
    bench.fallbacks.ended(ONE.socket, 0)
    assert bench.fallbacks.is_idle
    bench.fallbacks.ended(TWO.socket, 0)


def test_a_server_that_relays_is_not_asked_again_by_another_of_its_urls():
    bench = Bench(url(UDP), url(TCP), url(TLS, "198.51.100.54"))
    assert bench.fallbacks.begin(ONE.socket, [1], now=5.0) == [0, 1]


# ---------------------------------------------------------------- an agent


def lone(latency, drop=None):
    world = World(latency=latency)
    world.net.drop = drop
    agent, node = world.add(servers=[relay(UDP, TCP, TLS)], gathering=GatheringOptions(relayed_family=4))
    return world, agent, node


def answers(node):
    """Which transports relay, since when."""
    return [(event.transport, time) for time, event in node.events if isinstance(event, ServerAnswered)]


def is_udp(packet):
    return packet.tcp is None


def test_where_udp_works_nothing_else_is_tried_and_there_is_one_relay():
    streams = []
    world, agent, node = lone(0.1, drop=lambda packet: not is_udp(packet) and streams.append(packet))
    world.gather()
    assert kinds(agent).count("relay") == 1
    assert [transport for transport, _ in answers(node)] == [UDP]
    assert streams == []


def test_one_lost_datagram_makes_no_relay_over_tcp():
    lost = []
    world, _, node = lone(0.02, drop=lambda packet: not lost and is_udp(packet) and not lost.append(packet))
    world.gather()
    assert lost
    assert [transport for transport, _ in answers(node)] == [UDP]
    world.run(1.0)
    assert len(world.server.allocations(now=world.net.now)) == 1


def test_where_udp_is_silent_a_stream_relays_soon_and_nothing_is_asked_behind_it():
    world, _, node = lone(0.01, drop=is_udp)
    world.run(2.0)
    ((transport, since),) = answers(node)
    assert transport is TCP
    assert since == pytest.approx(STREAM_DELAY + 4 * 0.01, abs=0.001)  # the challenge and the answer: it was open already
    assert len(world.server.allocations(now=world.net.now)) == 1
    assert not [event for _, event in node.events if isinstance(event, ServerFailed)]


def test_what_was_begun_is_given_up_when_something_better_relays_after_all():
    world, agent, node = lone(0.25)  # a round trip of half a second: TCP is under way when UDP relays
    world.gather()
    world.run(3.0)
    assert [transport for transport, _ in answers(node)] == [UDP]
    assert kinds(agent).count("relay") == 1
    assert len(world.server.allocations(now=world.net.now)) == 1


def test_a_server_that_is_not_there_over_udp_is_asked_over_tcp_at_once():
    world = World(latency=0.01)
    _, node = world.add(servers=[IceServer(f"turn:{SERVER}:9?transport=udp", "user", "secret"), relay(TCP)])
    world.run(0.5)
    assert [transport for transport, since in answers(node) if since < STREAM_DELAY] == [TCP]


def test_one_lost_datagram_costs_a_connection_and_no_second_allocation():
    lost, streams = [], []

    def drop(packet):
        streams.extend([packet] * (not is_udp(packet)))
        return not lost and is_udp(packet) and not lost.append(packet)

    world, _, node = lone(0.02, drop=drop)
    world.run(3.0)
    assert lost
    assert [transport for transport, _ in answers(node)] == [UDP]
    assert streams
    assert len(world.server.allocations(now=world.net.now)) == 1


def test_a_round_trip_of_two_hundred_milliseconds_over_udp_opens_no_stream():
    streams = []
    world, _, _ = lone(0.099, drop=lambda packet: not is_udp(packet) and streams.append(packet))
    world.run(3.0)
    assert streams == []
