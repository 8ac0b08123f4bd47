"""Gathering (RFC 8445 5.1.1): the machine alone; its pacing is the agent's, see test_agent.py."""

import math

import attrs
import pytest

from ice._wire import at
from sansice.ice import (
    CandidateType,
    GatheringCompleted,
    GatheringOptions,
    GatheringState,
    IceConfig,
    IceServer,
    ServerFailed,
    candidate_priority,
)
from sansice.ice._gathering._gatherer import Gatherer, LocalLost, PeerUnreachable
from sansice.ice._gathering._host_list import Counts, HostList
from sansice.ice._gathering._local_candidates import LocalFound
from sansice.ice._priority import Foundations
from sansice.ice._server import read_servers
from sansice.machine import (
    Address,
    IcmpError,
    Ids,
    OpenSocket,
    QueryId,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import (
    ALTERNATE_SERVER,
    ERROR_CODE,
    ICMP,
    LIFETIME,
    NONCE,
    REALM,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    ErrorCode,
    Icmp,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    long_term_key,
)

SERVER, OTHER = at("198.51.100.1", 3478), at("198.51.100.2", 3478)
SERVER6 = at("2001:db8::53", 3478)
URLS = {SERVER: "stun:198.51.100.1", OTHER: "stun:198.51.100.2", SERVER6: "stun:[2001:db8::53]"}
MAPPED = at("203.0.113.9", 6000)
ONE, TWO = SocketId(1), SocketId(2)
LOST = SocketError(SocketErrorKind.OTHER, "interface gone")


def url_of(server):
    return URLS.get(server, f"stun:{server}")


class Bench:
    """A gatherer whose driver is the test; socket n is bound to port 4000 + n."""

    def __init__(self, *servers, hosts=("192.0.2.1",), opened=True, config=None, layout=(1,), ports=None, drawn=1, **known):
        self.now = 0.0
        self.seen = []
        drawn = iter(range(drawn, 10_000))
        self.machine = Gatherer(
            servers=read_servers([server if isinstance(server, IceServer) else url_of(server) for server in servers]),
            ids=Ids(),
            foundations=Foundations(),
            config=config or IceConfig(),
            entropy=lambda count: next(drawn).to_bytes(count, "big"),
            drop=lambda reason, count: None,
            layout=layout,
            options=GatheringOptions(port_range=ports, relayed_family=4),
        )
        self.machine.start(HostList(hosts, **known), now=0.0)
        self.drain()
        if opened:
            for number in range(1, len(self.of(OpenSocket)) + 1):
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
        (3.0, ServerFailed(URLS[SERVER], "192.0.2.1", "no answer within 3 s", seconds=3.0, is_silent=True)),
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
        (39.5, ServerFailed(URLS[SERVER], "192.0.2.1", "no answer", seconds=39.5, is_silent=True)),
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


# ------------------------------------------------------------- another generation, other addresses


@pytest.mark.req("RFC8445-016")
def test_another_generation_uses_the_sockets_that_are_open_and_asks_again():
    bench = Bench(SERVER, hosts=("192.0.2.1", "192.0.2.2"))
    bench.ask_all()
    bench.answer(bench.of(SendDatagram)[0], (XOR_MAPPED_ADDRESS, MAPPED))
    bench.run(until=5.0)
    asked, before = len(bench.asked), len(bench.seen)
    bench.machine.start(HostList(("192.0.2.1", "192.0.2.2")), now=bench.now)
    bench.drain()
    assert not [output for _, output in bench.seen[before:] if isinstance(output, OpenSocket)]
    again = [output.local.candidate.address for _, output in bench.seen[before:] if isinstance(output, LocalFound)]
    assert again == [at("192.0.2.1", 4001), at("192.0.2.2", 4002)]
    assert [one.address for one in bench.machine.candidates] == again
    bench.ask_all()
    assert bench.asked[asked:] == [(ONE, SERVER), (TWO, SERVER)]
    bench.run(until=20.0)
    assert len(bench.of(GatheringCompleted)) == 2


def test_generation_of_one_stream_leaves_the_others_candidates_alone():
    bench = Bench(layout=(1, 1))
    bench.machine.start(HostList(("192.0.2.1",)), streams=(1,), now=1.0)
    bench.drain()
    assert [output.local.stream for output in bench.of(LocalFound)] == [0, 1, 1]
    assert [len(bench.machine.candidates_of(stream)) for stream in (0, 1)] == [1, 1]
    assert len(bench.of(GatheringCompleted)) == 2


def test_another_generation_while_the_first_gathers_completes_once():
    bench = Bench(opened=False)
    bench.machine.start(HostList(("192.0.2.1",)), now=1.0)
    bench.drain()
    assert len(bench.of(OpenSocket)) == 1
    bench.open(1)
    assert len(bench.of(LocalFound)) == len(bench.of(GatheringCompleted)) == 1


def test_socket_that_was_closed_is_opened_again_for_the_next_generation():
    bench = Bench()
    bench.machine.forget(ONE)
    bench.machine.start(HostList(("192.0.2.1",)), now=1.0)
    bench.drain()
    assert [one.socket for one in bench.of(OpenSocket)] == [ONE, TWO]


@pytest.mark.req("RFC8445-017")
def test_new_addresses_are_gathered_from_and_lost_ones_given_up():
    bench = Bench(SERVER, hosts=("192.0.2.1", "192.0.2.2"), opened=False)
    bench.open(1)
    gone = bench.machine.update(HostList(("192.0.2.1", "192.0.2.3")), now=0.0)
    bench.drain()
    assert gone == (TWO,)
    three = SocketId(bench.of(OpenSocket)[-1].socket)
    bench.open(three)
    preferences = {local.candidate.address.host: local.local_preference for local in bench.found}
    assert preferences == {"192.0.2.1": 65535, "192.0.2.3": 65534}
    gone = bench.machine.update(HostList(("192.0.2.3",)), now=0.0)
    bench.drain()
    assert gone == (ONE,)
    assert [one.address.host for one in bench.machine.candidates] == ["192.0.2.3"]
    bench.ask_all()
    assert bench.asked == [(three, SERVER)]


@pytest.mark.req("RFC8838-021")
def test_what_is_found_after_the_end_is_used_and_told_in_the_next_generation():
    bench = Bench()
    assert bench.when(GatheringCompleted) == [0.0]
    bench.machine.update(HostList(("192.0.2.1", "192.0.2.2")), now=1.0)
    bench.drain()
    bench.open(2)
    assert [found.told for found in bench.of(LocalFound)] == [True, False]
    assert len(bench.machine.candidates) == 1
    assert len(bench.of(GatheringCompleted)) == 1
    bench.machine.start(HostList(("192.0.2.1", "192.0.2.2")), now=2.0)
    bench.drain()
    assert len(bench.machine.candidates) == 2
    assert len(bench.of(GatheringCompleted)) == 2


def test_generation_with_other_addresses_tells_those_alone_and_leaves_the_old_sockets_open():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"))
    bench.machine.start(HostList(("192.0.2.3", "192.0.2.1")), now=1.0)
    bench.drain()
    bench.open(3)
    assert {one.address.host for one in bench.machine.candidates} == {"192.0.2.1", "192.0.2.3"}
    assert {local.candidate.address.host: local.local_preference for local in bench.found[2:]} == {
        "192.0.2.1": 65535,
        "192.0.2.3": 65533,
    }


def test_addresses_of_ever_new_generations_are_bounded():
    bench = Bench(hosts=("10.0.0.1",), config=IceConfig(max_host_addresses=1))
    for number in range(2, 9):
        bench.machine.start(HostList((f"10.0.0.{number}",)), now=1.0)
        bench.drain()
        if len(bench.of(OpenSocket)) == number:
            bench.open(number)
    assert len(bench.of(OpenSocket)) == 2
    assert bench.machine.state is GatheringState.COMPLETE


# ------------------------------------------------------------- ports


def test_further_sockets_of_an_address_have_its_foundation_and_preferences_of_their_own():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), counts={"192.0.2.1": Counts(udp=2)}, layout=(2,))
    found = [(one.candidate.component, one.candidate.address.host[-1], one.local_preference) for one in bench.found]
    assert found == [(1, "1", 65535), (2, "1", 65535), (1, "2", 65534), (2, "2", 65534), (1, "1", 65533), (2, "1", 65533)]
    assert [one.candidate.foundation for one in bench.found] == ["1", "1", "2", "2", "1", "1"]
    again = HostList(["192.0.2.1"], counts={"192.0.2.1": Counts(udp=2)})
    assert not bench.machine.is_lacking(again)
    bench.machine.handle_socket_failed(ONE, LOST, now=0.0)
    assert bench.machine.is_lacking(again)
    assert bench.machine.update(again, now=0.0) == (SocketId(3), SocketId(4))
    bench.drain()
    bench.open(7)
    assert (bench.found[-1].candidate.component, bench.found[-1].local_preference) == (1, 65535)


