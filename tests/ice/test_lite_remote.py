"""What a lite agent is told of its peer: lite with lite (RFC 8445 8.2), the peer's restart (9), trickle (RFC 8838)."""

import pytest

from ice._lite import NEW, OTHER, PEER, PEER_NEW, STRANGER, LiteBench, Pairing, connected
from ice._session import LOST, refuses, states
from ice._wire import OURS, THEIRS, at, candidate
from sansice.ice import (
    CandidatesChosen,
    Credentials,
    DataReceived,
    Description,
    IceConfig,
    IceFailed,
    IceState,
    PairSelected,
    PairValidated,
    Restarted,
    SessionDescription,
)
from sansice.machine import SocketId, Transport
from sansice.stun import MessageClass, short_term_key

V4, V6 = "198.51.100.1", "2001:db8::1"


def lite_peer(**options) -> LiteBench:
    return LiteBench(peer_lite=True, **options)


def same_again(bench, *remotes, lite=True, complete=True):
    bench.tell(*remotes, lite=lite, complete=complete)


# Lite with lite


@pytest.mark.req("RFC8445-104", "RFC8445-031")
@pytest.mark.parametrize("controlling", [True, False])
def test_one_pair_of_each_component_is_selected_without_any_check(controlling):
    bench = lite_peer(controlling=controlling, remotes=(candidate(V4),))
    assert bench.agent.state is IceState.COMPLETED and bench.selected == PEER
    assert bench.agent.role.value == ("controlling" if controlling else "controlled")
    assert bench.heard(CandidatesChosen) == []
    bench.call(bench.agent.send, b"\x80")
    assert [one.path for one in bench.sent] == [(1, PEER)]
    bench.arrive(1, PEER, b"\x80 back")
    bench.arrive(1, STRANGER, b"\x80 strange")
    assert [event.data for event in bench.heard(DataReceived)] == [b"\x80 back"]


@pytest.mark.req("RFC8445-031")
def test_two_lite_agents_keep_their_roles_whoever_has_checked_before_they_knew_each_other():
    bench = LiteBench(controlling=True, known=False, hosts=("192.0.2.1", "2001:db8::2"))
    assert bench.check(STRANGER).message_class is MessageClass.SUCCESS
    assert bench.check(STRANGER, controlling=False).message_class is MessageClass.ERROR
    bench.tell(candidate(V4), candidate(V6), lite=True)
    assert bench.agent.role.value == "controlling"
    assert bench.heard(CandidatesChosen) == [CandidatesChosen(0)]


@pytest.mark.req("RFC8445-031")
@pytest.mark.parametrize("controlling", [True, False])
def test_full_peer_controls_as_soon_as_it_is_known(controlling):
    assert LiteBench(controlling=controlling).agent.role.value == "controlled"


@pytest.mark.req("RFC8445-104")
def test_pairs_are_of_one_component_and_one_family():
    remotes = (candidate(V4, 1, component=1), candidate(V6, 2, component=2), candidate(V4, 3, component=2))
    bench = lite_peer(components=2, remotes=remotes)
    assert [(one.local.component, one.remote.address.port) for one in bench.agent.pairs] == [(1, 1), (2, 3)]


@pytest.mark.req("RFC8445-104")
def test_two_lite_agents_without_a_common_family_fail_when_patience_ends():
    bench = lite_peer(remotes=(candidate(V6),))
    bench.run(until=39.4)
    assert bench.agent.state is IceState.CHECKING and bench.agent.pairs == ()
    bench.run(until=39.5)
    assert isinstance(bench.agent.failure, IceFailed) and "one family" in str(bench.agent.failure)


DUAL = {"hosts": ("192.0.2.1", "2001:db8::2"), "remotes": (candidate(V4), candidate(V6))}


@pytest.mark.req("RFC8445-104")
def test_controlling_agent_that_had_a_choice_tells_it_and_completes_with_the_answer():
    bench = lite_peer(controlling=True, **DUAL)
    assert bench.heard(CandidatesChosen) == [CandidatesChosen(0)]
    assert [one.address.host for one in bench.agent.local_description.candidates] == ["2001:db8::2"]
    assert bench.agent.state is IceState.CONNECTED and bench.agent.selected_pair is None
    bench.call(bench.agent.send, b"\x80")
    assert bench.sent[-1].destination == at(V6)
    same_again(bench, candidate(V6))
    assert bench.agent.state is IceState.COMPLETED and bench.selected == at(V6)
    assert len(bench.heard(PairValidated)) == len(bench.heard(PairSelected)) == len(bench.heard(CandidatesChosen)) == 1


@pytest.mark.req("RFC8445-104")
def test_controlled_agent_follows_what_the_controlling_one_chose():
    bench = lite_peer(controlling=False, **DUAL)
    assert bench.heard(CandidatesChosen) == [] and bench.agent.state is IceState.CONNECTED
    assert bench.agent.pairs[0].remote.address == at(V6)
    same_again(bench, candidate(V4))
    assert bench.agent.state is IceState.COMPLETED and bench.selected == PEER
    assert [one.address.host for one in bench.agent.local_description.candidates] == ["192.0.2.1"]
    bench.arrive(2, at(V6), b"\x80")
    assert bench.heard(DataReceived) == []


