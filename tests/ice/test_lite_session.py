"""How pairs of a lite agent come into use and go out of it: completion, silence, keepalives, freeing (RFC 8445 8.2, 11)."""

import math

import pytest

from ice._lite import BEFORE_ICE2, NEW, OTHER, PEER, PEER_NEW, LiteBench, Pairing, connected
from ice._session import indication, states
from ice._wire import STRANGER, THEIRS, at, candidate
from sansice.ice import (
    ConsentExpired,
    ConsentLost,
    DataReceived,
    Description,
    IceClosed,
    IceConfig,
    IceFailed,
    IceState,
    NotConnected,
    PairSelected,
    PairValidated,
    SessionDescription,
    StreamFailed,
)
from sansice.machine import LocalProtocolError, SocketId
from sansice.stun import FINGERPRINT, MessageClass, Method, is_stun, short_term_key


def keepalives(bench):
    return [one for one in bench.sent if is_stun(one.data) and one.message.message_class is MessageClass.INDICATION]


def two_components(**options):
    return LiteBench(components=2, **options)


# Coming into use


@pytest.mark.req("RFC8445-103")
def test_pairs_are_selected_when_every_component_has_a_nominated_one():
    bench = two_components()
    bench.nominate(at(PEER.host, 5001), socket=1)
    assert [type(event) for event in bench.heard((PairValidated, PairSelected))] == [PairValidated]
    assert bench.agent.selected_pair is None and bench.agent.state is IceState.CHECKING
    bench.nominate(at(PEER.host, 5002), socket=2)
    assert [event.component for event in bench.heard(PairSelected)] == [1, 2]
    assert bench.agent.state is IceState.COMPLETED
    assert [bench.agent.selected_pair_of(0, one).remote.address.port for one in (1, 2)] == [5001, 5002]


@pytest.mark.req("RFC8445-103")
def test_session_completes_when_the_last_stream_has_its_pairs():
    bench = LiteBench(streams=2, components=(1, 2), known=False)
    tell_both(bench)
    for socket in (1, 2):
        bench.nominate(socket=socket)
        assert bench.agent.state is IceState.CHECKING
    assert bench.agent.states == (IceState.COMPLETED, IceState.CHECKING)
    bench.nominate(socket=3)
    assert bench.agent.states == (IceState.COMPLETED, IceState.COMPLETED)
    assert states(bench) == [(0.0, "checking"), (0.0, "connected"), (0.0, "completed")]


def tell_both(bench, **options):
    stream = Description(THEIRS.ufrag, THEIRS.pwd, options=("ice2",), **options)
    bench.call(bench.agent.set_remote, SessionDescription([stream, stream]))


@pytest.mark.req("RFC8445-120", "RFC8445-119")
def test_nothing_is_sent_until_every_component_of_the_stream_has_a_valid_pair():
    bench = two_components()
    bench.nominate(socket=1)
    assert not bench.agent.is_writable(0, 1) and bench.agent.path_of(0, 1) is None
    with pytest.raises(NotConnected, match="every component"):
        bench.call(bench.agent.send, b"\x80", component=1)
    bench.nominate(socket=2)
    bench.call(bench.agent.send, b"\x80one", component=1)
    bench.call(bench.agent.send, b"\x80two", component=2)
    assert [(one.path, one.data) for one in bench.sent[-2:]] == [((1, PEER), b"\x80one"), ((2, PEER), b"\x80two")]


def test_other_stream_may_send_before_this_one_can():
    bench = LiteBench(streams=2, known=False)
    tell_both(bench)
    bench.nominate(socket=2)
    bench.call(bench.agent.send, b"\x80", stream=1)
    assert not bench.agent.writable and bench.agent.is_writable(1)


@pytest.mark.req("RFC8445-121")
def test_data_is_taken_on_each_candidate_and_told_by_stream_and_component():
    bench = LiteBench(streams=2, components=2, known=False)
    tell_both(bench)
    for socket in range(1, 5):
        bench.check(socket=socket)
        bench.arrive(socket, PEER, b"\x80")
    assert [(event.stream, event.component) for event in bench.heard(DataReceived)] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert bench.agent.stats.datagrams_received == 4 and bench.agent.stats.bytes_received == 4


