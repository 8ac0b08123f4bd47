"""Who comes to a port unannounced, who is let in, and how long anybody waits."""

import math

import pytest

from ice._lite import check_bytes
from ice._mux import ALICE, BOB, CAROL, PORT, STRANGER, WRONG, client, credentials
from ice._reception import HASTY, ReceptionBench
from ice._wire import at, candidate
from sansice.ice import (
    Admission,
    AdmissionFailed,
    Candidate,
    Closed,
    Credentials,
    Description,
    GatheringOptions,
    IceConfig,
    IceReception,
    IceRole,
    IceState,
    LiteAgent,
    MuxConfig,
    MuxState,
    Nomination,
    PairSelected,
    PeerAdmitted,
    PeerArrived,
    ReceptionLimits,
    RewriteMode,
    RewriteRule,
    UnknownUfrag,
)
from sansice.machine import (
    CloseSocket,
    IcmpError,
    LocalProtocolError,
    QueryId,
    Resolve,
    ResolveError,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import PENDING, Listener, ServerReady, frame_rfc4571, short_term_key

NAMED = Candidate.from_sdp("candidate:2 1 udp 2130706431 somewhere.example.org 5000 typ host")


def accept(bench):
    return bench.call(bench.reception.accept)


# ---------------------------------------------------------------- those who come


@pytest.mark.parametrize("lite", [True, False])
def test_the_first_check_of_a_stranger_with_the_password_is_answered(lite):
    bench = ReceptionBench(lite=lite)
    assert bench.is_accepted(1, ALICE)
    (admitted,) = bench.heard(PeerAdmitted)
    assert (admitted.ufrag, admitted.remote_ufrag) == (credentials(1).ufrag, client(1).ufrag)
    agent = bench.reception.agent(admitted.agent)
    assert isinstance(agent, LiteAgent) is lite
    assert agent.role is IceRole.CONTROLLED
    assert bench.counted()["admitted"] == 1
    assert bench.dropped() == {}


def test_who_has_connected_is_given_out_once_in_the_order_of_coming():
    bench = ReceptionBench()
    for number, source in ((1, ALICE), (2, BOB)):
        assert bench.is_accepted(number, source)
    first, second = bench.heard(PeerArrived)
    assert bench.reception.waiting == 2
    assert accept(bench) == first.agent
    bench.arrive(ALICE, b"\x80 data")
    assert bench.got(first.agent) == [b"\x80 data"]
    assert accept(bench) == second.agent
    assert accept(bench) is None
    assert bench.reception.waiting == 0
    assert bench.counted() == {"admitted": 2, "accepted": 2}


def test_who_has_not_connected_is_not_given_out():
    bench = ReceptionBench()
    assert bench.is_accepted(1, ALICE, nominate=False)
    assert (bench.heard(PeerArrived), accept(bench)) == ([], None)
    assert bench.is_accepted(1, ALICE)
    (arrived,) = bench.heard(PeerArrived)
    assert bench.is_accepted(1, BOB)  # another pair of the same
    assert bench.heard(PeerArrived) == [arrived]
    assert accept(bench) == arrived.agent


def test_a_wrong_password_makes_nothing_and_the_next_check_of_another_is_asked_about_anew():
    bench = ReceptionBench()
    for _ in range(20):
        for source in (STRANGER, BOB):
            assert bench.check(1, source, key=WRONG) is None
    assert bench.reception.mux.agents == ()
    assert bench.heard(PeerAdmitted) == []
    assert bench.is_accepted(1, ALICE)  # who is in one network with one of the others
    assert bench.counted() == {"admitted": 1, "forged": 2}
    assert bench.dropped() == {"BAD_INTEGRITY": 38}


def test_whoever_knows_a_password_does_not_count_for_his_network():
    bench = ReceptionBench(mux=MuxConfig(max_unknown_per_prefix=2))
    for number in range(1, 8):
        assert bench.is_accepted(number, at("198.51.100.9", 5000 + number))
    assert bench.counted() == {"admitted": 7}
    same = Credentials("libp2p+webrtc+v1/1", "libp2p+webrtc+v1/1abcdef")
    bench = ReceptionBench(
        mux=MuxConfig(max_unknown_per_prefix=2), admit=lambda one: same.pwd, config=IceConfig(shared_credentials=True)
    )
    for number in range(1, 8):
        ours = Credentials(f"{same.ufrag}{number}", same.pwd)
        bench.check(number, at("198.51.100.9", 5000 + number), ours=ours)
    assert bench.counted() == {"admitted": 2}  # where anybody's word is a password, it proves nothing


def test_who_is_not_wanted_is_asked_about_again_with_the_first_retransmission_and_not_with_each_packet_of_a_flood():
    asked = []
    bench = ReceptionBench(admit=asked.append)
    for millisecond in range(500):
        bench.now = millisecond / 1000
        assert bench.check(1, ALICE) is None
    assert [one.ufrag for one in asked] == [credentials(1).ufrag] * 2
    assert bench.counted() == {"refused": 2}


def test_who_comes_before_the_signalling_that_tells_of_him_is_let_in_with_his_next_check():
    known = {}
    bench = ReceptionBench(admit=lambda stranger: known.get(stranger.ufrag))
    assert bench.check(1, ALICE) is None
    known[credentials(1).ufrag] = credentials(1).pwd
    bench.now = 0.5  # the RTO of a check (RFC 8445 14.3)
    assert bench.is_accepted(1, ALICE)


def test_clients_of_one_network_that_all_come_too_early_do_not_use_up_its_share_by_asking_again():
    known = {}
    bench = ReceptionBench(admit=lambda stranger: known.get(stranger.ufrag))
    for half in range(10):
        bench.now = half / 2
        for number in range(1, 9):
            assert bench.check(number, at("198.51.100.7", 5000 + number)) is None
    known.update({credentials(number).ufrag: credentials(number).pwd for number in range(1, 9)})
    bench.now = 5.0
    for number in range(1, 9):
        assert bench.is_accepted(number, at("198.51.100.7", 5000 + number))


def test_who_was_refused_by_name_is_not_asked_about_for_its_time():
    asked = []
    bench = ReceptionBench(admit=asked.append)
    bench.call(bench.reception.refuse, credentials(1).ufrag)
    for now in (1.0, MuxConfig().refused_timeout - 0.1):
        bench.now = now
        assert bench.check(1, ALICE) is None
    assert asked == []


@pytest.mark.parametrize("lite", [True, False])
def test_a_name_whose_connection_has_closed_lets_in_the_next_one_at_once_and_the_last_one_no_more(lite):
    bench = ReceptionBench(lite=lite)
    assert bench.is_accepted(1, ALICE)
    (first,) = bench.heard(PeerAdmitted)
    bench.call(bench.reception.mux.remove, first.agent)
    for second in range(0, 30, 5):  # it is not told, and has the right password
        bench.now = second
        assert bench.check(1, ALICE) is None
        assert bench.check(1, CAROL, nominate=False) is None
    assert bench.heard(PeerAdmitted) == [first] and bench.reception.mux.agents == ()
    assert bench.is_accepted(1, BOB, theirs="another")
    assert [one.remote_ufrag for one in bench.heard(PeerAdmitted)] == [client(1).ufrag, "another"]


def test_an_admit_that_is_no_function_is_refused_at_once():
    for wrong in ("lobby", {"lobby": "p" * 22}):
        with pytest.raises(LocalProtocolError, match="admit: a function"):
            IceReception(admit=wrong)


def test_without_a_function_nobody_comes_in_and_nothing_is_remembered():
    bench = ReceptionBench(admit=None)
    assert bench.check(1, ALICE) is None
    assert bench.heard(UnknownUfrag, AdmissionFailed) == []
    assert bench.dropped() == {"LIMIT": 1}
    assert bench.counted() == {}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ZeroDivisionError("on purpose"), "ZeroDivisionError: on purpose"),
        ("short", "ValueError: ice-pwd"),
        (
            Admission(credentials(1).pwd, "p" * 22).pwd.encode(),
            "ValueError: a password, an Admission, PENDING or None, not bytes",
        ),
    ],
)
def test_a_function_that_fails_fails_for_one_stranger(answer, reason):
    def admit(stranger):
        if stranger.ufrag == credentials(2).ufrag:
            return credentials(2).pwd
        if isinstance(answer, Exception):
            raise answer
        return answer

    bench = ReceptionBench(admit=admit)
    assert bench.check(1, ALICE) is None
    (failed,) = bench.heard(AdmissionFailed)
    assert (failed.ufrag, failed.source) == (credentials(1).ufrag, ALICE)
    assert failed.reason.startswith(reason)
    assert bench.is_accepted(2, BOB)
    assert bench.counted() == {"admitted": 1, "refused": 1}