def test_choice_waits_for_all_candidates_of_a_peer_that_says_more_will_come():
    bench = lite_peer(remotes=(candidate(V4),), complete=False, hosts=("192.0.2.1", "2001:db8::2"))
    assert bench.agent.pairs == ()
    assert bench.call(bench.agent.add_remote_candidate, candidate(V6))
    bench.call(bench.agent.end_of_candidates)
    assert bench.agent.pairs[0].remote.address == at(V6)


def test_choice_waits_for_the_agents_own_candidates():
    bench = lite_peer(remotes=(candidate(V4),), gather=False)
    assert bench.agent.state is IceState.CHECKING
    bench.call(bench.agent.gather, ["192.0.2.1"])
    assert bench.agent.state is IceState.COMPLETED


def test_candidates_that_were_not_chosen_are_freed():
    bench = lite_peer(controlling=True, **DUAL)
    same_again(bench, candidate(V6))
    bench.run(until=3.0)
    assert bench.closed == [(3.0, SocketId(2))]


@pytest.mark.parametrize("shape", [{}, {"components": 2}, {"streams": 2, "components": (2, 1)}])
def test_two_lite_agents_choose_the_same_pair_before_they_have_told_each_other(shape):
    two = Pairing(
        a_lite=True,
        a_hosts=("192.0.2.1", "192.0.2.2", "2001:db8::1", "fd00::1"),
        b_hosts=("198.51.100.1", "2001:db8:1::1", "2001:db8:2::1", "fd00::2"),
        **shape,
    )
    two.exchange()
    assert two.a.state is two.b.state is IceState.CONNECTED
    chosen = [{(one.local.address, one.remote.address) for one in two.a.pairs}]
    chosen.append({(one.remote.address, one.local.address) for one in two.b.pairs})
    assert chosen[0] == chosen[1] and len(chosen[0]) == sum(two.a.components)
    two.node_b.call(two.b.set_remote, two.a.local_descriptions)
    two.node_a.call(two.a.set_remote, two.b.local_descriptions)
    assert two.a.state is two.b.state is IceState.COMPLETED and two.agree
    assert two.echo()


# The peer's restart


@pytest.mark.req("RFC8445-108")
def test_other_credentials_of_the_peer_restart_the_stream():
    bench = connected()
    bench.call(bench.agent.set_remote, Description(PEER_NEW.ufrag, PEER_NEW.pwd, options=("ice2",)))
    (event,) = bench.heard(Restarted)
    assert (event.stream, event.by_peer) == (0, True)
    assert event.credentials == bench.agent.credentials != OURS
    assert bench.agent.local_description.ufrag == event.credentials.ufrag
    assert states(bench)[-1][1] == "connected" and bench.agent.selected_pair is not None
    answer = bench.nominate(
        OTHER, username=f"{event.credentials.ufrag}:{PEER_NEW.ufrag}", key=short_term_key(event.credentials.pwd)
    )
    assert answer.message_class is MessageClass.SUCCESS and bench.selected == OTHER
    assert bench.agent.state is IceState.COMPLETED


def test_answer_to_a_restart_of_this_side_begins_no_second_one():
    bench = connected()
    assert bench.call(bench.agent.restart, credentials=NEW) == NEW
    bench.call(bench.agent.set_remote, Description(PEER_NEW.ufrag, PEER_NEW.pwd))
    assert [event.by_peer for event in bench.heard(Restarted)] == [False]
    assert bench.agent.credentials == NEW


def test_description_of_before_the_restart_is_refused():
    bench = connected()
    bench.call(bench.agent.restart, credentials=NEW)
    refuses(bench, bench.agent.set_remote, Description(THEIRS.ufrag, THEIRS.pwd), match="before the restart")


@pytest.mark.req("RFC8445-032")
def test_roles_persist_through_a_restart():
    bench = lite_peer(controlling=True, remotes=(candidate(V4),))
    bench.call(bench.agent.restart, credentials=NEW)
    bench.call(bench.agent.set_remote, Description(PEER_NEW.ufrag, PEER_NEW.pwd, lite=True, candidates=[candidate(OTHER.host)]))
    assert bench.agent.role.value == "controlling" and bench.selected == OTHER


def test_peer_may_become_full_by_a_restart_and_then_controls():
    bench = lite_peer(controlling=True, remotes=(candidate(V4),))
    bench.call(bench.agent.set_remote, Description(PEER_NEW.ufrag, PEER_NEW.pwd, options=("ice2",)))
    assert bench.agent.role.value == "controlled"
    assert bench.agent.selected_pair.remote.address == PEER


@pytest.mark.req("RFC8445-110")
@pytest.mark.parametrize("lite", [True, False])
def test_peer_becomes_lite_or_full_only_by_a_restart(lite):
    bench = LiteBench(peer_lite=not lite)
    refuses(bench, bench.agent.set_remote, Description(THEIRS.ufrag, THEIRS.pwd, lite=lite), match="only")