# Silence


def test_consent_expires_thirty_seconds_after_the_last_check_on_the_pair():
    bench = connected()
    bench.run(until=10.0)
    bench.check()
    bench.run(until=100.0)
    assert states(bench)[3:] == [(22.0, "disconnected"), (40.0, "failed")]
    assert [event for event in bench.events if isinstance(event[1], ConsentExpired)] == [(40.0, ConsentExpired(0, 1, False))]
    assert isinstance(bench.agent.failure, ConsentLost)
    assert bench.is_idle


def test_nothing_is_sent_after_consent_has_expired_though_the_timer_is_late():
    bench = connected()
    bench.now = 30.0
    with pytest.raises(NotConnected, match="consent"):
        bench.call(bench.agent.send, b"\x80")
    sent = len(bench.sent)
    bench.check()
    assert len(bench.sent) == sent and bench.agent.state is IceState.FAILED
    assert bench.dropped() == {"CLOSED": 1}
    with pytest.raises(NotConnected):
        bench.call(bench.agent.send, b"\x80")


@pytest.mark.parametrize("kind", ["data", "indication", "another pair", "wrong password"])
def test_only_a_check_over_the_pair_in_use_is_consent(kind):
    bench = connected(options=BEFORE_ICE2)
    for _ in range(12):
        bench.run(until=bench.now + 2.5)
        if kind == "data":
            bench.arrive(1, PEER, b"\x80")
        elif kind == "indication":
            bench.arrive(1, PEER, indication())
        elif kind == "another pair":
            bench.check(OTHER)
        else:
            bench.check(PEER, key=STRANGER)
    assert bench.now == 30.0 and bench.agent.state is IceState.FAILED


def test_peer_that_is_heard_again_is_connected_again():
    bench = connected()
    bench.run(until=20.0)
    assert bench.agent.state is IceState.DISCONNECTED
    bench.check()
    bench.run(until=31.9)
    assert states(bench)[3:] == [(12.0, "disconnected"), (20.0, "completed")]
    bench.run(until=32.0)
    assert bench.agent.state is IceState.DISCONNECTED


@pytest.mark.parametrize(
    ("config", "quiet_at"),
    [
        (IceConfig(disconnected_after=1.0), 12.0),
        (IceConfig(disconnected_after=20.0), 20.0),
        (IceConfig(consent_interval=10.0), 24.0),
    ],
)
def test_peer_counts_as_disconnected_when_two_of_its_checks_in_a_row_are_missing(config, quiet_at):
    bench = connected(config=config)
    bench.run(until=29.9)
    assert states(bench)[3:] == [(quiet_at, "disconnected")]


def test_one_silent_component_keeps_the_stream_disconnected():
    bench = two_components()
    for socket in (1, 2):
        bench.nominate(socket=socket)
    bench.run(until=13.0)
    bench.check(socket=1)
    assert bench.agent.state is IceState.DISCONNECTED
    bench.check(socket=2)
    assert bench.agent.state is IceState.COMPLETED
    bench.run(until=20.0)
    bench.check(socket=1)
    bench.run(until=43.0)
    assert bench.heard(ConsentExpired) == [ConsentExpired(0, 2, False)]


def test_stream_that_has_failed_leaves_the_others_alone_and_answers_nothing():
    bench = LiteBench(streams=2, known=False)
    tell_both(bench)
    for socket in (1, 2):
        bench.nominate(socket=socket)
    while bench.now < 40.0:
        bench.run(until=bench.now + 5.0)
        bench.check(socket=2)
    assert bench.agent.states == (IceState.FAILED, IceState.COMPLETED)
    assert bench.agent.state is IceState.CONNECTED
    assert bench.check(socket=1) is None and bench.dropped() == {"CLOSED": 1}
    bench.call(bench.agent.send, b"\x80", stream=1)
    with pytest.raises(NotConnected):
        bench.call(bench.agent.send, b"\x80", stream=0)
    assert bench.heard(StreamFailed) == [StreamFailed(0)]
    assert bench.agent.failure is None and bench.agent.failure_of(1) is None
    silent = bench.agent.failure_of(0)
    assert isinstance(silent, ConsentLost) and silent.stream == 0
    assert str(silent).startswith("the peer of stream 0 has sent no check")
    bench.call(bench.agent.close)
    assert [type(bench.agent.failure_of(stream)) for stream in range(2)] == [IceClosed] * 2


