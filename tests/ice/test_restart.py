"""Restarts: new credentials, while what is in use stays until the next generation has selected (RFC 8445 9)."""

import zlib

import pytest

from ice._session import LOST, PEER, Two, checking, refuses, selected, states, validated
from ice._wire import OURS, THEIRS, Bench, at, candidate
from sansice.ice import (
    CandidateGathered,
    ConsentExpired,
    ConsentLost,
    Credentials,
    DataReceived,
    Description,
    GatheringCompleted,
    GatheringState,
    IceConfig,
    IceRole,
    IceState,
    PairSelected,
    Restarted,
    SessionDescription,
)
from sansice.ice._agent._component import MAX_FORMER
from sansice.ice._agent._session import nomination_timer
from sansice.machine import SocketId
from sansice.stun import ICE_CONTROLLED, ICE_CONTROLLING, USERNAME, MessageClass, short_term_key

OURS_2 = Credentials("ours2", "2" * 22)
THEIRS_2 = Credentials("their2", "t" * 22)
PEER_2 = at("198.51.100.9", 5009)  # where the peer's next generation is
PEER_2_C = candidate(PEER_2.host, PEER_2.port, foundation="r9")


def description(credentials=THEIRS_2, *candidates, **options):
    """Of the peer."""
    return Description(credentials.ufrag, credentials.pwd, candidates=candidates, **{"options": ("ice2",), **options})


def restarted(bench=None, **options) -> Bench:
    """An agent that was connected and has restarted; the peer has not answered yet."""
    bench = bench or selected(**options)
    bench.call(bench.agent.restart, credentials=OURS_2)
    return bench


def answered(bench=None, **options) -> Bench:
    """An agent that has restarted, and whose peer has answered that; checks of the next generation begin."""
    bench = restarted(bench, **options)
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    return bench


def checks_of(bench, credentials):
    """The agent's checks and consent checks that are written for a generation of the peer's."""
    return [one for one in bench.checks if one.message.get(USERNAME).partition(":")[0] == credentials.ufrag]


def is_success(message):
    return message is not None and message.message_class is MessageClass.SUCCESS


def finish(bench) -> None:
    """Have the next generation select, at most 0.1 s later; a controlled agent is nominated."""
    bench.run(bench.now + 0.05)
    bench.answer(checks_of(bench, THEIRS_2)[0], theirs=THEIRS_2)
    if bench.agent.role is IceRole.CONTROLLED:
        bench.request(PEER_2, own=OURS_2, username=f"{OURS_2.ufrag}:{THEIRS_2.ufrag}", use_candidate=True)
    else:
        bench.run(bench.now + 0.05)
        bench.answer(checks_of(bench, THEIRS_2)[-1], theirs=THEIRS_2)
    assert bench.agent.selected_pair is not None


# ------------------------------------------------------------- what a restart begins


@pytest.mark.req("RFC8445-108")
@pytest.mark.parametrize("controlling", [True, False])
def test_a_restart_changes_both_credentials_and_forgets_all_but_the_role(controlling):
    bench = selected(controlling=controlling)
    before = bench.agent.local_description
    new = bench.call(bench.agent.restart)
    after = bench.agent.local_description
    assert (after.ufrag, after.pwd) == (new.ufrag, new.pwd)
    assert before.ufrag != after.ufrag and before.pwd != after.pwd
    assert bench.agent.pairs == () and bench.agent.selected_pair is None and bench.agent.remote_candidates == ()
    assert bench.agent.role is (IceRole.CONTROLLING if controlling else IceRole.CONTROLLED)
    assert bench.heard(Restarted) == [Restarted(0, new, by_peer=False)]


@pytest.mark.parametrize("given", [Credentials("ours2", OURS.pwd), Credentials(OURS.ufrag, "2" * 22), OURS])
def test_half_of_the_credentials_is_no_restart(given):
    bench = selected()
    refuses(bench, bench.agent.restart, credentials=given, match="both ice-ufrag and ice-pwd must be new")


def test_credentials_for_a_restart_are_used_as_given():
    bench = selected()
    assert bench.call(bench.agent.restart, credentials=OURS_2) == OURS_2 == bench.agent.credentials
    refuses(bench, bench.agent.restart, credentials=(OURS, THEIRS), match="credentials: 2 for 1 streams")


def test_a_restart_that_the_peer_has_not_answered_is_not_begun_anew():
    bench = restarted()
    assert bench.call(bench.agent.restart) == OURS_2
    assert len(bench.heard(Restarted)) == 1
    other = Credentials("other", "o" * 22)  # unless the application insists
    assert bench.call(bench.agent.restart, credentials=other) == other


def test_before_the_peer_is_known_a_restart_just_changes_the_credentials():
    bench = Bench(known=False)
    new = bench.call(bench.agent.restart)
    assert new != OURS and bench.agent.credentials == new and bench.agent.state is IceState.NEW
    assert not is_success(bench.request(PEER))
    assert is_success(bench.request(PEER, own=new, username=f"{new.ufrag}:{THEIRS.ufrag}"))


