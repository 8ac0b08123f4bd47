"""The lite agent's commands, what may be read, gathering and data."""

import ast
import math
from pathlib import Path

import pytest

import sansice.ice._lite as lite
from ice._lite import BEFORE_ICE2, NEW, OTHER, PEER, LiteBench, check_bytes, connected
from ice._session import LOST, refuses
from ice._wire import OURS, THEIRS, Bench, at, candidate
from sansice.ice import (
    CandidateGathered,
    CandidateType,
    Closed,
    Credentials,
    DataReceived,
    Description,
    GatheringCompleted,
    GatheringOptions,
    GatheringState,
    HostAddress,
    IceClosed,
    IceConfig,
    IceFailed,
    IceState,
    LiteAgent,
    NotConnected,
    Restarted,
    RewriteRule,
)
from sansice.machine import CloseSocket, LocalProtocolError, OpenSocket, SocketError, SocketErrorKind, SocketId


def opened(agent):
    """The sockets that an agent asks for."""
    return [output for output in agent.take_outputs() if isinstance(output, OpenSocket)]


# Gathering


@pytest.mark.req("RFC8445-026", "RFC8445-006")
def test_one_host_candidate_for_each_address_stream_and_component_and_no_other():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.1", "2001:db8::1", "127.0.0.1"), streams=2, components=(1, 2), known=False)
    gathered = [(event.stream, event.component, event.candidate.address.host) for event in bench.heard(CandidateGathered)]
    assert gathered == [
        (stream, component, host) for stream, component in ((0, 1), (1, 1), (1, 2)) for host in ("2001:db8::1", "192.0.2.1")
    ]
    assert {one.type.value for one in bench.agent.local_candidates} == {"host"}
    assert bench.heard(GatheringCompleted) == [GatheringCompleted()]


@pytest.mark.req("RFC8445-026")
def test_restart_and_news_of_the_same_addresses_open_no_second_socket_for_any():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2"))
    before = bench.agent.local_candidates
    bench.call(bench.agent.restart)
    bench.call(bench.agent.update_addresses, ("192.0.2.1", "192.0.2.2"))
    assert bench.agent.local_candidates == before
    assert bench.agent.local_description.candidates == before


@pytest.mark.req("RFC8445-027")
def test_foundation_is_the_addresses_and_priorities_are_unique_in_a_stream():
    hosts = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "fd00::1")
    bench = LiteBench(hosts=hosts, components=3, known=False)
    candidates = bench.agent.local_candidates
    foundations = {(one.address.host, one.foundation) for one in candidates}
    assert len(foundations) == len({foundation for _, foundation in foundations}) == len(hosts)
    assert len({one.priority for one in candidates}) == len(candidates) == 15


@pytest.mark.req("RFC8445-028")
def test_priority_is_made_of_126_and_65535_or_the_precedence_of_rfc_6724():
    def priorities(*hosts):
        return sorted(one.priority for one in LiteBench(hosts=hosts, known=False).agent.local_candidates)

    assert priorities("192.0.2.1") == [(126 << 24) + (65535 << 8) + 255]
    assert priorities("192.0.2.1", "2001:db8::1") == [(126 << 24) + (35 << 8) + 255, (126 << 24) + (40 << 8) + 255]
    assert priorities("2001:db8::1") == [(126 << 24) + (40 << 8) + 255]


def test_socket_that_does_not_open_delays_no_description():
    agent = LiteAgent(controlling=False, config=IceConfig(gathering_timeout=2.0))
    agent.gather(["192.0.2.1", "192.0.2.2"], now=0.0)
    first, second = opened(agent)
    agent.handle_socket_opened(first.socket, at("192.0.2.1", 4001), now=0.1)
    assert agent.gathering_state is GatheringState.GATHERING and agent.deadline() == 2.0
    agent.handle_timer(now=2.0)
    assert agent.take_outputs()[-2:] == [CloseSocket(second.socket), GatheringCompleted()]
    agent.handle_socket_opened(second.socket, at("192.0.2.2", 4002), now=3.0)
    assert len(agent.local_description.candidates) == 1 and agent.deadline() == math.inf


def test_address_whose_socket_fails_has_no_candidate():
    agent = LiteAgent(controlling=False)
    agent.gather(["192.0.2.1", "192.0.2.2"], now=0.0)
    first, second = opened(agent)
    agent.handle_socket_failed(first.socket, LOST, now=0.0)
    agent.handle_socket_failed(first.socket, LOST, now=0.0)
    agent.handle_socket_opened(second.socket, at("192.0.2.2", 4002), now=0.0)
    assert [one.address for one in agent.local_description.candidates] == [at("192.0.2.2", 4002)]