def test_where_numbers_end_further_sockets_are_not_opened():
    tight = IceConfig(max_host_addresses=1)
    counts = {"192.0.2.1": Counts(udp=2), "192.0.2.2": Counts(udp=2)}
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), counts=counts, config=tight)
    assert [one.candidate.address.host for one in bench.found] == ["192.0.2.1", "192.0.2.2"]
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2", "192.0.2.3"), counts={"192.0.2.3": Counts(udp=2)}, config=tight)
    assert [one.candidate.address.host for one in bench.found] == ["192.0.2.1", "192.0.2.2"]


def test_ports_are_taken_in_turn_from_one_on_that_nobody_knows():
    firsts = set()
    for drawn in range(4):
        bench = Bench(hosts=("192.0.2.1", "192.0.2.2", "192.0.2.3"), opened=False, ports=(50000, 50003), drawn=drawn)
        ports = [one.bind.port for one in bench.of(OpenSocket)]
        assert ports == [50000 + (ports[0] - 50000 + number) % 4 for number in range(3)]
        firsts.add(ports[0])
    assert firsts == {50000, 50001, 50002, 50003}


def test_port_that_is_taken_is_passed_over_until_the_range_is_used_up():
    taken = SocketError(SocketErrorKind.ADDRESS_IN_USE)
    bench = Bench(opened=False, ports=(50000, 50002))
    for number in (1, 2, 3):
        assert len(bench.of(OpenSocket)) == number
        bench.machine.handle_socket_failed(SocketId(number), taken, now=0.0)
        bench.drain()
    assert sorted(one.bind.port for one in bench.of(OpenSocket)) == [50000, 50001, 50002]
    assert bench.machine.candidates == () and bench.when(GatheringCompleted) == [0.0]