# ------------------------------------------------------------- what stays in use


@pytest.mark.req("RFC8445-109", "RFC8839-025")
@pytest.mark.parametrize("controlling", [True, False])
def test_data_goes_on_over_the_old_pair_until_the_new_one_is_selected(controlling):
    bench = restarted(controlling=controlling)
    assert bench.agent.writable and bench.agent.state is IceState.CONNECTED
    bench.call(bench.agent.send, b"while nobody answers")
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    bench.run(bench.now + 0.05)
    bench.answer(checks_of(bench, THEIRS_2)[0], theirs=THEIRS_2)  # valid, but not selected
    bench.agent.send(b"while another is valid", now=bench.now)
    assert [one.destination for one in bench.agent.take_outputs()] == [PEER]
    finish(bench)
    bench.agent.send(b"after", now=bench.now)
    assert [one.destination for one in bench.agent.take_outputs()] == [PEER_2]
    assert bench.agent.state is IceState.COMPLETED
    assert [state for _, state in states(bench)][-3:] == ["completed", "connected", "completed"]


def test_data_of_the_peer_is_taken_from_both_paths_and_from_the_old_one_for_three_seconds_more():
    bench = answered()
    bench.arrive(1, PEER, b"old")
    finish(bench)
    bench.arrive(1, PEER_2, b"new")
    bench.arrive(1, PEER, b"was on its way")
    bench.run(bench.now + 3.1)
    bench.arrive(1, PEER, b"too late")
    assert [event.data for event in bench.heard(DataReceived)] == [b"old", b"new", b"was on its way"]
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


@pytest.mark.req("RFC7675-013")
def test_consent_is_asked_for_on_the_old_pair_with_the_old_credentials():
    bench = answered()
    seen = len(bench.checks)
    bench.run(bench.now + 9.0)
    consent = [one for one in bench.checks[seen:] if one.destination == PEER]
    assert len(consent) == 2
    for one in consent:
        assert one.message.get(USERNAME) == f"{THEIRS.ufrag}:{OURS.ufrag}"
        assert one.message.verify(short_term_key(THEIRS.pwd))
    bench.answer(consent[-1])
    bench.run(bench.now + 25.0)
    assert bench.agent.writable and bench.heard(ConsentExpired) == []


@pytest.mark.req("RFC7675-011")
@pytest.mark.parametrize("code", [None, 403])
def test_answers_on_the_old_pair_count_for_nothing_once_the_new_one_is_selected(code):
    bench = selected()
    bench.run(4.1)
    consent = bench.check
    answered(bench)
    finish(bench)
    bench.answer(consent, code=code)
    assert bench.agent.state is IceState.COMPLETED and bench.agent.path_of() == (1, PEER_2)
    assert bench.dropped() == {"UNKNOWN_TRANSACTION": 1}


def test_a_peer_that_restarts_for_ever_is_remembered_no_longer_than_that_and_data_on_the_path_in_use_goes_on():
    bench = selected(controlling=False)
    for number in range(1000):
        theirs = Credentials(f"peer{number}", f"{number:022}")
        bench.call(bench.agent.set_remote, description(theirs))
        own, source = bench.agent.credentials, at("203.0.113.7", 10000 + number)
        assert is_success(bench.request(source, own=own, username=f"{own.ufrag}:{theirs.ufrag}"))
    (component,) = bench.agent._streams[0].components
    assert len(component.former) == MAX_FORMER and len(bench.agent._streams[0].previous) == 1
    bench.arrive(1, PEER, b"goes on")
    assert [event.data for event in bench.heard(DataReceived)] == [b"goes on"]
    assert bench.agent._streams[0]._generations.is_past("peer998") and not bench.agent._streams[0]._generations.is_past("peer9")


@pytest.mark.req("RFC7675-013")
@pytest.mark.parametrize("revoked", [False, True])
def test_the_old_pair_is_left_when_its_consent_ends_and_the_agent_goes_on_checking(revoked):
    bench = restarted()
    if revoked:
        bench.run(5.0)
        bench.answer(bench.check, code=403)
    else:
        bench.run(31.0)
    assert bench.heard(ConsentExpired) == [ConsentExpired(0, 1, revoked)]
    assert not bench.agent.writable and bench.agent.state is IceState.CHECKING and bench.agent.failure is None
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    finish(bench)
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC7675-011", "RFC7675-016")
@pytest.mark.parametrize("revoked", [False, True])
def test_what_was_asked_on_the_old_pair_counts_for_nothing_once_its_consent_has_ended(revoked):
    bench = restarted()
    bench.run(10.0)
    earlier, latest = bench.checks[-2:]
    if revoked:
        bench.answer(latest, code=403)
    else:
        bench.run(28.0)
        earlier = bench.check
        bench.run(31.0)
    assert bench.heard(ConsentExpired) == [ConsentExpired(0, 1, revoked)]
    bench.answer(earlier)
    assert bench.dropped() == {"UNKNOWN_TRANSACTION": 1}
    assert not bench.agent.writable and bench.agent.state is IceState.CHECKING
    seen = len(bench.requests)
    bench.run(bench.now + 20.0)
    assert len(bench.requests) == seen