def test_a_full_agent_needs_the_peers_password():
    bench = ReceptionBench(admit=lambda stranger: credentials(1).pwd, lite=False)
    assert bench.check(1, ALICE) is None
    (failed,) = bench.heard(AdmissionFailed)
    assert "remote_pwd" in failed.reason


def test_own_credentials_come_back_only_where_that_is_meant():
    same = Credentials("libp2p+webrtc+v1/abcdefgh", "libp2p+webrtc+v1/abcdefgh")
    for shared in (False, True):
        bench = ReceptionBench(
            admit=lambda stranger: Admission(stranger.ufrag, stranger.remote_ufrag), config=IceConfig(shared_credentials=shared)
        )
        answer = bench.check(1, ALICE, ours=same, theirs=same.ufrag)
        assert (answer is not None) is shared
        assert [len(bench.heard(kind)) for kind in (AdmissionFailed, PeerArrived)] == [not shared, shared]


# ---------------------------------------------------------------- answers that come later


def test_the_answer_may_come_later_and_is_for_that_very_check():
    bench = ReceptionBench(admit=lambda stranger: PENDING)
    assert bench.check(1, ALICE) is None
    (stranger,) = bench.heard(UnknownUfrag)
    bench.now = 9.0
    assert bench.call(bench.reception.admit, stranger.ufrag, credentials(1).pwd)
    assert len(bench.sent) == 1
    assert len(bench.heard(PeerArrived)) == 1
    assert not bench.call(bench.reception.admit, stranger.ufrag, credentials(1).pwd)