# Trickle


def test_candidates_of_a_full_peer_name_the_pairs_in_whatever_order_they_come():
    early = LiteBench(known=False)
    assert early.call(early.agent.add_remote_candidate, candidate(V4))
    early.tell(complete=False)
    late = LiteBench(complete=False)
    assert late.call(late.agent.add_remote_candidate, candidate(V4))
    for bench in (early, late):
        bench.nominate()
        assert bench.agent.selected_pair.remote == candidate(V4)


@pytest.mark.req("RFC8838-011", "RFC8838-019")
@pytest.mark.parametrize("known", [True, False])
def test_candidates_and_their_end_of_another_generation_are_ignored(known):
    bench = LiteBench(known=known, complete=False)
    bench.call(bench.agent.add_remote_candidate, candidate(V4), ufrag="stale")
    bench.call(bench.agent.end_of_candidates, ufrag="stale")
    bench.call(bench.agent.add_remote_candidate, candidate(OTHER.host), ufrag=THEIRS.ufrag)
    if not known:
        bench.tell(complete=False)
    assert bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.7"))
    assert [one.address.host for one in bench.agent.remote_candidates] == [OTHER.host, "198.51.100.7"]


@pytest.mark.req("RFC8838-022")
@pytest.mark.parametrize("known", [True, False])
def test_candidates_after_their_end_are_ignored(known):
    bench = LiteBench(known=known, complete=False)
    bench.call(bench.agent.end_of_candidates)
    if not known:
        bench.call(bench.agent.add_remote_candidate, candidate(V4))
        bench.tell(complete=False)
    else:
        assert not bench.call(bench.agent.add_remote_candidate, candidate(V4))
    assert bench.agent.remote_candidates == () and bench.dropped() == {"UNUSABLE_CANDIDATE": 1}


@pytest.mark.parametrize(
    "useless",
    [
        candidate(V4, transport=Transport.TCP),
        candidate(V4, component=2),
        candidate(V4, 0),
        candidate("0.0.0.0"),
        candidate("224.0.0.1"),
        candidate("ff02::1"),
    ],
)
def test_candidates_of_no_use_are_counted(useless):
    bench = LiteBench(complete=False)
    assert not bench.call(bench.agent.add_remote_candidate, useless)
    assert bench.agent.remote_candidates == () and bench.dropped() == {"UNUSABLE_CANDIDATE": 1}


def test_ten_thousand_candidates_are_kept_up_to_a_bound():
    remotes = [candidate(f"10.{number // 250}.{number % 250}.1") for number in range(10000)]
    told = LiteBench(known=False, config=IceConfig(max_remote_candidates=50))
    told.tell(*remotes)
    waiting = LiteBench(known=False, config=IceConfig(max_remote_candidates=50))
    for one in remotes:
        waiting.call(waiting.agent.add_remote_candidate, one)
    assert len(waiting.agent._session.streams[0].current.waiting) == 51
    waiting.tell(complete=False)
    for bench in (told, waiting):
        assert len(bench.agent.remote_candidates) == 50
        assert bench.dropped() == {"LIMIT": 9950}


# The caller's mistakes


def test_what_cannot_be_the_peers_description_is_refused():
    bench = LiteBench(known=False)
    own = bench.agent.local_description
    two = SessionDescription([Description("aaaa", "a" * 22), Description("bbbb", "b" * 22)])
    for wrong, match in (
        (own, "own description"),
        (Description("u" * 256, "p" * 22), None),
        ("v=0", "not 'v=0'"),
        (two, "2 streams, there are 1"),
    ):
        if match is not None:
            refuses(bench, bench.agent.set_remote, wrong, match=match)
    long = LiteBench(known=False, gather=False)
    long.agent = type(long.agent)(controlling=False, credentials=Credentials("o" * 256, "p" * 22))
    with pytest.raises(Exception, match="USERNAME above 508"):
        long.agent.set_remote(Description("u" * 256, "q" * 22), now=0.0)


def test_one_wrong_stream_leaves_all_untouched():
    bench = LiteBench(streams=2, known=False)
    good, own = Description("good", "g" * 22), Description(OURS.ufrag, OURS.pwd)
    refuses(bench, bench.agent.set_remote, SessionDescription([good, own]), match="own description")


def test_socket_that_dies_between_two_lite_agents_ends_the_stream():
    bench = lite_peer(remotes=(candidate(V4),))
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    assert bench.agent.state is IceState.FAILED
    assert "interface gone" in str(bench.agent.failure)


def test_socket_that_dies_before_the_choice_is_answered_ends_the_stream_too():
    bench = lite_peer(controlling=True, **DUAL)
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    assert bench.agent.state is IceState.FAILED and bench.agent.pairs == ()


def test_lite_agents_whose_address_changes_use_another_pair_at_once():
    bench = lite_peer(remotes=(candidate(V4),), hosts=("192.0.2.1",))
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert bench.agent.state is IceState.COMPLETED
    assert bench.agent.selected_pair.local.address.host == "192.0.2.2"