def test_large_range_is_not_searched_to_its_end():
    taken = SocketError(SocketErrorKind.ADDRESS_IN_USE)
    bench = Bench(opened=False, ports=(1024, 65535))
    while bench.machine.state is GatheringState.GATHERING:
        bench.machine.handle_socket_failed(bench.of(OpenSocket)[-1].socket, taken, now=0.0)
        bench.drain()
    assert len(bench.of(OpenSocket)) == 128


@pytest.mark.parametrize(("ports", "kind"), [(None, SocketErrorKind.ADDRESS_IN_USE), ((1, 9), SocketErrorKind.PERMISSION)])
def test_other_failures_try_no_other_port(ports, kind):
    bench = Bench(opened=False, ports=ports)
    bench.machine.handle_socket_failed(ONE, SocketError(kind), now=0.0)
    bench.drain()
    assert len(bench.of(OpenSocket)) == 1 and bench.machine.state is GatheringState.COMPLETE


# ------------------------------------------------------------- relays


TURN = IceServer(f"turn:{SERVER}?transport=udp", "user", "secret")


def relay(bench, relayed, *, mapped=MAPPED):
    """The relay that was asked last relays at ``relayed``."""
    for attributes in (
        ((ERROR_CODE, ErrorCode(401, "")), (REALM, "realm"), (NONCE, "nonce")),
        ((XOR_RELAYED_ADDRESS, relayed), (XOR_MAPPED_ADDRESS, mapped), (LIFETIME, 600)),
    ):
        action = bench.of(SendDatagram)[-1]
        request = decode_untrusted(action.data)
        kind = MessageClass.SUCCESS if request.has_integrity else MessageClass.ERROR
        key = long_term_key("user", "realm", "secret") if request.has_integrity else None
        answer = encode(request.method, kind, request.transaction_id, attributes, key=key)
        bench.machine.relays.unwrap(action.socket, [(action.destination, answer)], now=bench.now)
        bench.machine.absorb_relays(bench.now)
        bench.drain()