def test_an_answer_that_is_late_or_wrong_lets_nobody_in():
    bench = ReceptionBench(admit=lambda stranger: PENDING)
    bench.check(1, ALICE)
    assert not bench.call(bench.reception.admit, credentials(1).ufrag, "x" * 22)
    assert bench.counted() == {"forged": 1}
    bench.call(bench.reception.refuse, credentials(3).ufrag)  # of whom nothing is known, like of the first one now
    assert bench.reception._strangers == {}
    bench.check(1, BOB)
    bench.now = 10.0
    assert not bench.call(bench.reception.admit, credentials(1).ufrag, credentials(1).pwd)
    assert bench.counted() == {"forged": 1}
    bench.check(1, ALICE)
    with pytest.raises(LocalProtocolError, match="admit"):
        bench.call(bench.reception.admit, credentials(1).ufrag, "short")
    assert bench.call(bench.reception.admit, credentials(1).ufrag, Admission(credentials(1).pwd))


def test_who_is_refused_later_is_refused():
    bench = ReceptionBench(admit=lambda stranger: PENDING)
    bench.check(1, ALICE)
    for number in (1, 1, 2):
        bench.call(bench.reception.refuse, credentials(number).ufrag)
    for number in (1, 2):
        bench.check(number, ALICE)
    assert len(bench.heard(UnknownUfrag)) == 1
    assert bench.counted() == {"refused": 1}


def test_no_more_answers_are_outstanding_than_the_mux_has_checks():
    config = MuxConfig(max_unknown=2, unknown_timeout=1.0)
    bench = ReceptionBench(admit=lambda stranger: PENDING, mux=config)
    for number in range(1, 9):
        bench.now = number * 2.0
        bench.check(number, ALICE)
    assert len(bench.heard(UnknownUfrag)) == 8
    assert len(bench.reception._strangers) == 2


def test_who_has_come_again_is_answered_before_those_whose_checks_are_forgotten():
    config = MuxConfig(max_unknown=2, unknown_timeout=10.0)
    bench = ReceptionBench(admit=lambda stranger: PENDING, mux=config)
    for now, number, source in ((0.0, 1, ALICE), (5.0, 2, BOB), (10.0, 1, ALICE), (15.0, 3, CAROL)):
        bench.now = now
        bench.check(number, source)
    assert len(bench.heard(UnknownUfrag)) == 4
    answers = [bench.call(bench.reception.admit, credentials(number).ufrag, credentials(number).pwd) for number in (1, 2, 3)]
    assert answers == [True, False, True]