def test_port_that_is_taken_makes_way_for_another_of_the_range():
    options = GatheringOptions(port_range=(5000, 5001), rewrite=(RewriteRule("203.0.113.9"),))
    agent = LiteAgent(controlling=False, gathering=options, entropy=bytes)
    agent.gather([HostAddress("10.0.0.1", interface="eth0")], now=0.0)
    (first,) = opened(agent)
    agent.handle_socket_failed(first.socket, SocketError(SocketErrorKind.ADDRESS_IN_USE, "taken"), now=0.0)
    (second,) = opened(agent)
    assert (first.bind.port, second.bind.port) == (5001, 5000)
    agent.handle_socket_opened(second.socket, second.bind, now=0.0)
    assert [one.address for one in agent.local_description.candidates] == [at("203.0.113.9", 5000)]


def test_addresses_that_the_application_refuses_are_not_opened():
    agent = LiteAgent(controlling=False, gathering=GatheringOptions(accept=lambda one: one.host != "192.0.2.1"))
    agent.gather(["192.0.2.1", "192.0.2.2"], now=0.0)
    assert [one.bind.host for one in opened(agent)] == ["192.0.2.2"]


def test_host_addresses_are_bounded():
    agent = LiteAgent(controlling=False, config=IceConfig(max_host_addresses=3))
    agent.gather([f"192.0.2.{number}" for number in range(1, 100)], now=0.0)
    assert len(opened(agent)) == 3


def test_agent_without_a_usable_address_gathers_nothing_and_says_so_when_it_fails():
    bench = LiteBench(hosts=())
    assert bench.agent.gathering_state is GatheringState.COMPLETE
    bench.run(until=39.5)
    assert "no usable network address" in str(bench.agent.failure)


# The description


@pytest.mark.req("RFC8838-026", "RFC8445-111", "RFC8839-002")
def test_description_is_of_a_lite_agent_and_whole_or_it_is_not_told_at_all():
    agent = LiteAgent(controlling=False, credentials=OURS)
    with pytest.raises(LocalProtocolError, match="whole"):
        _ = agent.local_description
    agent.gather(["192.0.2.1", "2001:db8::1"], now=0.0)
    first, second = opened(agent)
    agent.handle_socket_opened(first.socket, at("192.0.2.1", 4001), now=0.0)
    with pytest.raises(LocalProtocolError, match="whole"):
        _ = agent.local_descriptions
    agent.handle_socket_opened(second.socket, at("2001:db8::1", 4002), now=0.0)
    description = agent.local_description
    assert description.lite and description.end_of_candidates and "ice2" in description.options
    assert [one.address.port for one in description.candidates] == [4001, 4002]
    assert "a=ice-lite" in description.to_sdp() and "a=end-of-candidates" in description.to_sdp()


@pytest.mark.req("RFC8839-011")
def test_lite_agent_proposes_no_pacing():
    assert LiteBench(known=False).agent.local_description.pacing is None


def test_streams_are_described_one_by_one():
    both = [OURS, NEW]
    bench = LiteBench(known=False, gather=False)
    bench.agent = LiteAgent(controlling=False, streams=2, components=(1, 2), credentials=both)
    bench.call(bench.agent.gather, ["192.0.2.1"])
    assert [one.ufrag for one in bench.agent.local_descriptions] == [OURS.ufrag, NEW.ufrag]
    assert [len(one.candidates) for one in bench.agent.local_descriptions] == [1, 2]
    assert bench.agent.describe(1) == bench.agent.local_descriptions[1]


# Data


@pytest.mark.req("RFC8445-118")
def test_data_goes_out_on_the_pair_in_use_and_is_counted():
    bench = connected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.check(OTHER, socket=2)
    bench.call(bench.agent.send, bytearray(b"\x80abc"))
    assert bench.sent[-1].path == (1, PEER) and bench.sent[-1].data == b"\x80abc"
    assert bench.agent.path_of() == (1, PEER)
    assert (bench.agent.stats.datagrams_sent, bench.agent.stats.bytes_sent) == (1, 4)


def test_batch_of_data_and_checks_is_taken_in_order():
    bench = LiteBench()
    batch = [(PEER, b"\x80a"), (PEER, check_bytes()), (PEER, b"\x80b"), (PEER, b"")]
    bench.call(bench.agent.handle_datagrams, SocketId(1), batch)
    assert [event.data for event in bench.heard(DataReceived)] == [b"\x80b"]
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1, "EMPTY": 1}


@pytest.mark.parametrize(("type", "expected"), [(CandidateType.HOST, 1252), (CandidateType.RELAYED, 1193)])
def test_data_of_one_packet_is_less_where_the_peer_is_relayed(type, expected):
    bench = LiteBench(remotes=(candidate(PEER.host, type=type),), config=IceConfig(path_mtu=1280))
    assert bench.agent.data_mtu is None
    bench.nominate()
    assert bench.agent.data_mtu == bench.agent.data_mtu_of(0, 1) == expected
    assert not bench.agent.lingers