def test_when_the_old_pair_dies_the_best_new_valid_one_is_used():
    bench = answered()
    bench.run(bench.now + 0.05)
    bench.answer(checks_of(bench, THEIRS_2)[0], theirs=THEIRS_2)
    seen = len(bench.checks)
    bench.run(bench.now + 6.0)
    bench.answer(next(one for one in bench.checks[seen:] if one.destination == PEER), code=403)
    assert bench.agent.path_of() == (1, PEER_2) and bench.agent.state is IceState.CONNECTED


def test_checks_with_the_old_credentials_are_answered_and_trigger_nothing():
    bench = answered()
    seen = len(bench.checks)
    stranger = at("203.0.113.77", 7777)
    assert is_success(bench.request(PEER)) and is_success(bench.request(stranger, use_candidate=True))
    assert not is_success(bench.request(PEER, key=short_term_key(OURS_2.pwd)))
    assert {one.destination for one in bench.checks[seen:]} <= {PEER_2}
    bench.arrive(1, stranger, b"not trusted")
    assert bench.heard(DataReceived) == []
    finish(bench)
    bench.run(bench.now + 3.1)
    assert not is_success(bench.request(PEER))  # that generation is over


def test_nominations_and_roles_of_the_old_generation_say_nothing_about_the_new_one():
    bench = Bench(remotes=(candidate(PEER.host), candidate("198.51.100.2", foundation="r2", preference=1)), controlling=False)
    bench.run(0.05)
    for check in list(bench.checks):
        bench.answer(check)
    bench.request(PEER, use_candidate=True)
    answered(bench)
    events, pairs = len(bench.events), bench.agent.pairs
    other = at("198.51.100.2")
    for options in ({"use_candidate": True}, {"use_candidate": True, "nomination": 9}, {"controlling": False, "tiebreaker": 0}):
        assert is_success(bench.request(other, **options))
    assert bench.agent.role is IceRole.CONTROLLED and bench.agent.path_of() == (1, PEER)
    assert bench.agent.selected_pair is None and len(bench.events) == events and bench.agent.pairs == pairs
    finish(bench)
    assert bench.agent.path_of() == (1, PEER_2)


def test_a_nomination_that_waits_ends_with_its_generation():
    bench = Bench(remotes=(candidate(PEER.host), candidate("198.51.100.2", foundation="r2", preference=1)))
    bench.run(0.05)
    bench.answer(bench.check)  # the worse one, while the better is tried
    assert nomination_timer(0, 1) in bench.agent._session.timers
    bench.call(bench.agent.restart)
    assert nomination_timer(0, 1) not in bench.agent._session.timers


def test_an_answer_to_a_nomination_of_the_old_generation_selects_nothing():
    bench = validated()
    bench.run(0.05)
    nomination = bench.check
    assert nomination.nominates
    bench.call(bench.agent.restart, credentials=OURS_2)
    bench.answer(nomination)
    assert bench.heard(PairSelected) == [] and bench.dropped() == {"UNKNOWN_TRANSACTION": 1}
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    finish(bench)
    assert bench.agent.path_of() == (1, PEER_2)


def test_checks_with_the_new_credentials_before_the_peers_description_are_followed_once_it_comes():
    bench = restarted()
    source = at("203.0.113.77", 7777)
    assert is_success(bench.request(source, own=OURS_2, username=f"{OURS_2.ufrag}:{THEIRS_2.ufrag}"))
    assert checks_of(bench, THEIRS_2) == []
    bench.call(bench.agent.set_remote, description())
    bench.run(bench.now + 0.05)
    assert [one.destination for one in checks_of(bench, THEIRS_2)] == [source]


def test_a_request_whose_username_cannot_be_read_is_the_present_generations_to_refuse():
    bench = answered()
    bench = restarted()
    for username in ("x" * 508, None, ""):
        assert not is_success(bench.request(PEER, username=username))
    data = bytearray(bench.checks[0].data)
    data[data.index(b"\x00\x06") + 4] = 0xFF  # no UTF-8
    fingerprint = zlib.crc32(data[:-8]) ^ 0x5354554E
    bench.arrive(1, PEER, bytes(data[:-4]) + fingerprint.to_bytes(4, "big"))
    assert bench.dropped()["BAD_ATTRIBUTE"] == 1


def test_no_check_of_the_old_generation_is_sent_or_awaited():
    bench = Bench(remotes=(candidate("198.51.100.1"), candidate("198.51.100.2", foundation="r2")))
    bench.run(0.05)
    old = list(bench.checks)
    bench.call(bench.agent.restart)
    bench.answer(old[0])
    assert bench.agent.pairs == () and bench.dropped() == {"UNKNOWN_TRANSACTION": 1}
    bench.run(20.0)
    assert bench.requests == old