# ---------------------------------------------------------------- bounds and times


def test_who_does_not_connect_in_time_is_closed():
    bench = ReceptionBench(limits=HASTY)
    assert bench.is_accepted(1, ALICE, nominate=False)
    assert bench.reception.deadline() == HASTY.arrival_timeout
    bench.run(HASTY.arrival_timeout)
    assert bench.reception.mux.agents == ()
    assert bench.counted() == {"admitted": 1, "not_connected": 1}


def test_who_is_not_accepted_in_time_is_closed():
    bench = ReceptionBench(limits=HASTY)
    bench.now = 1.0
    assert bench.is_accepted(1, ALICE)
    assert bench.reception.deadline() == 1.0 + HASTY.accept_timeout
    soon = ReceptionBench(limits=ReceptionLimits(accept_timeout=0.5))  # sooner than anything that the agent has to do
    assert soon.is_accepted(1, ALICE)
    assert soon.reception.deadline() == 0.5
    soon.run(0.5)
    assert soon.counted() == {"admitted": 1, "not_accepted": 1}
    bench.now = 1.0 + HASTY.accept_timeout
    assert accept(bench) is None  # even where nobody has called the timer
    assert bench.reception.mux.agents == ()
    assert bench.counted() == {"admitted": 1, "not_accepted": 1}


def test_too_many_who_wait_and_too_many_who_arrive_are_turned_away():
    bench = ReceptionBench(limits=HASTY)
    for number, source in ((1, ALICE), (2, BOB)):
        assert bench.is_accepted(number, source)
    bench.check(3, CAROL)
    assert (bench.reception.waiting, len(bench.reception.mux.agents)) == (2, 2)
    assert bench.counted() == {"admitted": 3, "not_accepted": 1}
    for number in (4, 5, 6):
        bench.check(number, CAROL, nominate=False)
    assert bench.counted() == {"admitted": 5, "not_accepted": 1}
    assert bench.dropped() == {"LIMIT": 1}
    bench.run(HASTY.arrival_timeout)
    assert bench.is_accepted(6, CAROL)  # it was not refused, there was only no room


def test_who_moves_to_a_better_pair_before_being_accepted_waits_on_and_has_arrived_once():
    bench = ReceptionBench(PORT, at("192.0.2.2", 4000), limits=HASTY)
    assert bench.is_accepted(1, ALICE, to=at("192.0.2.2", 4000))
    (arrived,) = bench.heard(PeerArrived)
    assert bench.is_accepted(1, ALICE, to=PORT)
    assert len([one for one in bench.told(arrived.agent) if isinstance(one, PairSelected)]) == 2
    assert bench.heard(PeerArrived) == [arrived]
    assert accept(bench) == arrived.agent


@pytest.mark.parametrize("nominate", [True, False])
def test_who_is_closed_before_being_accepted_is_not_given_out(nominate):
    bench = ReceptionBench(limits=HASTY)
    bench.is_accepted(1, ALICE, nominate=nominate)
    (admitted,) = bench.heard(PeerAdmitted)
    bench.call(bench.reception.tell, admitted.agent, bench.reception.agent(admitted.agent).close)
    assert bench.counted() == {"admitted": 1, ("not_accepted" if nominate else "not_connected"): 1}
    assert accept(bench) is None and bench.reception.deadline() == math.inf


@pytest.mark.parametrize("nominate", [True, False])
def test_who_fails_before_being_accepted_is_closed(nominate):
    bench = ReceptionBench(limits=HASTY)
    bench.is_accepted(1, ALICE, nominate=nominate)
    (admitted,) = bench.heard(PeerAdmitted)
    bench.call(bench.mux.handle_socket_failed, bench.sockets[PORT], SocketError(SocketErrorKind.OTHER, "gone"))
    bench.run(0.0 if nominate else HASTY.arrival_timeout)  # without a pair it has not lost anything yet
    assert bench.reception.mux.agents == ()
    assert bench.reception.waiting == 0
    assert bench.counted() == {"admitted": 1, ("not_accepted" if nominate else "not_connected"): 1}
    assert isinstance(bench.told(admitted.agent)[-1], Closed)