def test_of_several_streams_the_one_that_never_connected_is_told():
    bench = LiteBench(streams=2, known=False)
    tell_both(bench)
    bench.nominate(socket=1)
    bench.run(until=100.0)
    assert bench.agent.states == (IceState.FAILED, IceState.FAILED)
    assert isinstance(bench.agent.failure_of(0), ConsentLost)
    assert isinstance(bench.agent.failure, IceFailed) and bench.agent.failure.stream == 1
    with pytest.raises(LocalProtocolError):
        bench.agent.failure_of(2)


@pytest.mark.parametrize(
    "options", [{"config": IceConfig(consent=False)}, {"peer_lite": True, "remotes": (candidate(PEER.host),)}]
)
def test_pair_lasts_where_there_is_no_consent_to_lose(options):
    bench = LiteBench(**options)
    if "peer_lite" not in options:
        bench.nominate()
    bench.run(until=86400.0)
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.send, b"\x80")


# Patience


def test_stream_fails_when_no_check_has_come_for_so_long():
    bench = LiteBench()
    bench.run(until=39.4)
    assert bench.agent.state is IceState.CHECKING
    bench.run(until=39.5)
    assert bench.agent.state is IceState.FAILED
    assert isinstance(bench.agent.failure, IceFailed)
    assert "no check has arrived" in str(bench.agent.failure)


def test_peer_that_still_checks_is_waited_for():
    bench = LiteBench()
    for _ in range(10):
        bench.run(until=bench.now + 30.0)
        bench.check()
    assert bench.agent.state is IceState.CHECKING
    bench.run(until=bench.now + 39.5)
    assert bench.agent.state is IceState.FAILED


def test_agent_that_does_not_know_its_peer_waits_for_ever():
    bench = LiteBench(known=False)
    bench.run(until=86400.0)
    assert bench.agent.state is IceState.NEW and bench.is_idle


# Keepalives


@pytest.mark.req("RFC8445-112", "RFC8445-114")
def test_keepalive_goes_out_on_a_pair_on_which_nothing_was_sent_for_so_long():
    bench = connected(config=IceConfig(consent=False))
    bench.run(until=10.0)
    bench.call(bench.agent.send, b"\x80")
    bench.run(until=56.0)
    assert [one.at for one in keepalives(bench)] == [25.0, 40.0, 55.0]
    message = keepalives(bench)[0].message
    assert message.method is Method.BINDING and len(keepalives(bench)[0].data) == 28 and FINGERPRINT in message
    assert {one.path for one in keepalives(bench)} == {(1, PEER)}


def test_keepalives_go_out_on_the_pairs_of_each_stream_that_has_some():
    bench = LiteBench(streams=2, known=False, config=IceConfig(consent=False))
    tell_both(bench)
    bench.nominate(socket=2)
    bench.run(until=15.0)
    assert [one.path for one in keepalives(bench)] == [(2, PEER)]


def test_answer_to_a_check_over_the_pair_is_as_good_as_a_keepalive():
    bench = connected()
    while bench.now < 100.0:
        bench.run(until=bench.now + 5.0)
        bench.check()
    assert keepalives(bench) == []


def test_answer_elsewhere_is_no_keepalive():
    bench = connected(config=IceConfig(consent=False))
    for _ in range(5):
        bench.run(until=bench.now + 4.0)
        bench.check(OTHER)
    assert [one.at for one in keepalives(bench)] == [15.0]


@pytest.mark.req("RFC8445-115")
def test_keepalives_end_with_the_session():
    bench = connected(config=IceConfig(consent=False))
    bench.call(bench.agent.close)
    bench.run(until=100.0)
    assert keepalives(bench) == [] and bench.is_idle


# Freeing candidates