def test_the_sockets_stay_and_those_that_nobody_uses_go_with_the_new_selection():
    bench = selected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.restart, credentials=OURS_2)
    bench.run(bench.now + 5.0)
    assert bench.closed == []
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    assert {one.socket for one in checks_of(bench, THEIRS_2)} == {1}
    finish(bench)
    bench.run(bench.now + 3.1)
    assert [socket for _, socket in bench.closed] == [2]


def test_the_old_pair_goes_with_its_socket_and_the_restart_goes_on():
    bench = restarted(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    assert not bench.agent.writable and bench.agent.state is IceState.CHECKING
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    finish(bench)
    assert bench.agent.path_of() == (2, PEER_2)


def test_a_late_revocation_on_another_pair_of_the_old_generation_means_nothing():
    low, high = candidate("198.51.100.2", preference=100, foundation="low"), candidate("198.51.100.3", foundation="high")
    bench = Bench(remotes=(low, high), controlling=False)
    bench.run(0.05)
    first, second = bench.checks
    bench.answer(second)
    bench.run(4.1)
    late = bench.check
    assert late.destination == low.address
    bench.answer(next(one for one in bench.checks if one.destination == first.destination))
    assert bench.agent.path_of() == (1, high.address)
    bench.call(bench.agent.restart)
    bench.answer(late, code=403)
    assert bench.agent.path_of() == (1, high.address) and bench.heard(ConsentExpired) == []


def test_a_component_that_the_next_generation_has_not_ends_with_it():
    remotes = (candidate("198.51.100.1", 5001, foundation="a"), candidate("198.51.100.1", 5002, component=2, foundation="b"))
    bench = Bench(components=2, remotes=remotes, controlling=False)
    bench.run(0.05)
    for component, check in enumerate(list(bench.checks), 1):
        bench.answer(check)
        bench.request(check.destination, socket=component, use_candidate=True)
    answered(bench)
    assert bench.agent.is_writable(0, 2)
    finish(bench)
    assert bench.agent.state is IceState.COMPLETED and not bench.agent.is_writable(0, 2)
    bench.run(bench.now + 3.1)
    assert [socket for _, socket in bench.closed] == [2]
    assert not is_success(bench.request(PEER))


def test_sockets_that_were_given_up_before_are_not_used_after_a_restart():
    bench = selected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.run(3.1)
    assert [socket for _, socket in bench.closed] == [2]
    answered(bench)
    bench.run(bench.now + 1.0)
    assert {one.socket for one in checks_of(bench, THEIRS_2)} == {1}


def test_a_socket_that_dies_after_the_stream_has_failed_is_not_used_after_a_restart():
    bench = selected(hosts=("192.0.2.1", "192.0.2.2"), config=IceConfig(free_delay=1000.0))
    bench.run(31.0)
    assert bench.agent.state is IceState.FAILED
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    answered(bench)
    bench.run(bench.now + 1.0)
    assert {one.socket for one in checks_of(bench, THEIRS_2)} == {2}


def test_sockets_that_are_lost_together_with_the_one_in_use_are_not_used_after_a_restart():
    bench = selected(hosts=("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    bench.call(bench.agent.update_addresses, ["192.0.2.3"])
    assert bench.agent.state is IceState.DISCONNECTED and [socket for _, socket in bench.closed] == [1, 2]
    answered(bench)
    bench.run(bench.now + 1.0)
    assert {one.socket for one in checks_of(bench, THEIRS_2)} == {3}


def test_data_goes_where_the_peer_sends_from_in_the_next_generation_once_a_pair_there_is_valid():
    bench = answered(controlling=False)
    bench.run(bench.now + 0.05)
    check = checks_of(bench, THEIRS_2)[0]
    bench.request(PEER_2, own=OURS_2, username=f"{OURS_2.ufrag}:{THEIRS_2.ufrag}")
    bench.arrive(1, PEER_2, b"\x80 early")  # trusted, and not proven to be reached
    assert bench.agent.path_of() == (1, PEER)
    bench.answer(check, theirs=THEIRS_2)
    assert bench.agent.path_of() == (1, PEER)  # the pair before stays while nothing says that it is dead
    bench.arrive(1, PEER, b"\x80 as before")
    assert bench.agent.path_of() == (1, PEER)
    bench.arrive(1, PEER_2, b"\x80 from elsewhere")
    assert bench.agent.path_of() == (1, PEER_2) and bench.agent.state is IceState.CONNECTED
    assert [one.data[2:] for one in bench.heard(DataReceived)] == [b"early", b"as before", b"from elsewhere"]


# ------------------------------------------------------------- roles


@pytest.mark.req("RFC8445-032")
def test_a_lite_peer_that_becomes_full_in_a_restart_does_not_get_the_role_back():
    bench = validated(controlling=False, lite=True)
    bench.run(0.05)
    bench.answer(bench.check)
    assert bench.agent.role is IceRole.CONTROLLING and bench.agent.state is IceState.COMPLETED
    answered(bench)
    assert bench.agent.role is IceRole.CONTROLLING


@pytest.mark.req("RFC8445-032", "RFC8445-110")
def test_a_full_peer_that_becomes_lite_in_a_restart_is_controlled_from_then_on():
    bench = selected(controlling=False)
    refuses(bench, bench.agent.set_remote, description(THEIRS, lite=True), match="only a restart makes a lite agent")
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C, lite=True))
    assert bench.agent.role is IceRole.CONTROLLING


@pytest.mark.req("RFC8445-033")
def test_roles_are_settled_anew_where_the_peer_wants_that_after_a_restart():
    bench = answered(controlling=True)
    bench.request(PEER_2, own=OURS_2, username=f"{OURS_2.ufrag}:{THEIRS_2.ufrag}", controlling=True, tiebreaker=2**64 - 1)
    assert bench.agent.role is IceRole.CONTROLLED
    bench = answered(controlling=True)
    bench.run(bench.now + 0.05)
    check = checks_of(bench, THEIRS_2)[0]
    assert ICE_CONTROLLING in check.message
    bench.answer(check, code=487, theirs=THEIRS_2)
    bench.run(bench.now + 0.05)
    assert bench.agent.role is IceRole.CONTROLLED and ICE_CONTROLLED in checks_of(bench, THEIRS_2)[-1].message


# ------------------------------------------------------------- restarts of the peer's


@pytest.mark.req("RFC8839-017", "RFC8839-025")
def test_other_credentials_of_the_peers_are_its_restart_and_the_agent_gets_new_ones_too():
    bench = selected()
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    (event,) = bench.heard(Restarted)
    assert event.by_peer and event.credentials == bench.agent.credentials != OURS
    assert bench.agent.writable and bench.agent.state is IceState.CONNECTED
    bench.run(bench.now + 0.05)
    assert checks_of(bench, THEIRS_2)[0].message.get(USERNAME) == f"{THEIRS_2.ufrag}:{event.credentials.ufrag}"


@pytest.mark.req("RFC8839-017")
@pytest.mark.parametrize("half", [Credentials("their2", THEIRS.pwd), Credentials(THEIRS.ufrag, "t" * 22)])
def test_a_peer_that_changes_half_of_its_credentials_has_not_restarted(half):
    bench = selected()
    refuses(bench, bench.agent.set_remote, description(half), match="a restart changes both ice-ufrag and ice-pwd")


@pytest.mark.req("RFC8839-017")
def test_the_same_credentials_again_are_no_restart():
    bench = selected()
    bench.call(bench.agent.set_remote, description(THEIRS, candidate("198.51.100.7", foundation="r7")))
    assert bench.heard(Restarted) == [] and bench.agent.state is IceState.COMPLETED


def test_restarts_that_cross_become_one():
    two = Two()
    two.exchange()
    assert two.connect()
    two.node_a.call(two.a.restart)
    two.node_b.call(two.b.restart)
    told = two.a.local_description, two.b.local_description
    two.node_b.call(two.b.set_remote, told[0])
    two.node_a.call(two.a.set_remote, told[1])
    assert two.connect() and two.echo()
    for node in (two.node_a, two.node_b):
        assert [event.by_peer for _, event in node.events if isinstance(event, Restarted)] == [False]


def test_a_description_of_before_the_restart_is_ignored():
    bench = restarted()
    bench.call(bench.agent.set_remote, description(THEIRS, candidate("198.51.100.7", foundation="r7")))
    assert bench.dropped() == {"OLD_GENERATION": 1}
    assert bench.agent.pairs == () and bench.agent.credentials == OURS_2 and len(bench.heard(Restarted)) == 1
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    bench.call(bench.agent.set_remote, description(THEIRS))
    assert bench.dropped() == {"OLD_GENERATION": 2} and bench.agent.credentials == OURS_2


def test_a_failed_agent_is_revived_by_either_restart():
    for revive in ("restart", "set_remote"):
        bench = selected()
        bench.run(31.0)
        assert bench.agent.state is IceState.FAILED and isinstance(bench.agent.failure, ConsentLost)
        refuses(bench, bench.agent.set_remote, description(THEIRS), match="only new credentials can connect")
        if revive == "restart":
            bench.call(bench.agent.restart, credentials=OURS_2)
        bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
        assert bench.agent.state is IceState.CHECKING and bench.agent.failure is None
        own = bench.agent.credentials
        bench.run(bench.now + 0.05)
        bench.answer(checks_of(bench, THEIRS_2)[0], theirs=THEIRS_2)
        assert is_success(bench.request(PEER_2, own=own, username=f"{own.ufrag}:{THEIRS_2.ufrag}"))
        assert bench.agent.writable


def test_a_generation_that_cannot_connect_fails_when_its_own_patience_is_over():
    bench = answered()
    seen = 0
    while bench.now < 39.0:
        for check in bench.checks[seen:]:
            seen += 1
            if check.destination == PEER:
                bench.answer(check)  # the old pair lives
        bench.run(bench.now + 0.5)
    assert bench.agent.state is IceState.CONNECTED and bench.agent.writable
    bench.run(50.0)
    assert bench.agent.state is IceState.FAILED and not bench.agent.writable
    assert bench.agent._streams[0].previous == ()


@pytest.mark.req("RFC8863-003")
@pytest.mark.parametrize("when", [39.0, 45.0])
def test_the_patience_of_one_generation_is_not_that_of_the_next(when):
    bench = checking()
    bench.run(when)
    bench.call(bench.agent.restart, credentials=OURS_2)
    bench.run(when + 1.0)  # when the patience of before would have ended
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C, end_of_candidates=True))
    bench.run(bench.now + 0.05)
    bench.answer(checks_of(bench, THEIRS_2)[0], theirs=THEIRS_2, code=400)
    bench.run(when + 40.4)
    assert bench.agent.state is IceState.CHECKING
    bench.run(when + 40.5)
    assert bench.agent.state is IceState.FAILED


