"""Gathering (RFC 8445 5.1.1): the machine alone; its pacing is the agent's, see test_agent.py."""

import math

import pytest

from ice._wire import at
from sansice.ice import CandidateType, GatheringCompleted, GatheringState, IceConfig, ServerFailed, candidate_priority
from sansice.ice._gathering._gatherer import Gatherer
from sansice.ice._gathering._host_list import HostList
from sansice.ice._gathering._local_candidates import LocalFound
from sansice.ice._priority import Foundations
from sansice.ice._server import read_servers
from sansice.machine import Address, IcmpError, Ids, OpenSocket, SendDatagram, SocketError, SocketErrorKind, SocketId, Transport
from sansice.stun import (
    ALTERNATE_SERVER,
    ERROR_CODE,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
)

SERVER, OTHER = at("198.51.100.1", 3478), at("198.51.100.2", 3478)
SERVER6 = at("2001:db8::53", 3478)
URLS = {SERVER: "stun:198.51.100.1", OTHER: "stun:198.51.100.2", SERVER6: "stun:[2001:db8::53]"}
MAPPED = at("203.0.113.9", 6000)
ONE, TWO = SocketId(1), SocketId(2)
LOST = SocketError(SocketErrorKind.OTHER, "interface gone")


class Bench:
    """A gatherer whose driver is the test; socket n is bound to port 4000 + n."""

    def __init__(self, *servers, hosts=("192.0.2.1",), opened=True, config=None):
        self.now = 0.0
        self.seen = []
        drawn = iter(range(1, 10_000))
        self.machine = Gatherer(
            servers=read_servers([URLS.get(server, f"stun:{server}") for server in servers]),
            ids=Ids(),
            foundations=Foundations(),
            config=config or IceConfig(),
            entropy=lambda count: next(drawn).to_bytes(count, "big"),
            drop=lambda reason, count: None,
        )
        self.machine.start(HostList(hosts), now=0.0)
        self.drain()
        if opened:
            for number in range(1, len(hosts) + 1):
                self.open(number)

    def drain(self):
        self.seen.extend((round(self.now, 6), output) for output in self.machine.take_outputs())

    def open(self, number):
        host = next(one.bind.host for one in self.of(OpenSocket) if one.socket == number)
        self.machine.handle_socket_opened(SocketId(number), Address(host, 4000 + number), now=self.now)
        self.drain()

    def ask_all(self):
        while self.machine.start_next(now=self.now):
            self.drain()

    def run(self, until):
        while self.machine.deadline() <= until:
            self.now = self.machine.deadline()
            self.machine.handle_timer(now=self.now)
            self.drain()
        self.now = until

    def answer(self, request, *attributes, code=None, source=None, socket=None):
        content = [(ERROR_CODE, ErrorCode(code, "Refused"))] if code else []
        data = encode(
            Method.BINDING,
            MessageClass.ERROR if code else MessageClass.SUCCESS,
            decode_untrusted(request.data).transaction_id,
            [*content, *attributes],
        )
        taken = self.machine.handle_response(
            socket or request.socket, source or request.destination, decode_untrusted(data), now=self.now
        )
        self.drain()
        return taken

    def of(self, kind):
        return [output for _, output in self.seen if isinstance(output, kind)]

    def when(self, kind):
        return [time for time, output in self.seen if isinstance(output, kind)]

    @property
    def asked(self):
        return [(one.socket, one.destination) for one in self.of(SendDatagram)]

    @property
    def found(self):
        return [one.local for one in self.of(LocalFound)]


def test_each_host_gets_one_udp_socket_on_any_port():
    bench = Bench(hosts=("192.0.2.1", "2001:db8::1"), opened=False)
    assert bench.of(OpenSocket) == [
        OpenSocket(ONE, Transport.UDP, at("192.0.2.1", 0)),
        OpenSocket(TWO, Transport.UDP, at("2001:db8::1", 0)),
    ]
    assert list(bench.machine.opening) == [ONE, TWO]


def test_nothing_to_gather_is_complete_at_once():
    bench = Bench(SERVER, hosts=())
    assert bench.when(GatheringCompleted) == [0.0]
    assert bench.machine.state is GatheringState.COMPLETE
    assert bench.machine.deadline() == math.inf