@pytest.mark.req("RFC8445-107")
def test_candidates_that_are_not_used_are_freed_after_completion():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2", "2001:db8::1"))
    bench.nominate(socket=2)
    bench.run(until=2.9)
    assert bench.closed == []
    bench.run(until=3.0)
    assert bench.closed == [(3.0, 1), (3.0, 3)]
    assert [one.address for one in bench.agent.local_candidates] == [at("192.0.2.1", 4002)]
    assert bench.nominate(socket=2) is not None


def test_candidates_are_kept_while_another_stream_looks_for_its_pair():
    bench = LiteBench(streams=2, hosts=("192.0.2.1", "192.0.2.2"), known=False)
    tell_both(bench)
    bench.nominate(socket=1)
    bench.run(until=5.0)
    assert bench.closed == []
    bench.nominate(socket=3)
    bench.run(until=8.0)
    assert bench.closed == [(8.0, 2), (8.0, 4)]


def test_freeing_can_be_switched_off():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2"), config=IceConfig(free_delay=math.inf, consent=False))
    bench.nominate()
    bench.run(until=1000.0)
    assert bench.closed == []


# Restart


def restarted(**options):
    """A lite agent that is restarted by its application at 10.0, the old pair still in use."""
    bench = connected(**options)
    bench.run(until=10.0)
    bench.check()
    bench.call(bench.agent.restart, credentials=NEW)
    return bench


def tell_new(bench, **options):
    bench.call(bench.agent.set_remote, Description(PEER_NEW.ufrag, PEER_NEW.pwd, options=("ice2",), **options))


def nominate_new(bench, source=OTHER, **options):
    return bench.nominate(source, username=f"{NEW.ufrag}:{PEER_NEW.ufrag}", key=short_term_key(NEW.pwd), **options)


@pytest.mark.req("RFC8445-109", "RFC8445-108")
def test_old_pair_carries_data_until_the_new_generation_has_its_own():
    bench = restarted()
    assert bench.agent.state is IceState.CONNECTED and bench.selected == PEER
    tell_new(bench)
    bench.call(bench.agent.send, b"\x80")
    assert bench.sent[-1].path == (1, PEER)
    bench.arrive(1, PEER, b"\x80 still")
    assert nominate_new(bench).message_class is MessageClass.SUCCESS
    bench.call(bench.agent.send, b"\x80")
    assert bench.sent[-1].path == (1, OTHER) and bench.agent.state is IceState.COMPLETED
    assert len(bench.heard(DataReceived)) == 1
    bench.arrive(1, PEER, b"\x80 late")
    assert len(bench.heard(DataReceived)) == 1


def test_checks_of_the_old_generation_keep_the_old_pair_and_nominate_nothing():
    bench = restarted()
    tell_new(bench)
    for _ in range(10):
        bench.run(until=bench.now + 6.0)
        assert bench.check().message_class is MessageClass.SUCCESS
    assert bench.nominate(OTHER).message_class is MessageClass.SUCCESS
    assert bench.agent.state is IceState.CONNECTED and bench.selected == PEER
    nominate_new(bench)
    assert bench.nominate(PEER).message_class is MessageClass.ERROR


def test_old_pair_that_falls_silent_during_a_restart_is_given_up_but_not_the_session():
    bench = restarted()
    tell_new(bench)
    bench.run(until=40.0)
    assert bench.heard(ConsentExpired) == [ConsentExpired(0, 1, False)]
    assert bench.agent.state is IceState.CHECKING and not bench.agent.writable
    nominate_new(bench)
    assert bench.agent.state is IceState.COMPLETED and bench.selected == OTHER


def test_restart_while_disconnected_is_checking_and_the_old_pair_may_still_expire():
    bench = connected()
    bench.run(until=20.0)
    bench.call(bench.agent.restart, credentials=NEW)
    assert bench.agent.state is IceState.CHECKING and bench.agent.writable
    bench.run(until=30.0)
    assert not bench.agent.writable and bench.agent.state is IceState.CHECKING


def test_old_pair_that_is_quiet_and_back_during_a_restart_leaves_the_agent_connected():
    bench = restarted()
    bench.run(until=23.0)
    assert bench.agent.state is IceState.DISCONNECTED
    bench.check()
    assert bench.agent.state is IceState.CONNECTED