@pytest.mark.req("RFC8445-014")
def test_relayed_address_that_is_a_host_candidates_is_discarded_and_given_back():
    bench = Bench(TURN)
    bench.ask_all()
    relay(bench, at("192.0.2.1", 4001))
    assert [local.candidate.type.value for local in bench.found] == ["host", "srflx"]
    assert decode_untrusted(bench.of(SendDatagram)[-1].data).get(LIFETIME) == 0
    assert bench.when(GatheringCompleted) == [0.0]


def test_relay_that_lives_is_found_again_by_the_next_generation_and_asked_no_second_time():
    bench = Bench(TURN)
    bench.ask_all()
    relay(bench, at("198.51.100.1", 60000))
    sent = len(bench.asked)
    bench.machine.start(HostList(("192.0.2.1",)), now=0.0)
    bench.drain()
    bench.ask_all()
    assert len(bench.asked) == sent
    types = [local.candidate.type.value for local in bench.found]
    assert types == ["host", "srflx", "relay", "host", "relay"]
    assert bench.found[2] == bench.found[4]


def test_lost_relay_takes_its_candidate_along():
    bench = Bench(TURN)
    bench.ask_all()
    relay(bench, at("198.51.100.1", 60000))
    virtual = bench.found[-1].socket
    bench.machine.handle_socket_failed(ONE, LOST, now=0.0)
    bench.drain()
    assert bench.of(LocalLost) == [LocalLost(virtual, "interface gone")]
    assert bench.machine.candidates == ()


def test_without_servers_there_are_no_relays_and_news_of_them_change_nothing():
    bench = Bench()
    assert bench.machine.relays is None
    bench.machine.absorb_relays(0.0)
    bench.machine.handle_resolved(QueryId(9), (), now=0.0)
    bench.machine.handle_icmp(ONE, SERVER, IcmpError(3, 3), now=0.0)
    bench.machine.handle_socket_failed(SocketId(9), LOST, now=0.0)
    bench.machine.handle_socket_opened(SocketId(9), at("192.0.2.9"), now=0.0)
    bench.drain()
    assert len(bench.found) == 1


@pytest.mark.parametrize(("code", "told"), [(3, [PeerUnreachable(SocketId(0), "192.0.2.9", 5000)]), (1, [])])
def test_hard_icmp_error_behind_a_relay_is_told_of_its_socket(code, told):
    bench = Bench(TURN)
    bench.ask_all()
    relay(bench, at("198.51.100.1", 60000))
    virtual, peer = bench.found[-1].socket, at("192.0.2.9")
    bench.machine.relays.permit(virtual, peer, now=0.0)
    bench.machine.absorb_relays(0.0)
    bench.drain()
    request = decode_untrusted(bench.of(SendDatagram)[-1].data)
    key = long_term_key("user", "realm", "secret")
    granted = encode(Method.CREATE_PERMISSION, MessageClass.SUCCESS, request.transaction_id, [], key=key)
    attributes = [(XOR_PEER_ADDRESS, peer), (ICMP, Icmp(3, code))]
    icmp = encode(Method.DATA, MessageClass.INDICATION, request.transaction_id, attributes)
    bench.machine.relays.unwrap(ONE, [(SERVER, granted), (SERVER, icmp)], now=0.0)
    bench.machine.absorb_relays(0.0)
    bench.drain()
    assert bench.of(PeerUnreachable) == [attrs.evolve(one, socket=virtual) for one in told]