def test_a_connection_that_was_accepted_is_the_applications_to_close():
    bench = ReceptionBench(limits=HASTY)
    assert bench.is_accepted(1, ALICE)
    name = accept(bench)
    bench.run(20.0)
    assert bench.reception.mux.agents == (name,)
    agent = bench.reception.agent(name)
    bench.call(bench.reception.tell, name, agent.close)
    assert bench.reception.mux.agents == ()
    bench.call(bench.reception.tell, name, agent.close)
    with pytest.raises(LocalProtocolError):
        bench.reception.agent(name)


# ---------------------------------------------------------------- those who are announced


def test_an_announced_peer_has_an_agent_before_it_comes():
    bench = ReceptionBench(admit=None)
    name = bench.call(bench.reception.open, credentials=credentials(1))
    agent = bench.reception.agent(name)
    bench.call(bench.reception.tell, name, agent.set_remote, client(1))
    assert bench.is_accepted(1, ALICE)
    bench.call(bench.reception.tell, name, agent.send, b"\x80 hello")
    assert bench.sent[-1].data == b"\x80 hello"
    assert accept(bench) is None
    assert bench.counted() == {}


def test_full_agents_control_where_that_is_asked_for():
    bench = ReceptionBench(lite=False, nomination=Nomination(renominate=True), servers=["stun:192.0.2.9"])
    name = bench.call(bench.reception.open, streams=2, controlling=True)
    agent = bench.reception.agent(name)
    assert agent.role is IceRole.CONTROLLING
    assert agent.components == (1, 1)
    assert bench.sent  # it asks the server


@pytest.mark.parametrize("lite", [True, False])
def test_what_cannot_be_opened_is_refused_and_draws_nothing(lite):
    drawn = []

    def entropy(count):
        drawn.append(count)
        return bytes(count)

    bench = ReceptionBench(entropy=entropy, lite=lite)
    own = Credentials("same", "p" * 22)
    name = bench.call(bench.reception.open, credentials=own)
    drawn.clear()
    for given in (own, [own]):
        with pytest.raises(LocalProtocolError, match="same is taken"):
            bench.call(bench.reception.open, credentials=given)
    bench.call(bench.reception.close)
    with pytest.raises(LocalProtocolError, match="closed"):
        bench.call(bench.reception.open)
    with pytest.raises(LocalProtocolError, match="not started"):
        IceReception().open(now=0.0)
    assert drawn == []
    assert name


def test_lite_agents_ask_nobody_and_nominate_nothing():
    for wrong in ({"servers": ["stun:192.0.2.9"]}, {"nomination": Nomination()}):
        with pytest.raises(LocalProtocolError, match="lite=False"):
            IceReception(**wrong)


# ---------------------------------------------------------------- the port


def test_candidates_of_all_are_those_of_the_port_and_outside_of_it():
    outside = GatheringOptions(rewrite=[RewriteRule("203.0.113.80", local="192.0.2.1")])
    bench = ReceptionBench(PORT, at("2001:db8::1", 4000), gathering=outside, started=True)
    name = bench.call(bench.reception.open)
    told = {str(one.address) for one in bench.reception.local_candidates}
    assert told == {"203.0.113.80:4000", "[2001:db8::1]:4000"} | ({str(PORT)} & told)
    assert told == {str(one.address) for one in bench.reception.agent(name).local_candidates}
    assert IceReception().local_candidates == ()


def test_starting_and_closing_open_and_close_the_port():
    bench = ReceptionBench()
    assert len(bench.heard(ServerReady)) == 1
    assert bench.is_accepted(1, ALICE)
    assert bench.is_accepted(2, BOB, nominate=False)
    bench.call(bench.reception.close)
    assert bench.closed == [bench.sockets[PORT]]
    assert bench.reception.mux.state is MuxState.CLOSED
    assert bench.reception.deadline() == math.inf
    assert not bench.reception.lingers
    bench.call(bench.reception.close)
    assert bench.counted() == {"admitted": 2}  # that others were not accepted says nothing about them


def test_whoever_is_still_to_be_answered_when_the_port_closes_is_forgotten():
    bench = ReceptionBench(admit=lambda stranger: PENDING)
    bench.check(1, ALICE)
    bench.call(bench.reception.close)
    bench.call(bench.reception.refuse, credentials(1).ufrag)
    assert bench.counted() == {}