@pytest.mark.req("RFC8445-007", "RFC8445-022")
def test_single_host_candidate_is_its_own_base_with_the_highest_local_preference():
    (local,) = Bench().found
    assert (local.candidate.address, local.base, local.socket) == (at("192.0.2.1", 4001), at("192.0.2.1", 4001), ONE)
    assert local.candidate.priority == candidate_priority(CandidateType.HOST, 65535, 1)
    assert local.candidate.related_address is None


@pytest.mark.req("RFC8445-021", "RFC8445-018")
def test_preferences_are_unique_among_candidates_of_one_type():
    bench = Bench(SERVER, OTHER, hosts=("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    bench.ask_all()
    for number, request in enumerate(bench.of(SendDatagram)):
        bench.answer(request, (XOR_MAPPED_ADDRESS, at("203.0.113.9", 6000 + number)))
    candidates = bench.machine.candidates
    assert [one.priority for one in candidates[:3]] == [
        candidate_priority(CandidateType.HOST, preference, 1) for preference in (65535, 65534, 65533)
    ]
    assert len({one.priority for one in candidates}) == len(candidates) == 9
    assert bench.of(LocalFound)[0].local.local_preference == 65535


@pytest.mark.req("RFC8445-008")
def test_every_host_asks_every_server_of_its_family():
    bench = Bench(SERVER, SERVER6, OTHER, hosts=("192.0.2.1", "2001:db8::1", "192.0.2.2"))
    bench.ask_all()
    three = SocketId(3)
    assert bench.asked == [(ONE, SERVER), (ONE, OTHER), (TWO, SERVER6), (three, SERVER), (three, OTHER)]
    assert not bench.machine.has_next()
    assert bench.machine.start_next(now=0.0) is False


@pytest.mark.req("RFC8445-013", "RFC8839-031")
def test_mapped_address_becomes_a_reflexive_candidate_of_its_host():
    bench = Bench(SERVER)
    bench.ask_all()
    assert bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED)) is True
    host, reflexive = bench.found
    assert reflexive.candidate.type is CandidateType.SERVER_REFLEXIVE
    assert (reflexive.candidate.address, reflexive.base, reflexive.socket) == (MAPPED, host.base, host.socket)
    assert reflexive.candidate.related_address == host.base
    assert reflexive.candidate.priority == candidate_priority(CandidateType.SERVER_REFLEXIVE, 65535, 1)
    assert reflexive.candidate.foundation != host.candidate.foundation
    assert [one.to_sdp().split()[7:] for one in bench.machine.candidates] == [
        ["host"],
        ["srflx", "raddr", "192.0.2.1", "rport", "4001"],
    ]
    assert bench.of(GatheringCompleted) and bench.machine.state is GatheringState.COMPLETE


def test_request_to_a_server_has_a_fingerprint_and_nothing_else():
    bench = Bench(SERVER)
    bench.ask_all()
    message = decode_untrusted(bench.of(SendDatagram)[0].data, require_fingerprint=True)
    assert len(message.attributes()) == 1


@pytest.mark.req("RFC8445-025")
def test_mapped_address_that_equals_the_host_is_redundant():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, at("192.0.2.1", 4001)))
    assert [one.type for one in bench.machine.candidates] == [CandidateType.HOST]
    assert bench.when(GatheringCompleted) == [0.0]


@pytest.mark.req("RFC8445-025", "RFC8838-009")
def test_same_mapping_seen_by_two_servers_is_one_candidate_and_from_two_hosts_is_two():
    bench = Bench(SERVER, OTHER, hosts=("192.0.2.1", "192.0.2.2"))
    bench.ask_all()
    for request in bench.of(SendDatagram):
        bench.answer(request, (XOR_MAPPED_ADDRESS, MAPPED))
    reflexive = [local for local in bench.found if local.candidate.type is CandidateType.SERVER_REFLEXIVE]
    assert [(local.socket, local.candidate.address) for local in reflexive] == [(ONE, MAPPED), (TWO, MAPPED)]


def test_mapped_address_of_another_family_makes_no_candidate():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, at("2001:db8::99")))
    assert len(bench.machine.candidates) == 1
    (failed,) = bench.of(ServerFailed)
    assert "another family" in failed.text
    assert bench.when(GatheringCompleted) == [0.0]


