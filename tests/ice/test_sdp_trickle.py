"""Trickling in bodies that repeat what was told before: one at a time out, what is new in (RFC 8840 4.4, 10.9)."""

import pytest
from hypothesis import given, strategies as st

from sansice import LocalProtocolError
from sansice.ice import (
    Candidate,
    CredentialLevel,
    Credentials,
    Description,
    FragmentSection,
    SessionDescription,
    Trickled,
    TrickleFragment,
    TrickleReceiver,
    TrickleSender,
)

OPTIONS = ("ice2", "trickle")


def candidate(port, component=1):
    return Candidate.from_sdp(f"1 {component} udp 2130706431 192.0.2.1 {port} typ host")


def stream(ufrag="abcd", ports=(), *, complete=False, pwd=None):
    told = [candidate(port) for port in ports]
    return Description(ufrag, pwd or ufrag * 6, candidates=told, options=OPTIONS, end_of_candidates=complete)


def session(*streams):
    return SessionDescription(streams, mids=["a", "b"][: len(streams)])


PEER = session(stream("peer"))
LOCAL = session(stream("aaaa", [1]), stream("bbbb"))


def ports(fragment):
    return {section.mid: [one.address.port for one in section.candidates] for section in fragment.sections}


# Sending


@pytest.mark.req("RFC8838-001")
def test_peer_that_does_not_trickle_is_never_trickled_to():
    with pytest.raises(LocalProtocolError, match="the peer does not say that it trickles"):
        TrickleSender(LOCAL, session(Description("peer", "p" * 22, options=["ice2"])))


@pytest.mark.req("RFC8840-011")
def test_each_body_repeats_all_before_it_in_order_with_what_is_new_at_the_end():
    sender = TrickleSender(LOCAL, PEER)
    assert sender.next_body() is None
    sender.add(candidate(3), mid="a")
    first = sender.next_body()
    assert ports(first) == {"a": [1, 3]}
    sender.acknowledge()
    sender.add(candidate(2), mid="a")
    sender.add(candidate(9), mid="b")
    assert ports(sender.next_body()) == {"a": [1, 3, 2], "b": [9]}


@pytest.mark.req("RFC8840-018")
def test_one_body_is_on_its_way_and_what_comes_meanwhile_is_aggregated():
    sender = TrickleSender(LOCAL, PEER)
    sender.add(candidate(2), mid="a")
    assert ports(sender.next_body()) == {"a": [1, 2]}
    assert sender.is_pending is True
    sender.add(candidate(3), mid="a")
    sender.add(candidate(4), mid="a")
    assert sender.next_body() is None
    sender.acknowledge()
    assert ports(sender.next_body()) == {"a": [1, 2, 3, 4]}
    sender.acknowledge()
    assert sender.next_body() is None
    assert sender.is_pending is False


def test_body_that_was_lost_is_said_again_with_the_next():
    sender = TrickleSender(LOCAL, PEER)
    sender.add(candidate(2), mid="a")
    sender.next_body()
    sender.fail()
    assert ports(sender.next_body()) == {"a": [1, 2]}
    sender.acknowledge()
    sender.fail()  # nothing is on its way
    assert sender.next_body() is None


def test_candidate_that_was_told_is_not_news():
    sender = TrickleSender(LOCAL, PEER)
    sender.add(candidate(1), mid="a")
    assert sender.next_body() is None


@pytest.mark.req("RFC8840-013", "RFC8840-015", "RFC8838-019")
def test_end_of_candidates_goes_with_the_credentials_and_comes_once():
    sender = TrickleSender(LOCAL, PEER)
    sender.end_of_candidates(mid="b")
    sender.end_of_candidates(mid="b")
    body = sender.next_body()
    assert body == TrickleFragment([FragmentSection("b", end_of_candidates=True, credentials=Credentials("bbbb", "bbbb" * 6))])
    sender.acknowledge()
    sender.end_of_candidates()
    assert [(one.mid, one.end_of_candidates) for one in sender.next_body().sections] == [("a", True), ("b", True)]
    sender.acknowledge()
    sender.end_of_candidates()
    assert sender.next_body() is None


@pytest.mark.req("RFC8840-010", "RFC8840-013")
def test_credentials_stand_at_the_level_of_the_offer_and_the_end_of_all_there_too():
    one = stream("aaaa")
    sender = TrickleSender(session(one, one), PEER, credentials=CredentialLevel.SESSION)
    sender.add(candidate(2), mid="b")
    body = sender.next_body()
    assert (body.credentials, body.sections[0].credentials) == (Credentials("aaaa", "aaaa" * 6), None)
    sender.acknowledge()
    sender.end_of_candidates()
    body = sender.next_body()
    assert body.end_of_candidates is True
    assert [one.end_of_candidates for one in body.sections] == [False, False]