@pytest.mark.parametrize("lite", [True, False])
def test_where_only_tcp_is_listened_at_nobody_opens_a_port_for_udp_and_full_agents_connect_as_they_are_told_to(lite):
    bench = ReceptionBench(TCP_PORT, lite=lite, gathering=GatheringOptions(tcp=("active",)))
    name = bench.call(bench.reception.open)
    kinds = [one.tcp_type.value for one in bench.reception.agent(name).local_candidates]
    assert kinds == (["passive"] if lite else ["active", "passive"])
    assert bench.opens == []


def test_what_agents_open_and_ask_goes_through_to_the_driver_and_back():
    bench = ReceptionBench(lite=False)
    name = bench.call(bench.reception.open)
    agent = bench.reception.agent(name)
    named = Description("peer", "p" * 22, candidates=[candidate("192.0.2.7"), NAMED])
    bench.call(bench.reception.tell, name, agent.set_remote, named)
    (query,) = [one for one in bench.others if isinstance(one, Resolve)][:1]
    bench.call(bench.mux.handle_resolved, query.query, ResolveError.NOT_FOUND)
    bench.call(bench.mux.handle_resolved, QueryId(99), ResolveError.NOT_FOUND)
    bench.call(bench.mux.handle_icmp, bench.sockets[PORT], BOB, IcmpError(3, 3))
    bench.call(bench.mux.handle_stream_data, SocketId(99), b"nobody's")
    bench.call(bench.mux.handle_stream_sent, SocketId(99), 0)
    assert agent.state is IceState.CHECKING
    assert not any(isinstance(one, CloseSocket) for one in bench.others)


TCP_PORT = Listener(Transport.TCP, PORT)


@pytest.mark.parametrize(
    ("listen", "given", "candidates"),
    [
        ((PORT,), {}, [Transport.UDP]),
        ((PORT, TCP_PORT), {}, [Transport.UDP, Transport.TCP]),
        ((TCP_PORT,), {}, [Transport.TCP]),
        ((PORT, TCP_PORT), {"udp": False, "tcp": ("passive",)}, [Transport.TCP]),
        ((PORT,), {"tcp": ("passive",)}, [Transport.UDP]),  # a listener of each agent's own is not known before
    ],
)
def test_candidates_are_those_of_what_is_listened_at(listen, given, candidates):
    bench = ReceptionBench(*listen, gathering=GatheringOptions(**given))
    assert [one.transport for one in bench.reception.local_candidates] == candidates
    assert {one.address for one in bench.reception.local_candidates} == {PORT}


@pytest.mark.parametrize("lite", [True, False])
def test_each_of_several_ports_is_a_candidate_of_every_connection(lite):
    ports = [at("192.0.2.1", 4000), at("192.0.2.1", 4001), at("2001:db8::1", 4000)]
    over_tcp = [at("192.0.2.1", 5000), at("192.0.2.1", 5001)]
    bench = ReceptionBench(*ports, *[Listener(Transport.TCP, port) for port in over_tcp], lite=lite)
    candidates = bench.reception.agent(bench.call(bench.reception.open)).local_candidates
    told = sorted((one.transport.value, one.address) for one in candidates)
    assert told == sorted([*(("udp", port) for port in ports), *(("tcp", port) for port in over_tcp)])
    assert told == sorted((one.transport.value, one.address) for one in bench.reception.local_candidates)
    assert len({one.priority for one in candidates}) == 5
    assert bench.opens == []  # no agent has a socket of its own
    for number, port in enumerate(ports, 1):
        assert bench.is_accepted(number, at("2001:db8::9", 5000) if port.is_ipv6 else ALICE, to=port)
        assert bench.sent[-1].socket == bench.sockets[port]


def test_ports_beyond_those_that_have_opened_are_no_candidates():
    bench = ReceptionBench(PORT, at("192.0.2.1", 4001), at("192.0.2.1", 4002))
    bench.call(bench.reception.handle_socket_failed, bench.sockets[at("192.0.2.1", 4001)], SocketError(SocketErrorKind.OTHER))
    assert [one.address.port for one in bench.reception.local_candidates] == [4000, 4002]
    assert {one.foundation for one in bench.reception.local_candidates} == {"1"}