@pytest.mark.req("RFC8445-125")
@pytest.mark.parametrize(("servers", "second"), [(1, 0.5), (10, 0.5), (20, 1.0)])
def test_rto_is_half_a_second_or_ta_times_the_number_of_queries(servers, second):
    bench = Bench(*(at(f"198.51.100.{number}", 3478) for number in range(servers)))
    bench.ask_all()
    bench.run(until=2.9)
    first = bench.asked[0]
    times = [time for time, one in bench.seen if isinstance(one, SendDatagram) and (one.socket, one.destination) == first]
    assert times[:2] == [0.0, second]


def test_silent_server_is_asked_again_and_delays_completion_by_three_seconds_only():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.run(until=100.0)
    assert bench.when(SendDatagram) == [0.0, 0.5, 1.5]
    assert bench.seen[-2:] == [
        (3.0, ServerFailed(URLS[SERVER], "192.0.2.1", "no answer within 3 s", seconds=3.0)),
        (3.0, GatheringCompleted()),
    ]
    assert bench.machine.deadline() == math.inf


def test_servers_that_were_never_asked_are_reported_too():
    bench = Bench(SERVER, OTHER)
    bench.machine.start_next(now=0.0)
    bench.run(until=3.0)
    assert [one.url for one in bench.of(ServerFailed)] == [URLS[SERVER], URLS[OTHER]]


def test_transaction_that_ends_before_gathering_does_is_reported():
    bench = Bench(SERVER, config=IceConfig(gathering_timeout=60.0))
    bench.ask_all()
    bench.run(until=60.0)
    assert bench.when(SendDatagram) == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.seen[-2:] == [
        (39.5, ServerFailed(URLS[SERVER], "192.0.2.1", "no answer", seconds=39.5)),
        (39.5, GatheringCompleted()),
    ]


def test_answer_after_the_end_is_nobodys():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.run(until=3.0)
    assert bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED)) is False
    assert len(bench.machine.candidates) == 1
    assert len(bench.of(GatheringCompleted)) == 1


@pytest.mark.parametrize(("code", "text"), [(400, "400 Refused"), (401, "401 Refused"), (500, "500 Refused")])
def test_refusing_server_is_reported_and_ends_the_wait(code, text):
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], code=code)
    assert bench.of(ServerFailed) == [ServerFailed(URLS[SERVER], "192.0.2.1", text, code)]
    assert bench.when(GatheringCompleted) == [0.0]


@pytest.mark.req("RFC8445-010")
def test_alternate_server_is_not_followed():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (ALTERNATE_SERVER, OTHER), code=300)
    bench.run(until=60.0)
    assert bench.asked == [(ONE, SERVER)]
    assert bench.of(ServerFailed) == [ServerFailed(URLS[SERVER], "192.0.2.1", "300 Refused", 300)]


@pytest.mark.req("RFC8489-058")
def test_success_without_a_mapped_address_is_a_failure():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0])
    assert [one.text for one in bench.of(ServerFailed)] == ["no XOR-MAPPED-ADDRESS"]


@pytest.mark.parametrize(("source", "socket"), [(OTHER, ONE), (SERVER, TWO)])
def test_answer_from_elsewhere_or_to_elsewhere_is_not_taken(source, socket):
    bench = Bench(SERVER, hosts=("192.0.2.1", "192.0.2.2"))
    bench.ask_all()
    request = bench.of(SendDatagram)[0]
    assert bench.answer(request, (XOR_MAPPED_ADDRESS, MAPPED), source=source, socket=socket) is False
    assert len(bench.machine.candidates) == 2
    assert bench.answer(request, (XOR_MAPPED_ADDRESS, MAPPED)) is True


def test_message_that_is_no_answer_is_not_taken():
    bench = Bench(SERVER)
    bench.ask_all()
    request = bench.of(SendDatagram)[0]
    assert bench.machine.handle_response(ONE, SERVER, decode_untrusted(request.data), now=0.0) is False


def test_unreachable_server_delays_nobody():
    bench = Bench(SERVER, OTHER)
    bench.ask_all()
    bench.machine.handle_icmp(ONE, SERVER, IcmpError(3, 1), now=0.0)  # host unreachable may pass
    bench.drain()
    assert not bench.of(ServerFailed)
    bench.machine.handle_icmp(ONE, SERVER, IcmpError(3, 3), now=0.0)
    bench.drain()
    assert [one.url for one in bench.of(ServerFailed)] == [URLS[SERVER]]
    bench.answer(bench.of(SendDatagram)[1], (XOR_MAPPED_ADDRESS, MAPPED))
    assert bench.when(GatheringCompleted) == [0.0]