def test_code_point_that_is_asked_for_is_the_sockets():
    agent = LiteAgent(controlling=False, gathering=GatheringOptions(dscp=46))
    agent.gather(["192.0.2.1"], now=0.0)
    assert [one.options.dscp for one in opened(agent)] == [46]


# Changing addresses


def test_addresses_that_come_are_opened_and_those_that_go_are_closed():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.update_addresses, ["192.0.2.2", "2001:db8::1"])
    assert bench.closed == [(0.0, SocketId(1))]
    assert [one.address.host for one in bench.agent.local_candidates] == ["192.0.2.2", "2001:db8::1"]
    assert len(bench.heard(GatheringCompleted)) == 2
    assert len({one.priority for one in bench.agent.local_candidates}) == 2


def test_stream_whose_address_is_gone_waits_for_another_nomination():
    bench = connected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.run(until=1.0)
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert bench.agent.state is IceState.CHECKING and not bench.agent.writable and bench.agent.selected_pair is None
    bench.nominate(PEER, socket=2)
    assert bench.agent.state is IceState.COMPLETED and bench.agent.path_of() == (2, PEER)


def test_address_that_no_pair_uses_goes_unnoticed():
    bench = connected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.update_addresses, ["192.0.2.1"])
    assert bench.agent.state is IceState.COMPLETED and bench.agent.writable


def test_address_that_goes_while_its_socket_opens_is_given_up():
    agent = LiteAgent(controlling=False)
    agent.gather(["192.0.2.1"], now=0.0)
    (first,) = opened(agent)
    agent.update_addresses([], now=0.0)
    assert agent.take_outputs() == [CloseSocket(first.socket), GatheringCompleted()]


def test_old_generation_whose_address_goes_during_a_restart_is_lost():
    bench = connected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.restart, credentials=NEW)
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert bench.agent.state is IceState.CHECKING and not bench.agent.writable


# Sockets that die


def test_stream_ends_with_the_socket_of_a_pair_in_use():
    bench = connected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.handle_socket_failed, SocketId(2), LOST)
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    assert bench.agent.state is IceState.FAILED
    assert isinstance(bench.agent.failure, IceFailed) and "interface gone" in str(bench.agent.failure)


def test_pair_of_a_component_that_waits_for_the_others_is_lost_with_its_socket():
    bench = LiteBench(components=2)
    bench.nominate(socket=1)
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    assert bench.agent.state is IceState.CHECKING and bench.agent.pairs == ()


# The end


def test_close_closes_all_sockets_and_is_the_last_thing_heard():
    bench = connected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.close)
    bench.call(bench.agent.close)
    assert bench.closed == [(0.0, 1), (0.0, 2)]
    assert [event for _, event in bench.events][-1] == Closed() and len(bench.heard(Closed)) == 1
    assert bench.agent.state is IceState.CLOSED and bench.is_idle
    assert isinstance(bench.agent.failure, IceClosed)


def test_close_ends_gathering():
    agent = LiteAgent(controlling=False)
    agent.gather(["192.0.2.1"], now=0.0)
    (first,) = opened(agent)
    agent.close(now=0.0)
    outputs = agent.take_outputs()
    assert outputs[:2] == [CloseSocket(first.socket), GatheringCompleted()] and outputs[-1] == Closed()
    agent.handle_socket_opened(first.socket, at("192.0.2.1", 1), now=1.0)
    assert agent.take_outputs() == []


def test_datagrams_after_the_end_are_counted_and_not_answered():
    bench = LiteBench()
    bench.run(until=39.5)
    assert bench.check() is None
    assert bench.dropped() == {"CLOSED": 1}


# The caller's mistakes


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"controlling": 1}, "controlling: True or False"),
        ({"streams": 0}, "streams: 0"),
        ({"components": 0}, "components"),
        ({"components": 257}, "components"),
        ({"streams": 2, "components": (1,)}, "components"),
        ({"credentials": [OURS, NEW]}, "credentials: 2 given, 1 needed"),
        ({"credentials": ["ours"]}, "credentials"),
    ],
)
def test_agent_that_makes_no_sense_is_not_made(wrong, match):
    with pytest.raises(LocalProtocolError, match=match):
        LiteAgent(**{"controlling": False, **wrong})