def test_transports_of_different_addresses_open_nothing_that_is_not_listened_at():
    bench = ReceptionBench(PORT, Listener(Transport.TCP, at("192.0.2.2", 4000)), lite=False)
    bench.call(bench.reception.open)
    assert bench.opens == []
    told = [(one.transport.value, one.address.host) for one in bench.reception.local_candidates]
    assert told == [("udp", "192.0.2.1"), ("tcp", "192.0.2.2")]


def test_who_listens_at_a_link_local_address_beside_others_means_it():
    near = at("fe80::1%eth0", 4000)
    bench = ReceptionBench(PORT, near)
    name = bench.call(bench.reception.open)
    assert {one.address for one in bench.reception.agent(name).local_candidates} == {PORT, near}
    assert {one.address for one in bench.reception.local_candidates} == {PORT, near}
    bench = ReceptionBench(PORT, near, gathering=GatheringOptions(link_local=False))
    assert [one.address for one in bench.reception.local_candidates] == [PORT]


@pytest.mark.parametrize("lite", [True, False])
def test_as_many_ports_are_candidates_as_are_listened_at(lite):
    ports = [at("192.0.2.1", 4000 + number) for number in range(5)]
    bench = ReceptionBench(*ports, lite=lite, config=IceConfig(max_host_addresses=2))
    name = bench.call(bench.reception.open)
    assert [one.address for one in bench.reception.agent(name).local_candidates] == ports


@pytest.mark.parametrize("mode", RewriteMode)
@pytest.mark.parametrize("lite", [True, False])
def test_a_1_to_1_nat_is_told_of_at_every_port(lite, mode):
    ports = [PORT, at("192.0.2.1", 4001)]
    outside = GatheringOptions(rewrite=[RewriteRule("203.0.113.9", mode=mode)])
    bench = ReceptionBench(*ports, lite=lite, gathering=outside)
    candidates = bench.reception.agent(bench.call(bench.reception.open)).local_candidates
    public = {at("203.0.113.9", port.port) for port in ports}
    assert {one.address for one in candidates} == (public if lite or mode is RewriteMode.REPLACE else public | set(ports))
    assert len({one.priority for one in candidates}) == len(candidates)
    assert len({(one.foundation, one.address.host) for one in candidates}) == len({one.foundation for one in candidates})


def test_a_1_to_1_nat_is_told_of_over_udp_and_tcp():
    outside = GatheringOptions(rewrite=[RewriteRule("203.0.113.9")])
    bench = ReceptionBench(PORT, TCP_PORT, gathering=outside)
    told = [(one.transport, one.address) for one in bench.reception.local_candidates]
    assert told == [(Transport.UDP, at("203.0.113.9", PORT.port)), (Transport.TCP, at("203.0.113.9", PORT.port))]


def test_who_comes_by_itself_over_tcp_is_answered_over_its_connection():
    bench = ReceptionBench(PORT, TCP_PORT)
    [listener] = [one.id for one in bench.reception.mux._listening.sockets.values() if one.listener == TCP_PORT]
    check = check_bytes(1, ours=credentials(1), theirs=client(1).ufrag, use_candidate=True)
    bench.call(bench.reception.handle_accepted, listener, SocketId(-1), ALICE)
    bench.call(bench.reception.handle_stream_data, SocketId(-1), frame_rfc4571(check))
    [answer] = [one for one in bench.others if isinstance(one, SendStream)]
    assert answer.socket == -1 and answer.data[2:4] == b"\1\1"
    assert bench.heard(PeerArrived) and bench.counted() == {"admitted": 1}
    bench.call(bench.reception.handle_accepted, listener, SocketId(-2), BOB)
    bench.call(
        bench.reception.handle_stream_data,
        SocketId(-2),
        frame_rfc4571(check_bytes(2, ours=credentials(2), theirs="x" * 4, key=WRONG)),
    )
    assert -2 in bench.closed and -1 not in bench.closed
    assert bench.counted() == {"admitted": 1, "forged": 1}


def test_passwords_are_in_no_repr():
    admission = Admission(credentials(1).pwd, client(1).pwd)
    assert credentials(1).pwd not in repr(admission)
    assert client(1).pwd not in repr(admission)
    assert short_term_key(credentials(1).pwd)
