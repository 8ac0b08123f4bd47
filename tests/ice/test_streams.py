"""Agents with several streams and components: one checklist set, paths of their own, and an end of their own."""

import pytest

from ice._session import Two, refuses, states
from ice._wire import OURS, Bench, at, candidate
from sansice.ice import (
    CandidateGathered,
    ConsentLost,
    Credentials,
    DataReceived,
    Description,
    IceAgent,
    IceClosed,
    IceConfig,
    IceFailed,
    IceServer,
    IceState,
    Nomination,
    NotConnected,
    PairSelected,
    PairState,
    PairValidated,
    SessionDescription,
    StreamFailed,
)
from sansice.ice._agent._checklist import ChecklistState
from sansice.machine import LocalProtocolError, SendDatagram, SocketError, SocketErrorKind, SocketId

GONE = SocketError(SocketErrorKind.OTHER, "gone")
PEERS = (Credentials("peer0", "p" * 22), Credentials("peer1", "q" * 22), Credentials("peer2", "r" * 22))


def remote(stream, component, number=0, foundation="r1"):
    """A candidate of the peer's, on a port that says what it is for."""
    return candidate("198.51.100.1", 5000 + 100 * stream + 10 * component + number, component=component, foundation=foundation)


def described(*streams, complete=True, options=("ice2",)):
    """The peer's description: of each stream its candidates."""
    return SessionDescription(
        tuple(
            Description(peer.ufrag, peer.pwd, candidates=candidates, options=options, end_of_candidates=complete)
            for peer, candidates in zip(PEERS, streams, strict=False)
        )
    )


def bench_of(*streams, complete=True, **options) -> Bench:
    """An agent that knows these candidates of its peer's, for each stream."""
    bench = Bench(known=False, streams=len(streams), **options)
    bench.call(bench.agent.set_remote, described(*streams, complete=complete))
    return bench