def test_a_quiet_old_pair_that_answers_again_is_connected():
    bench = selected()
    bench.run(25.0)
    assert bench.agent.state is IceState.DISCONNECTED
    bench.call(bench.agent.restart)
    assert bench.agent.state is IceState.CHECKING  # RTCIceTransportState forgets that it was lost
    bench.answer(bench.check)
    assert bench.agent.state is IceState.CONNECTED and bench.agent.writable


def test_many_restarts_leave_nothing_behind():
    two = Two()
    two.exchange()
    assert two.connect()
    for number in range(12):
        starter, other = (two.a, two.b) if number % 2 else (two.b, two.a)
        nodes = {two.a: two.node_a, two.b: two.node_b}
        nodes[starter].call(starter.restart)
        nodes[other].call(other.set_remote, starter.local_description)
        nodes[starter].call(starter.set_remote, other.local_description)
        assert two.connect() and two.echo()
        two.net.run(until=two.net.now + 5.0)
        for agent in (two.a, two.b):
            assert agent.state is IceState.COMPLETED
            assert agent._streams[0].previous == () and agent._streams[0].components[0].former == ()
    assert len(two.node_a.sockets) == len(two.node_b.sockets) == 1


# ------------------------------------------------------------- candidates and their generations


@pytest.mark.req("RFC8838-011", "RFC8838-019", "RFC8838-023")
def test_candidates_and_their_end_belong_to_the_generation_that_they_name():
    bench = selected(complete=False)
    bench.call(bench.agent.restart, credentials=OURS_2)
    bench.call(bench.agent.set_remote, description(THEIRS_2, end_of_candidates=False))
    late = candidate("198.51.100.7", foundation="r7")
    assert not bench.call(bench.agent.add_remote_candidate, late, ufrag=THEIRS.ufrag)
    bench.call(bench.agent.end_of_candidates, ufrag=THEIRS.ufrag)
    assert bench.dropped() == {"OLD_GENERATION": 2} and bench.agent.remote_candidates == ()
    assert bench.call(bench.agent.add_remote_candidate, PEER_2_C, ufrag=THEIRS_2.ufrag)
    bench.call(bench.agent.end_of_candidates, ufrag=THEIRS_2.ufrag)
    assert not bench.call(bench.agent.add_remote_candidate, late, ufrag=THEIRS_2.ufrag)
    assert bench.agent.remote_candidates == (PEER_2_C,)