# Sockets


def test_socket_that_cannot_be_opened_costs_one_candidate():
    bench = Bench(SERVER, hosts=("192.0.2.1", "192.0.2.2"), opened=False)
    bench.machine.handle_socket_failed(ONE, LOST, now=0.0)
    bench.open(2)
    assert [one.address.host for one in bench.machine.candidates] == ["192.0.2.2"]
    assert not bench.of(GatheringCompleted)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED))
    assert len(bench.of(GatheringCompleted)) == 1


def test_when_no_socket_opens_gathering_is_complete_without_candidates():
    bench = Bench(hosts=("192.0.2.1",), opened=False)
    bench.machine.handle_socket_failed(ONE, LOST, now=1.0)
    bench.drain()
    assert bench.of(GatheringCompleted) and bench.machine.candidates == ()


def test_socket_that_never_opens_delays_completion_by_three_seconds_only():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), opened=False)
    bench.open(1)
    bench.run(until=10.0)
    assert bench.when(GatheringCompleted) == [3.0]
    bench.open(2)
    assert len(bench.machine.candidates) == 1


def test_candidates_and_questions_of_a_dead_socket_are_forgotten():
    bench = Bench(SERVER, OTHER, hosts=("192.0.2.1", "192.0.2.2"))
    bench.machine.start_next(now=0.0)
    bench.drain()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED))
    bench.machine.start_next(now=0.0)  # socket 1 waits for OTHER when it dies
    bench.machine.handle_socket_failed(ONE, LOST, now=0.0)
    bench.drain()
    assert [one.address.host for one in bench.machine.candidates] == ["192.0.2.2"]
    assert bench.of(ServerFailed) == [ServerFailed(URLS[OTHER], "192.0.2.1", "interface gone")]
    bench.ask_all()
    bench.run(until=60.0)
    assert {socket for socket, _ in bench.asked[2:]} == {TWO}


# After gathering


@pytest.mark.req("RFC8445-016")
def test_bindings_are_kept_alive_every_15_s_until_ice_completes():
    bench = Bench(SERVER, OTHER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED))
    bench.answer(bench.of(SendDatagram)[1], code=500)  # no binding there to keep alive
    for number in (1, 2):
        bench.run(until=15.0 * number - 0.001)
        assert not bench.machine.has_next()
        bench.run(until=15.0 * number)
        bench.ask_all()
        assert bench.asked[-1] == (ONE, SERVER)
        bench.answer(bench.of(SendDatagram)[-1], (XOR_MAPPED_ADDRESS, at("203.0.113.9", 7000)))
    assert len(bench.asked) == 4
    assert len(bench.machine.candidates) == 2
    assert len(bench.of(GatheringCompleted)) == 1


@pytest.mark.req("RFC8445-106")
def test_nobody_is_asked_after_ice_has_completed():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED))
    bench.machine.stop(now=bench.now)
    assert bench.machine.deadline() == math.inf
    bench.run(until=100.0)
    assert not bench.machine.has_next()


def test_unanswered_keepalive_is_not_reported():
    bench = Bench(SERVER)
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED))
    bench.run(until=15.0)
    bench.ask_all()
    bench.run(until=14.9 + 39.5)
    bench.machine.handle_icmp(ONE, SERVER, IcmpError(3, 3), now=bench.now)
    bench.drain()
    assert not bench.of(ServerFailed)


@pytest.mark.req("RFC8838-021")
def test_stop_completes_gathering_once_and_a_socket_that_opens_later_is_not_told():
    bench = Bench(SERVER, hosts=("192.0.2.1", "192.0.2.2"), opened=False)
    bench.open(1)
    bench.machine.stop(now=bench.now)
    bench.machine.stop(now=bench.now)
    bench.drain()
    bench.open(2)
    bench.run(until=60.0)
    assert len(bench.of(GatheringCompleted)) == 1
    assert len(bench.found) == 1
    assert bench.machine.state is GatheringState.COMPLETE


def test_stop_before_the_start_completes_nothing():
    machine = Gatherer(ids=Ids(), foundations=Foundations(), config=IceConfig(), entropy=bytes, drop=lambda reason, count: None)
    machine.stop(now=0.0)
    assert machine.state is GatheringState.NEW
    assert machine.take_outputs() == []