def test_mistakes_leave_everything_untouched():
    bench = connected(options=BEFORE_ICE2)
    agent = bench.agent
    refuses(bench, agent.gather, ["192.0.2.9"], match="before")
    refuses(bench, agent.update_addresses, "192.0.2.9", match="a list of addresses")
    refuses(bench, agent.update_addresses, ["nonsense"], match="literal")
    refuses(bench, agent.add_remote_candidate, "candidate:1", match="from_sdp")
    refuses(bench, agent.add_remote_candidate, candidate(PEER.host), stream=1, match="no stream 1")
    refuses(bench, agent.end_of_candidates, stream=-1, match="no stream -1")
    refuses(bench, agent.nominate, agent.selected_pair, match="nominates nothing")
    refuses(bench, agent.send, b"\x80", stream="audio", match="no stream 'audio'")
    refuses(bench, agent.restart, stream=7, match="no stream 7")
    refuses(bench, agent.restart, credentials=Credentials(OURS.ufrag, NEW.pwd), match="both be new")
    refuses(bench, agent.restart, credentials=[NEW, NEW], match="2 given")
    refuses(bench, agent.send, b"", match="empty")
    refuses(bench, agent.send, "text", match="not str")
    refuses(bench, agent.send, b"\x00" + bytes(3) + b"\x21\x12\xa4\x42" + bytes(12), match="STUN")
    refuses(bench, agent.send, b"\x80" * 65508, match="65507")
    refuses(bench, agent.send, b"\x80", component=2, match="no stream 0 with a component 2")
    for read in (agent.is_writable, agent.selected_pair_of, agent.path_of):
        with pytest.raises(LocalProtocolError, match="no stream 0 with a component 0"):
            read(0, 0)
    with pytest.raises(LocalProtocolError, match="no stream 3"):
        agent.describe(3)


def test_send_before_there_is_a_pair_is_refused():
    bench = LiteBench()
    refuses(bench, bench.agent.send, b"\x80", match="valid pair", error=NotConnected)


def test_addresses_are_updated_only_after_gathering_has_begun():
    bench = LiteBench(gather=False)
    refuses(bench, bench.agent.update_addresses, ["192.0.2.1"], match="gather")


@pytest.mark.parametrize("closed", [True, False])
def test_agent_that_is_over_refuses_commands(closed):
    bench = LiteBench()
    if closed:
        bench.call(bench.agent.close)
    bench.run(until=39.5)
    agent = bench.agent
    for command, *arguments in (
        (agent.gather, ["192.0.2.1"]),
        (agent.set_remote, Description(THEIRS.ufrag, THEIRS.pwd)),
        (agent.add_remote_candidate, candidate(PEER.host)),
        (agent.end_of_candidates,),
    ):
        refuses(bench, command, *arguments, match=agent.state.value)
    if closed:
        refuses(bench, agent.restart, match="closed")
        refuses(bench, agent.update_addresses, ["192.0.2.1"], match="closed")


def test_one_stream_of_several_may_be_restarted():
    bench = LiteBench(streams=2, known=False)
    bench.call(bench.agent.restart, stream=1, credentials=NEW)
    assert bench.heard(Restarted) == [Restarted(1, NEW, False)]
    assert [one.ufrag for one in bench.agent.local_descriptions] == [OURS.ufrag, NEW.ufrag]
    assert bench.agent.states == (IceState.NEW, IceState.NEW)


def test_restart_before_gathering_gathers_nothing():
    bench = LiteBench(gather=False, known=False)
    bench.call(bench.agent.restart)
    assert bench.agent.gathering_state is GatheringState.NEW
    assert bench.heard(GatheringCompleted) == []


def test_restart_during_gathering_completes_once():
    agent = LiteAgent(controlling=False)
    agent.gather(["192.0.2.1"], now=0.0)
    (first,) = opened(agent)
    agent.restart(credentials=NEW, now=0.0)
    agent.handle_socket_opened(first.socket, at("192.0.2.1", 4001), now=0.0)
    assert agent.take_outputs().count(GatheringCompleted()) == 1


@pytest.mark.parametrize("lite", [True, False])
def test_gather_is_called_once_and_once_more_after_each_restart_by_agents_of_both_kinds(lite):
    bench = LiteBench(known=False) if lite else Bench(known=False)
    refuses(bench, bench.agent.gather, ["192.0.2.1"], match="called before")
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ["192.0.2.1", "192.0.2.2"])
    assert {one.address.host for one in bench.agent.local_candidates} == {"192.0.2.1", "192.0.2.2"}
    assert bench.agent.gathering_state is GatheringState.COMPLETE
    refuses(bench, bench.agent.gather, ["192.0.2.1"], match="called before")


def test_gathering_again_closes_the_sockets_of_addresses_that_are_gone():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ["192.0.2.2"])
    assert [one.address.host for one in bench.agent.local_candidates] == ["192.0.2.2"]
    assert len(bench.closed) == 1


# The module


def test_reader_of_the_lite_agent_sees_no_code_of_the_full_one():
    names = [
        node.module or ""
        for path in sorted(Path(lite.__file__).parent.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]
    assert names and not [name for name in names if name.startswith(("sansice.ice._agent", "sansice.turn"))]