@pytest.mark.req("RFC8838-011")
def test_candidates_before_their_description_wait_for_it():
    bench = selected(complete=False)
    assert bench.call(bench.agent.add_remote_candidate, PEER_2_C, ufrag=THEIRS_2.ufrag)
    bench.call(bench.agent.end_of_candidates, ufrag=THEIRS_2.ufrag)
    assert PEER_2_C not in bench.agent.remote_candidates
    bench.call(bench.agent.set_remote, description(THEIRS_2, end_of_candidates=False))
    assert bench.agent.remote_candidates == (PEER_2_C,)
    assert not bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.7"))  # that was the end


@pytest.mark.req("RFC8838-011")
def test_candidates_that_wait_for_one_generation_are_not_taken_for_anothers():
    bench = selected(complete=False)
    assert bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.7", foundation="r7"), ufrag="other")
    bench.call(bench.agent.end_of_candidates, ufrag="other")
    assert bench.call(bench.agent.add_remote_candidate, PEER_2_C, ufrag=THEIRS_2.ufrag)
    bench.call(bench.agent.set_remote, description(THEIRS_2, end_of_candidates=False))
    assert bench.agent.remote_candidates == (PEER_2_C,)
    assert bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.8", foundation="r8"))  # nothing has ended


def test_candidates_of_a_first_description_may_name_it_before_it_comes():
    bench = Bench(known=False, config=IceConfig(max_remote_candidates=2))
    assert bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.1"), ufrag=THEIRS.ufrag)
    named = candidate("198.51.100.2").from_sdp(candidate("198.51.100.2").to_sdp() + f" ufrag {THEIRS.ufrag}")
    assert bench.call(bench.agent.add_remote_candidate, named)
    assert not bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.3"), ufrag="nobody")
    assert bench.dropped() == {"LIMIT": 1}
    bench.tell()
    assert [one.address.host for one in bench.agent.remote_candidates] == ["198.51.100.1", "198.51.100.2"]