def test_credentials_that_differ_are_not_the_sessions():
    with pytest.raises(LocalProtocolError, match="credentials of their own"):
        TrickleSender(LOCAL, PEER, credentials=CredentialLevel.SESSION)


@pytest.mark.req("RFC8838-021")
def test_nothing_follows_the_end_of_candidates():
    sender = TrickleSender(LOCAL, PEER)
    sender.end_of_candidates(mid="a")
    with pytest.raises(LocalProtocolError, match="section a: no candidate may follow"):
        sender.add(candidate(2), mid="a")
    sender.add(candidate(2), mid="b")


def test_section_that_is_not_there_is_refused():
    sender = TrickleSender(LOCAL, PEER)
    for misuse in (lambda: sender.add(candidate(1), mid="x"), lambda: sender.end_of_candidates(mid="x")):
        with pytest.raises(LocalProtocolError, match="section 'x': none of a, b"):
            misuse()


@pytest.mark.parametrize("fate", ["acknowledge", "fail"])
def test_after_a_restart_it_goes_on_trickling_whatever_the_peers_new_description_says(fate):
    sender = TrickleSender(LOCAL, PEER)
    sender.add(candidate(2), mid="a")
    sender.next_body()
    sender.add(candidate(3), mid="a")
    sender.restart(session(stream("cccc", [7]), stream("dddd")))
    assert sender.is_pending
    getattr(sender, fate)()
    assert sender.next_body() is None  # what was before is of the old generation
    sender.add(candidate(8), mid="a")
    body = sender.next_body()
    assert ports(body) == {"a": [7, 8]}
    assert body.credentials_of(body.sections[0]).ufrag == "cccc"


def test_a_restart_may_have_its_credentials_at_another_level_if_they_are_one():
    sender = TrickleSender(LOCAL, PEER)
    sender.add(candidate(2), mid="a")
    with pytest.raises(LocalProtocolError, match="cannot have the session's"):
        sender.restart(LOCAL, credentials=CredentialLevel.SESSION)
    assert ports(sender.next_body()) == {"a": [1, 2]}
    sender.acknowledge()
    sender.restart(session(stream("cccc"), stream("cccc")), credentials=CredentialLevel.SESSION)
    sender.add(candidate(8), mid="b")
    assert sender.next_body().credentials.ufrag == "cccc"


# Receiving


def body(*sections, **fields):
    return TrickleFragment(sections, **fields)


def section(mid, *told, ufrag="aaaa", **fields):
    return FragmentSection(mid, [candidate(port) for port in told], credentials=Credentials(ufrag, ufrag * 6), **fields)


def receiver():
    made = TrickleReceiver()
    assert made.set_remote(LOCAL) == ()
    return made


@pytest.mark.req("RFC8840-012", "RFC8838-010")
def test_what_is_known_is_dropped_and_the_rest_comes_in_order():
    made = receiver()
    assert made.receive(body(section("a", 1, 5, 3, 5))) == (
        Trickled("a", 0, "aaaa", (candidate(5), candidate(3)), end_of_candidates=False),
    )
    assert made.receive(body(section("a", 1, 5, 3))) == ()
    [news] = made.receive(body(section("a", 1, 5, 3, 4)))
    assert news.candidates == (candidate(4),)


@pytest.mark.req("RFC8840-012")
def test_candidates_are_equal_by_component_transport_and_address():
    made = receiver()
    other = [
        candidate(1, component=2),
        Candidate.from_sdp("1 1 tcp 5 192.0.2.1 1 typ host tcptype passive"),
        Candidate.from_sdp("7 1 udp 7 192.0.2.1 1 typ host generation 1"),  # the known one in other words
    ]
    [news] = made.receive(body(FragmentSection("a", other, credentials=Credentials("aaaa", "aaaa" * 6))))
    assert news.candidates == tuple(other[:2])