def test_restart_that_leads_nowhere_fails_when_neither_generation_is_heard():
    bench = restarted()
    tell_new(bench)
    bench.run(until=49.4)
    assert bench.agent.state is IceState.CHECKING
    bench.run(until=49.5)
    assert bench.agent.state is IceState.FAILED


def test_restart_brings_a_failed_agent_back():
    bench = connected()
    bench.run(until=30.0)
    assert bench.agent.state is IceState.FAILED
    bench.call(bench.agent.restart, credentials=NEW)
    tell_new(bench)
    nominate_new(bench)
    assert bench.agent.state is IceState.COMPLETED and bench.agent.failure is None
    bench.run(until=60.0)
    assert isinstance(bench.agent.failure, ConsentLost)


def test_restart_that_leads_nowhere_after_silence_is_a_failure_to_connect_and_no_loss_of_consent():
    bench = connected()
    bench.run(until=30.0)
    assert isinstance(bench.agent.failure, ConsentLost)
    bench.call(bench.agent.restart, credentials=NEW)
    tell_new(bench)
    bench.run(until=100.0)
    assert bench.agent.state is IceState.FAILED
    assert isinstance(bench.agent.failure, IceFailed) and not isinstance(bench.agent.failure, ConsentLost)


def test_restart_opens_again_what_was_freed():
    bench = LiteBench(hosts=("192.0.2.1", "2001:db8::1"))
    bench.nominate(socket=2)
    bench.run(until=3.0)
    assert bench.closed == [(3.0, SocketId(1))]
    bench.call(bench.agent.restart, credentials=NEW)
    assert [one.address.host for one in bench.agent.local_description.candidates] == ["192.0.2.1", "2001:db8::1"]
    tell_new(bench)
    nominate_new(bench, at("2001:db8::9"), socket=3)
    bench.run(until=6.0)
    assert bench.closed[1:] == [(6.0, SocketId(2))]


def test_second_restart_before_the_first_has_a_pair_keeps_the_pair_that_carries_data():
    bench = restarted()
    bench.call(bench.agent.restart)
    bench.check()
    bench.call(bench.agent.send, b"\x80")
    assert bench.sent[-1].path == (1, PEER)


def test_restart_before_anything_is_connected_answers_both_generations():
    bench = LiteBench()
    bench.call(bench.agent.restart, credentials=NEW)
    bench.call(bench.agent.restart)
    assert bench.check().message_class is MessageClass.SUCCESS
    assert bench.agent.state is IceState.CHECKING


# In the laboratory


@pytest.mark.parametrize("nat", [None, "port-restricted", "symmetric"])
def test_full_agent_connects_to_a_lite_one_from_behind_any_nat(nat):
    two = Pairing(nat=nat, a_hosts=("10.0.0.2",) if nat else ("192.0.2.1",))
    two.exchange()
    assert two.net.run(until=30.0, when=lambda: two.a.selected_pair is not None and two.b.selected_pair is not None)
    assert two.echo()
    two.net.run(until=two.net.now + 600.0)
    assert two.a.state is two.b.state is IceState.COMPLETED


@pytest.mark.parametrize("shape", [{}, {"components": 2}, {"streams": 3, "components": (2, 1, 3)}])
def test_full_and_lite_agree_on_every_component_of_every_stream(shape):
    two = Pairing(**shape, network={"loss": 0.2})
    two.exchange()
    assert two.net.run(until=60.0, when=lambda: two.a.state is two.b.state is IceState.COMPLETED)
    for stream, count in enumerate(two.b.components):
        for component in range(1, count + 1):
            a, b = two.a.selected_pair_of(stream, component), two.b.selected_pair_of(stream, component)
            assert (a.local.address, a.remote.address) == (b.remote.address, b.local.address)


def test_full_agent_that_was_made_to_be_controlled_controls_a_lite_one():
    two = Pairing(a_controls=False)
    two.exchange()
    assert two.connect()
    assert (two.a.role.value, two.b.role.value) == ("controlling", "controlled")


def test_lite_agent_notices_that_its_peer_is_gone():
    two = Pairing()
    two.exchange()
    assert two.connect()
    two.node_a.call(two.a.close)
    two.net.run(until=two.net.now + 40.0)
    assert two.b.state is IceState.FAILED and isinstance(two.b.failure, ConsentLost)