# ------------------------------------------------------------- one agent, several answers


@pytest.mark.req("RFC8445-093")
def test_who_else_answers_the_offer_is_checked_with_the_password_that_his_ufrag_selects():
    bench = checking()  # once a pair has worked, it is the peer himself who begins anew: see test_checker.py
    source = at("203.0.113.8", 8888)
    assert is_success(bench.request(source, username=f"{OURS.ufrag}:{THEIRS_2.ufrag}"))
    assert checks_of(bench, THEIRS_2) == []
    bench.arrive(1, source, b"whose is this?")
    assert bench.heard(DataReceived) == []
    bench.call(bench.agent.set_remote, description(THEIRS_2))
    bench.run(bench.now + 0.05)
    assert bench.heard(Restarted) == [] and bench.agent.credentials == OURS  # he has them already
    (check,) = checks_of(bench, THEIRS_2)
    assert check.destination == source
    assert check.message.get(USERNAME) == f"{THEIRS_2.ufrag}:{OURS.ufrag}"
    assert check.message.verify(short_term_key(THEIRS_2.pwd))
    bench.answer(check, theirs=THEIRS_2)
    bench.run(bench.now + 1.0)
    bench.answer(bench.check, theirs=THEIRS_2)
    assert bench.agent.path_of() == (1, source) and bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-093")
def test_checks_of_others_are_remembered_within_the_bound():
    bench = checking(config=IceConfig(max_early_checks=2))
    for number in range(4):
        assert is_success(bench.request(at("203.0.113.8", 8000 + number), username=f"{OURS.ufrag}:{THEIRS_2.ufrag}"))
    assert bench.dropped() == {"LIMIT": 2}
    bench.call(bench.agent.set_remote, description(THEIRS_2))
    bench.run(bench.now + 0.1)
    assert [one.destination.port for one in checks_of(bench, THEIRS_2)] == [8000, 8001]


# ------------------------------------------------------------- gathering


def test_after_a_restart_gathering_begins_anew_with_the_sockets_that_are_open():
    bench = selected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.run(5.0)
    assert [socket for _, socket in bench.closed] == [2]
    assert bench.agent.gathering_state is GatheringState.COMPLETE
    refuses(bench, bench.agent.gather, ["192.0.2.1"], match="called before")
    bench.call(bench.agent.restart)
    assert bench.agent.gathering_state is GatheringState.NEW and not bench.agent.local_description.end_of_candidates
    seen = len(bench.heard(CandidateGathered))
    bench.call(bench.agent.gather, ["192.0.2.1", "192.0.2.2"])
    ports = {event.candidate.address.host: event.candidate.address.port for event in bench.heard(CandidateGathered)[seen:]}
    assert ports == {"192.0.2.1": 4001, "192.0.2.2": 4003}
    assert bench.agent.gathering_state is GatheringState.COMPLETE and len(bench.heard(GatheringCompleted)) == 2
    assert bench.agent.local_description.end_of_candidates
    refuses(bench, bench.agent.gather, ["192.0.2.1"], match="called before")


def test_a_restart_during_gathering_goes_on_with_it():
    bench = Bench(known=False, servers=("stun:203.0.113.1",))
    bench.tell(candidate(PEER.host, PEER.port))
    new = bench.call(bench.agent.restart)
    assert bench.agent.gathering_state is GatheringState.GATHERING
    bench.call(bench.agent.gather, ["192.0.2.1"])
    bench.run(1.0)
    for question in {one.message.transaction_id: one for one in bench.sent if USERNAME not in one.message}.values():
        bench.answer(question, mapped=at("203.0.113.9", 9999), key=None)
    told = bench.agent.local_description
    assert told.ufrag == new.ufrag and [one.type.value for one in told.candidates] == ["host", "srflx"]
    assert told.end_of_candidates


def test_checks_may_go_out_from_open_sockets_before_the_application_gathers_again():
    bench = selected()
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C))
    bench.run(bench.now + 0.05)
    assert [one.path for one in checks_of(bench, THEIRS_2)] == [(1, PEER_2)]
    bench.call(bench.agent.gather, ["192.0.2.1"])
    assert [(pair.local.address.port, pair.remote) for pair in bench.agent.pairs] == [(4001, PEER_2_C)]


# ------------------------------------------------------------- one stream of several


def session(*credentials):
    return SessionDescription(
        tuple(description(one, candidate("198.51.100.1", 5000 + n, foundation=f"r{n}")) for n, one in enumerate(credentials))
    )