@pytest.mark.req("RFC8840-010", "RFC8838-011", "RFC8838-019")
def test_body_of_another_generation_is_discarded_and_counted():
    made = receiver()
    for stale in (
        section("a", 5, ufrag="else", end_of_candidates=True),
        section("b", 5, ufrag="aaaa"),
        section("x", 5),
        FragmentSection("a", [candidate(5)], credentials=Credentials("aaaa", "another" * 4)),
    ):
        assert made.receive(body(stale)) == ()
    assert made.stale == 4
    assert made.receive(body(end_of_candidates=True, credentials=Credentials("else", "else" * 6))) == ()
    assert made.receive(body(section("a", 1, end_of_candidates=True)))[0].end_of_candidates is True


@pytest.mark.req("RFC8840-013", "RFC8838-019")
def test_end_of_candidates_of_a_section_or_of_all_is_told_once():
    made = receiver()
    assert made.receive(body(section("a", 1, end_of_candidates=True))) == (Trickled("a", 0, "aaaa", (), end_of_candidates=True),)
    assert made.receive(body(section("a", 1, end_of_candidates=True))) == ()
    every = body(section("b", 8, ufrag="bbbb"), end_of_candidates=True)
    assert made.receive(every) == (
        Trickled("b", 1, "bbbb", (candidate(8),), end_of_candidates=False),
        Trickled("b", 1, "bbbb", (), end_of_candidates=True),
    )
    assert made.receive(every) == ()


@pytest.mark.req("RFC8838-019")
def test_end_of_all_candidates_is_of_the_generations_that_the_body_names():
    made = receiver()
    assert [one.mid for one in made.receive(body(section("a", 1), end_of_candidates=True))] == ["a"]
    shared = TrickleReceiver()
    shared.set_remote(session(stream("aaaa"), stream("aaaa")))
    whole = body(end_of_candidates=True, credentials=Credentials("aaaa", "aaaa" * 6))
    assert [one.mid for one in shared.receive(whole)] == ["a", "b"]


def test_restart_begins_a_generation_and_the_old_ones_bodies_are_stale():
    made = receiver()
    made.receive(body(section("a", 1, 5, end_of_candidates=True)))
    assert made.set_remote(session(stream("cccc"), stream("bbbb"))) == ()
    assert made.receive(body(section("a", 1, 5, 6))) == ()
    [news] = made.receive(body(section("a", 5, ufrag="cccc")))
    assert (news.ufrag, news.candidates) == ("cccc", (candidate(5),))


def test_answer_that_is_repeated_with_fewer_candidates_takes_nothing_back():
    made = receiver()
    made.receive(body(section("a", 1, 5, end_of_candidates=True)))
    made.set_remote(LOCAL)
    assert made.receive(body(section("a", 1, 5, end_of_candidates=True))) == ()


def test_bodies_before_the_answer_are_held_and_read_when_it_comes():
    made = TrickleReceiver()
    assert made.receive(body(section("a", 1, 5))) == ()
    assert made.receive(body(section("a", 1, 5, 6), section("x", 7))) == ()
    assert [one.candidates for one in made.set_remote(LOCAL)] == [(candidate(5),), (candidate(6),)]
    assert made.stale == 1


def test_what_is_held_and_what_is_known_is_bounded():
    made = TrickleReceiver()
    for port in range(1, 100):
        made.receive(body(section("b", port, ufrag="bbbb")))
    assert [one.candidates[0].address.port for one in made.set_remote(LOCAL)] == list(range(92, 100))
    [news] = made.receive(body(section("b", *range(1000, 3000), ufrag="bbbb")))
    assert len(news.candidates) == 1000 - 8
    assert made.limited == 2000 - (1000 - 8)


# Both


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 12)) | st.sampled_from(["send", "arrive", "lose", "twice"])))
def test_whatever_is_lost_or_repeated_each_candidate_arrives_once_and_in_order(steps):
    sender, made = TrickleSender(LOCAL, PEER), receiver()
    added, arrived = {"a": [1], "b": []}, {"a": [1], "b": []}
    way = []

    def receive():
        for news in made.receive(TrickleFragment.from_sdp(way[-1].to_sdp())):
            arrived[news.mid] += [one.address.port for one in news.candidates]

    def send():
        fragment = sender.next_body()
        if fragment is not None:
            way.append(fragment)

    for step in [*steps, "arrive", "send", "arrive"]:
        if isinstance(step, tuple):
            mid, port = step
            sender.add(candidate(port), mid=mid)
            added[mid] += [port] if port not in added[mid] else []
        elif step == "send":
            send()
        elif step == "twice" and way:
            receive()
        elif sender.is_pending:
            if step == "arrive":
                receive()
                sender.acknowledge()
            else:
                sender.fail()
    assert arrived == added