def answer(bench, check):
    """Answer a check as the peer of its stream does."""
    bench.answer(check, theirs=PEERS[(check.destination.port - 5000) // 100])


def answer_all(bench, until):
    """Answer every check within a twentieth of a second."""
    seen = 0
    while bench.now < until:
        for check in bench.checks[seen:]:
            seen += 1
            answer(bench, check)
        bench.run(bench.now + 0.05)


def ports(bench):
    return [one.destination.port for one in bench.checks]


# ------------------------------------------------------------- gathering


def test_each_stream_and_component_has_a_socket_of_its_own():
    bench = Bench(known=False, hosts=("192.0.2.1", "192.0.2.2"), streams=2, components=(2, 1))
    found = bench.heard(CandidateGathered)
    places = [(one.candidate.address.host, one.stream, one.component) for one in found]
    assert places == [(host, *place) for host in ("192.0.2.1", "192.0.2.2") for place in ((0, 1), (0, 2), (1, 1))]
    assert len({one.candidate.address.port for one in found}) == 6
    assert [one.candidate.component for one in found] == [one.component for one in found]
    assert bench.agent.components == (2, 1)


@pytest.mark.req("RFC8445-018")
def test_priorities_are_unique_within_a_stream_and_foundations_are_shared_by_all():
    bench = Bench(known=False, hosts=("192.0.2.1", "192.0.2.2"), streams=2, components=2)
    for stream in range(2):
        candidates = bench.agent.describe(stream).candidates
        assert len({one.priority for one in candidates}) == len(candidates) == 4
    assert [one.foundation for one in bench.agent.local_candidates] == ["1"] * 4 + ["2"] * 4


def test_each_stream_has_credentials_of_its_own_unless_all_are_given_the_same():
    drawn = IceAgent(controlling=True, streams=3).local_descriptions
    assert len({one.ufrag for one in drawn}) == len({one.pwd for one in drawn}) == 3
    same = IceAgent(controlling=True, streams=2, credentials=OURS)
    assert [(one.ufrag, one.pwd) for one in same.local_descriptions] == [(OURS.ufrag, OURS.pwd)] * 2
    own = IceAgent(controlling=True, streams=2, credentials=PEERS[:2])
    assert [one.ufrag for one in own.local_descriptions] == ["peer0", "peer1"] and own.credentials == PEERS[0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"streams": 0}, "streams: a number from 1 to 256"),
        ({"streams": 257}, "streams: a number from 1 to 256"),
        ({"streams": True}, "streams: a number"),
        ({"components": 0}, "components: a number from 1 to 256, not 0"),
        ({"components": 257}, "components: a number from 1 to 256, not 257"),
        ({"streams": 2, "components": (1,)}, "components: 1 numbers for 2 streams"),
        ({"streams": 2, "components": (1, "2")}, "components: a number"),
        ({"streams": 2, "credentials": (OURS,)}, "credentials: 1 for 2 streams"),
        ({"streams": 2, "credentials": (OURS, "ufrag")}, "is not a Credentials"),
        ({"streams": 2, "credentials": (OURS, Credentials(OURS.ufrag, "q" * 22))}, "one ufrag and different passwords"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(options, match):
    with pytest.raises(LocalProtocolError, match=match):
        IceAgent(controlling=True, **options)


# ------------------------------------------------------------- one checklist set


@pytest.mark.req("RFC8445-043")
def test_tricky_26_of_each_foundation_one_pair_thaws_over_all_streams():
    first = [remote(0, component, number, f"r{number}") for component in (1, 2) for number in (1, 2)]
    second = [remote(1, 1, number, f"r{number}") for number in (2, 3)]
    bench = bench_of(first, second, components=(2, 1))
    waiting = [pair.remote.address.port for pair in bench.agent.pairs if pair.state in (PairState.WAITING, PairState.IN_PROGRESS)]
    assert sorted(waiting) == [5011, 5012, 5113]


@pytest.mark.req("RFC8445-075")
def test_tricky_26_a_success_thaws_its_foundation_in_every_stream_and_component():
    bench = bench_of([remote(0, 1), remote(0, 2)], [remote(1, 1)], components=(2, 1))
    assert [pair.state for pair in bench.agent.pairs] == [PairState.IN_PROGRESS, PairState.FROZEN, PairState.FROZEN]
    answer(bench, bench.check)
    assert [pair.state for pair in bench.agent.pairs] == [PairState.SUCCEEDED, PairState.WAITING, PairState.WAITING]


@pytest.mark.req("RFC8445-047", "RFC8445-050", "RFC8445-122")
def test_checks_go_round_the_streams_at_one_pace_for_all_of_them():
    own = [[remote(stream, 1, number, f"r{stream}{number}") for number in range(count)] for stream, count in enumerate((3, 1, 2))]
    bench = bench_of(*own)
    bench.run(0.25)
    assert ports(bench) == [5010, 5110, 5210, 5011, 5211, 5012]
    assert [one.at for one in bench.checks] == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]


@pytest.mark.req("RFC8445-042", "RFC8445-041")
def test_pairs_beyond_the_limit_are_given_up_evenly():
    own = [[remote(stream, 1, number, f"r{number}") for number in range(count)] for stream, count in enumerate((9, 9, 2))]
    bench = bench_of(*own, config=IceConfig(max_pairs=10))
    counts = [0, 0, 0]
    for pair in bench.agent.pairs:
        counts[(pair.remote.address.port - 5000) // 100] += 1
    assert counts == [4, 4, 2]


def test_a_role_conflict_is_settled_for_all_streams_at_once():
    bench = bench_of([remote(0, 1, 0, "a")], [remote(1, 1, 0, "b")], tiebreakers=(1,), controlling=True)
    bench.request(at("198.51.100.1", 5010), username=f"{OURS.ufrag}:peer0", controlling=True, tiebreaker=2)
    bench.run(0.2)
    assert [one.role for one in bench.checks] == ["controlling", "controlled", "controlled"]
    assert len({pair.priority for pair in bench.agent.pairs}) == 1


@pytest.mark.req("RFC8445-129")
def test_the_tiebreaker_is_the_same_in_all_streams():
    bench = bench_of([remote(0, 1, 0, "a")], [remote(1, 1, 0, "b")])
    bench.run(0.05)
    first, second = bench.checks
    assert first.tiebreaker == second.tiebreaker and first.destination != second.destination


# ------------------------------------------------------------- components


@pytest.mark.req("RFC8445-034")
def test_candidates_of_a_component_are_paired_with_those_of_the_same_one():
    bench = bench_of([remote(0, 1), remote(0, 2)], components=2)
    assert {(pair.local.component, pair.remote.component) for pair in bench.agent.pairs} == {(1, 1), (2, 2)}
    assert len(bench.agent.pairs) == 2


@pytest.mark.parametrize("behind_nats", [False, True])
def test_sessions_of_two_components_and_two_streams_connect_and_carry_data_on_each(behind_nats):
    options = {"streams": 2, "components": (2, 1)}
    if behind_nats:
        options["servers"] = ("stun:198.51.100.53",)
    two = Two(a_options=options, b_options=options, behind_nats=behind_nats)
    two.net.run(until=1.0)
    two.exchange()
    assert two.connect()
    assert two.a.state is two.b.state is IceState.COMPLETED
    for place in ((0, 1), (0, 2), (1, 1)):
        two.node_a.call(two.a.send, b"x%d%d" % place, stream=place[0], component=place[1])
    two.net.run(until=two.net.now + 1.0)
    received = [event for _, event in two.node_b.events if isinstance(event, DataReceived)]
    assert received == [DataReceived(0, 1, b"x01"), DataReceived(0, 2, b"x02"), DataReceived(1, 1, b"x11")]


@pytest.mark.req("RFC8445-101")
def test_an_agent_is_connected_when_every_component_has_a_valid_pair_and_completed_when_each_has_selected():
    bench = bench_of([remote(0, 1), remote(0, 2)])
    assert bench.agent.components == (1,)
    bench = bench_of([remote(0, 1), remote(0, 2)], components=2)
    answer(bench, bench.check)
    assert bench.agent.writable and not bench.agent.is_writable(0, 2) and bench.agent.state is IceState.CHECKING
    bench.run(0.05)
    answer(bench, bench.check)  # the nomination of the first
    assert bench.agent.selected_pair is not None and bench.agent.state is IceState.CHECKING
    assert bench.agent._session.lists[0].state is ChecklistState.RUNNING
    bench.run(0.1)
    answer(bench, bench.check)
    assert bench.agent.is_writable(0, 2) and bench.agent.state is IceState.CONNECTED
    bench.run(0.15)
    answer(bench, bench.check)
    assert [state for _, state in states(bench)] == ["checking", "connected", "completed"]
    assert bench.agent._session.lists[0].state is ChecklistState.COMPLETED
    assert [(event.stream, event.component) for event in bench.heard(PairValidated)] == [(0, 1), (0, 2)]
    assert [(event.stream, event.component) for event in bench.heard(PairSelected)] == [(0, 1), (0, 2)]


@pytest.mark.req("RFC8445-036")
@pytest.mark.parametrize("complete", [True, False])
def test_where_the_peer_has_fewer_components_the_others_are_ignored(complete):
    bench = bench_of([remote(0, 1)], components=2, complete=complete)
    answer(bench, bench.check)
    bench.run(0.05)
    answer(bench, bench.check)
    if not complete:  # it may yet tell some of the second
        assert bench.agent.state is IceState.CHECKING
        bench.call(bench.agent.end_of_candidates)
    assert bench.agent.state is IceState.COMPLETED and not bench.agent.is_writable(0, 2)
    bench.run(3.1)
    assert [socket for _, socket in bench.closed] == [2]
    assert not bench.call(bench.agent.add_remote_candidate, remote(0, 2))


@pytest.mark.req("RFC8445-036")
def test_what_the_peer_tells_of_components_that_the_agent_has_not_is_ignored():
    bench = bench_of([remote(0, 1), remote(0, 2)])
    assert [pair.remote.component for pair in bench.agent.pairs] == [1]
    assert bench.dropped() == {"UNUSABLE_CANDIDATE": 1}


@pytest.mark.req("RFC8445-119", "RFC8445-078")
def test_no_data_of_a_stream_is_sent_when_a_component_of_it_cannot_connect():
    bench = bench_of([remote(0, 1), remote(0, 2)], components=2)
    seen = 0
    while bench.now < 41.0:  # the second is never answered, and the first always
        for check in bench.checks[seen:]:
            seen += 1
            if check.destination.port == 5010:
                answer(bench, check)
        if bench.now < 39.0:
            bench.call(bench.agent.send, b"while there is hope")
        bench.run(bench.now + 0.5)
    assert bench.agent.state is IceState.FAILED
    refuses(bench, bench.agent.send, b"one path alone", match="no pair is valid", error=NotConnected)


def test_a_component_that_loses_its_path_takes_the_agent_back_to_checking():
    bench = bench_of([remote(0, 1), remote(0, 2)], components=2, controlling=False)
    answer(bench, bench.check)
    bench.run(0.05)
    answer(bench, bench.check)
    assert bench.agent.state is IceState.CONNECTED
    bench.call(bench.agent.handle_socket_failed, SocketId(2), GONE)
    assert bench.agent.state is IceState.CHECKING
    assert bench.agent.is_writable(0, 1) and not bench.agent.is_writable(0, 2)


# ------------------------------------------------------------- streams end by themselves


def two_streams() -> Bench:
    """A controlled agent both of whose streams have selected, each with a foundation of its own."""
    bench = bench_of([remote(0, 1, 0, "a")], [remote(1, 1, 0, "b")], controlling=False)
    bench.run(0.05)
    for check in list(bench.checks):
        answer(bench, check)
    for stream in range(2):
        source = at("198.51.100.1", 5010 + 100 * stream)
        bench.request(source, socket=stream + 1, username=f"{OURS.ufrag}:peer{stream}", use_candidate=True)
    assert bench.agent.state is IceState.COMPLETED
    return bench


def test_a_failure_says_which_stream_it_is_about():
    bench = two_streams()
    bench.call(bench.agent.handle_socket_failed, SocketId(2), GONE)
    assert bench.heard(StreamFailed) == [StreamFailed(1)]
    assert bench.agent.failure_of(0) is None
    lost = bench.agent.failure_of(1)
    assert type(lost) is IceFailed and lost.stream == 1
    assert lost.explanation.startswith("the socket in use of stream 1 was lost: ")
    bench.run(60.0)
    assert type(bench.agent.failure_of(0)) is ConsentLost
    silent = bench.agent.failure
    assert type(silent) is ConsentLost and silent.stream == 0
    assert bench.heard(StreamFailed) == [StreamFailed(1), StreamFailed(0)]
    assert str(silent).startswith("the peer of stream 0 no longer consents")
    with pytest.raises(LocalProtocolError, match="there is no stream 2"):
        bench.agent.failure_of(2)
    bench.call(bench.agent.close)
    assert [type(bench.agent.failure_of(stream)) for stream in range(2)] == [IceClosed] * 2


def test_of_several_streams_the_one_that_never_connected_is_told():
    bench = bench_of([remote(0, 1, 0, "a")], [remote(1, 1, 0, "b")])
    bench.run(0.05)
    answer(bench, bench.checks[0])
    bench.run(0.2)
    for check in list(bench.checks):
        if check.destination.port == 5010:
            answer(bench, check)
    bench.run(100.0)
    assert bench.agent.states == (IceState.FAILED, IceState.FAILED)
    assert type(bench.agent.failure_of(0)) is ConsentLost
    assert type(bench.agent.failure) is IceFailed and bench.agent.failure.stream == 1


@pytest.mark.req("RFC8445-045")
def test_a_stream_may_fail_alone_and_the_agent_has_failed_when_all_have():
    bench = two_streams()
    bench.call(bench.agent.handle_socket_failed, SocketId(1), GONE)
    assert bench.agent.states == (IceState.FAILED, IceState.COMPLETED) and bench.agent.state is IceState.CONNECTED
    assert not bench.agent.is_writable(0) and bench.agent.is_writable(1) and bench.agent.failure is None
    bench.call(bench.agent.send, b"the other one lives", stream=1)
    bench.call(bench.agent.handle_socket_failed, SocketId(2), GONE)
    assert bench.agent.states == (IceState.FAILED, IceState.FAILED) and bench.agent.state is IceState.FAILED
    assert bench.agent.failure is not None and bench.is_idle


def test_a_stream_that_has_failed_is_silent_while_others_go_on():
    bench = two_streams()
    for _ in range(20):  # the peer consents on the second one only
        seen = len(bench.checks)
        bench.run(bench.now + 2.0)
        for check in bench.checks[seen:]:
            if check.destination.port >= 5100:
                answer(bench, check)
    assert bench.agent.states == (IceState.FAILED, IceState.COMPLETED)
    assert bench.request(at("198.51.100.1", 5010), username=f"{OURS.ufrag}:peer0") is None
    assert bench.dropped()["CLOSED"] == 1
    assert bench.request(at("198.51.100.1", 5110), socket=2, username=f"{OURS.ufrag}:peer1") is not None


def test_a_stream_that_fails_after_it_has_completed_checks_nothing_more():
    bench = Bench(known=False, streams=2, controlling=False, nomination=Nomination(renominate=True))
    told = [remote(0, 1, 0, "a")], [remote(1, 1, 0, "b")]
    bench.call(bench.agent.set_remote, described(*told, complete=False, options=("ice2", "renomination")))
    bench.run(0.05)
    for check in list(bench.checks):
        answer(bench, check)
    bench.request(at("198.51.100.1", 5010), username=f"{OURS.ufrag}:peer0", use_candidate=True)
    bench.call(bench.agent.add_remote_candidate, remote(0, 1, 1, "c"))
    bench.run(4.05)
    consent = [one for one in bench.checks if one.at > 3.0 and one.destination.port == 5010]
    bench.answer(consent[-1], code=403, theirs=PEERS[0])
    assert bench.agent.states == (IceState.FAILED, IceState.CONNECTED)
    sent = len(bench.requests)
    bench.call(bench.agent.add_remote_candidate, remote(0, 1, 2, "d"))
    bench.run(20.0)
    assert {one.destination.port for one in bench.requests[sent:]} == {5110}


def test_a_stream_that_fails_before_the_others_have_selected_does_not_hold_them_up():
    bench = bench_of([], [remote(1, 1)])
    answer_all(bench, 45.0)
    assert bench.agent.states == (IceState.FAILED, IceState.COMPLETED)
    assert bench.agent.state is IceState.CONNECTED


@pytest.mark.req("RFC8445-105", "RFC8445-106")
@pytest.mark.parametrize("selects_at", [1.0, 45.0])
def test_what_nobody_needs_is_given_up_once_a_stream_has_failed_and_the_others_have_selected(selects_at):
    servers, hosts = (IceServer("stun:203.0.113.53"),), ("192.0.2.1", "192.0.2.2")
    bench = Bench(known=False, streams=2, hosts=hosts, servers=servers, controlling=False)
    bench.call(bench.agent.set_remote, described([], [remote(1, 1)], complete=False))
    bench.call(bench.agent.end_of_candidates, stream=0)  # it fails at 39.5
    bench.run(selects_at)
    source = at("198.51.100.1", 5110)
    while bench.now < 60.0:
        bench.request(source, socket=4, username=f"{OURS.ufrag}:peer1", use_candidate=True)
        for check in bench.checks:
            if check.path == (4, source) and check.at + 1.0 > bench.now:
                answer(bench, check)
        bench.run(bench.now + 0.5)
    assert bench.agent.states == (IceState.FAILED, IceState.COMPLETED)
    assert sorted(socket for _, socket in bench.closed) == [1, 2, 3]
    assert bench.closed[0][0] == pytest.approx(max(39.5, selects_at) + 3.0, abs=1.0)
    assert all(one.at < max(39.5, selects_at) + 1.0 for one in bench.sent if one.destination.host == "203.0.113.53")


def test_silence_of_one_stream_is_silence_of_the_agent_and_so_is_its_end():
    bench = two_streams()
    seen = len(bench.checks)
    while bench.now < 20.0:
        bench.run(bench.now + 1.0)
        for check in bench.checks[seen:]:
            seen += 1
            if check.destination.port >= 5100:
                answer(bench, check)
    assert bench.agent.states == (IceState.DISCONNECTED, IceState.COMPLETED)
    assert bench.agent.state is IceState.DISCONNECTED
    late = [one for one in bench.checks if one.destination.port < 5100][-1]
    answer(bench, late)
    assert bench.agent.states == (IceState.COMPLETED,) * 2 and bench.agent.state is IceState.COMPLETED


def test_data_is_delivered_with_its_stream_and_component_and_from_its_own_peer_only():
    bench = two_streams()
    bench.arrive(2, at("198.51.100.1", 5110), b"hello")
    bench.arrive(1, at("198.51.100.1", 5110), b"hello")  # known to the other stream only
    assert bench.heard(DataReceived) == [DataReceived(1, 1, b"hello")]
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


def test_data_leaves_by_the_path_of_its_component():
    bench = two_streams()
    bench.agent.send(b"first", now=bench.now)
    bench.agent.send(b"second", stream=1, now=bench.now)
    first, second = bench.agent.take_outputs()
    assert first == SendDatagram(SocketId(1), at("198.51.100.1", 5010), b"first")
    assert second == SendDatagram(SocketId(2), at("198.51.100.1", 5110), b"second")
    assert bench.agent.path_of(1, 1) == (2, at("198.51.100.1", 5110))


@pytest.mark.parametrize("place", [(2, 1), (-1, 1), (0, 0), (0, 2), (True, 1), ("0", 1)])
def test_what_is_not_there_is_refused(place):
    bench = two_streams()
    refuses(bench, bench.agent.send, b"x", stream=place[0], component=place[1], match="there is no ")
    for look in (bench.agent.selected_pair_of, bench.agent.is_writable, bench.agent.path_of, bench.agent.data_mtu_of):
        with pytest.raises(LocalProtocolError, match="there is no "):
            look(*place)


def test_a_stream_that_is_not_there_is_refused_by_every_command():
    bench = two_streams()
    refuses(bench, bench.agent.add_remote_candidate, remote(0, 1), stream=2, match="there is no stream 2: they are 0 to 1")
    refuses(bench, bench.agent.end_of_candidates, stream=2, match="there is no stream 2")
    refuses(bench, bench.agent.restart, stream=2, match="there is no stream 2")
    with pytest.raises(LocalProtocolError, match="there is no stream 2"):
        bench.agent.describe(2)


# ------------------------------------------------------------- descriptions


def test_a_description_of_other_streams_is_refused():
    bench = Bench(known=False, streams=2)
    refuses(bench, bench.agent.set_remote, described([]), match="1 streams, and the agent has 2")
    refuses(bench, bench.agent.set_remote, described([])[0], match="1 streams, and the agent has 2")
    refuses(bench, bench.agent.set_remote, described([], [], []), match="3 streams, and the agent has 2")
    one = Bench(known=False)
    one.call(one.agent.set_remote, described([remote(0, 1)]))
    assert len(one.agent.pairs) == 1


def test_a_bad_description_of_one_stream_changes_none():
    bench = Bench(known=False, streams=2)
    bad = SessionDescription((Description("peer0", "p" * 22), Description(OURS.ufrag, OURS.pwd)))
    refuses(bench, bench.agent.set_remote, bad, match="the agent's own description")


@pytest.mark.req("RFC8838-022")
def test_candidates_and_their_end_are_of_one_stream():
    bench = bench_of([], [], complete=False)
    assert bench.call(bench.agent.add_remote_candidate, remote(1, 1), stream=1)
    assert [pair.remote.address.port for pair in bench.agent.pairs] == [5110]
    bench.call(bench.agent.end_of_candidates, stream=0)
    assert not bench.call(bench.agent.add_remote_candidate, remote(0, 1), stream=0)
    assert bench.call(bench.agent.add_remote_candidate, remote(1, 1, 1), stream=1)
    bench.call(bench.agent.end_of_candidates)
    assert not bench.call(bench.agent.add_remote_candidate, remote(1, 1, 2), stream=1)


@pytest.mark.req("RFC8445-123")
def test_the_larger_pacing_holds_for_all_streams():
    bench = Bench(known=False, streams=2, config=IceConfig(ta=0.02))
    peer = [Description(one.ufrag, one.pwd, pacing=30, candidates=(remote(n, 1, 0, f"r{n}"),)) for n, one in enumerate(PEERS[:2])]
    bench.call(bench.agent.set_remote, SessionDescription(tuple(peer)))
    bench.run(0.1)
    assert [one.at for one in bench.checks] == [0.0, 0.03]


@pytest.mark.req("RFC8863-003", "RFC8863-004")
def test_patience_is_a_matter_of_each_stream():
    bench = bench_of([], [remote(1, 1)])
    bench.run(39.4)
    assert bench.agent.states == (IceState.CHECKING, IceState.CHECKING)
    bench.run(39.5)
    assert bench.agent.states == (IceState.FAILED, IceState.FAILED)


@pytest.mark.req("RFC8445-079")
def test_checks_before_the_description_are_followed_in_the_stream_that_they_came_to():
    bench = Bench(known=False, streams=2, controlling=False)
    source = at("203.0.113.5", 6000)
    assert bench.request(source, socket=2, username=f"{OURS.ufrag}:peer1") is not None
    bench.call(bench.agent.set_remote, described([], []))
    assert [(one.socket, one.destination) for one in bench.checks] == [(2, source)]


def test_stats_count_all_streams():
    bench = two_streams()
    bench.call(bench.agent.send, b"one")
    bench.call(bench.agent.send, b"two", stream=1)
    assert (bench.agent.stats.datagrams_sent, bench.agent.stats.bytes_sent) == (2, 6)


def test_closing_closes_all_sockets():
    bench = Bench(known=False, streams=2, components=2)
    bench.call(bench.agent.close)
    assert [socket for _, socket in bench.closed] == [1, 2, 3, 4]
    assert bench.agent.states == (IceState.CLOSED,) * 2