def test_one_stream_restarts_while_the_other_goes_on():
    bench = Bench(known=False, streams=2, controlling=False)
    bench.call(bench.agent.set_remote, session(THEIRS, THEIRS_2))
    bench.run(0.05)
    for check, theirs in zip(list(bench.checks), (THEIRS, THEIRS_2), strict=True):
        bench.answer(check, theirs=theirs)
    for stream, theirs in enumerate((THEIRS, THEIRS_2)):
        source = at("198.51.100.1", 5000 + stream)
        bench.request(source, socket=stream + 1, username=f"{OURS.ufrag}:{theirs.ufrag}", use_candidate=True)
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.restart, stream=1, credentials=OURS_2)
    assert bench.heard(Restarted) == [Restarted(1, OURS_2, by_peer=False)]
    assert [one.ufrag for one in bench.agent.local_descriptions] == [OURS.ufrag, OURS_2.ufrag]
    assert bench.agent.states == (IceState.COMPLETED, IceState.CONNECTED) and bench.agent.state is IceState.CONNECTED
    assert bench.agent.selected_pair_of(0) is not None and bench.agent.selected_pair_of(1) is None
    assert bench.agent.is_writable(1)
    seen = len(bench.heard(CandidateGathered))
    bench.call(bench.agent.gather, ["192.0.2.1"])
    assert [event.stream for event in bench.heard(CandidateGathered)[seen:]] == [1]
    third = Credentials("their3", "3" * 22)
    bench.call(bench.agent.set_remote, session(THEIRS, third))
    bench.run(bench.now + 0.05)
    (check,) = checks_of(bench, third)
    bench.answer(check, theirs=third)
    bench.request(check.destination, socket=2, own=OURS_2, username=f"{OURS_2.ufrag}:{third.ufrag}", use_candidate=True)
    assert bench.agent.state is IceState.COMPLETED
    assert [(event.stream, event.component) for event in bench.heard(PairSelected)] == [(0, 1), (1, 1), (1, 1)]


def test_the_peer_may_restart_one_stream_of_several():
    bench = Bench(known=False, streams=2)
    bench.call(bench.agent.set_remote, session(THEIRS, THEIRS_2))
    third = Credentials("their3", "3" * 22)
    bench.call(bench.agent.set_remote, session(THEIRS, third))
    (event,) = bench.heard(Restarted)
    assert (event.stream, event.by_peer) == (1, True)
    assert [one.ufrag for one in bench.agent.local_descriptions] == [OURS.ufrag, event.credentials.ufrag]


def test_a_restart_of_all_streams_gives_each_its_own_credentials():
    bench = Bench(known=False, streams=2)
    first = bench.call(bench.agent.restart)
    ufrags = [one.ufrag for one in bench.agent.local_descriptions]
    assert ufrags[0] == first.ufrag and len(set(ufrags)) == 2
    bench.call(bench.agent.restart, credentials=(OURS, OURS_2))
    assert [one.ufrag for one in bench.agent.local_descriptions] == [OURS.ufrag, OURS_2.ufrag]


def test_a_restart_before_the_first_has_selected_everywhere_keeps_what_each_component_uses():
    remotes = (candidate("198.51.100.1", 5001, foundation="a"), candidate("198.51.100.1", 5002, component=2, foundation="b"))
    bench = Bench(components=2, remotes=remotes, controlling=False)
    bench.run(0.05)
    for component, check in enumerate(list(bench.checks), 1):
        bench.answer(check)
        bench.request(check.destination, socket=component, use_candidate=True)
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.restart, credentials=OURS_2)
    bench.call(bench.agent.set_remote, description(THEIRS_2, PEER_2_C, candidate("198.51.100.9", 5010, component=2)))
    bench.run(bench.now + 0.05)
    first = next(one for one in checks_of(bench, THEIRS_2) if one.destination == PEER_2)
    bench.answer(first, theirs=THEIRS_2)
    bench.request(PEER_2, own=OURS_2, username=f"{OURS_2.ufrag}:{THEIRS_2.ufrag}", use_candidate=True)
    assert bench.agent.path_of(0, 1) == (1, PEER_2) and bench.agent.path_of(0, 2) == (2, at("198.51.100.1", 5002))
    bench.call(bench.agent.restart)
    assert bench.agent.path_of(0, 1) == (1, PEER_2) and bench.agent.path_of(0, 2) == (2, at("198.51.100.1", 5002))
    assert is_success(bench.request(PEER_2, own=OURS_2, username=f"{OURS_2.ufrag}:{THEIRS_2.ufrag}"))
    assert is_success(bench.request(at("198.51.100.1", 5002), socket=2))
    bench.run(bench.now + 6.0)
    asked = {one.destination: one.message.get(USERNAME) for one in bench.checks[-2:]}
    assert asked == {
        PEER_2: f"{THEIRS_2.ufrag}:{OURS_2.ufrag}",
        at("198.51.100.1", 5002): f"{THEIRS.ufrag}:{OURS.ufrag}",
    }
