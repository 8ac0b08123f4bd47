"""Offers and answers in order, and what ICE demands of each (RFC 8839 4.3, 4.4)."""

import pytest

from ice._texts import CREDENTIALS, HOST, PWD, audio, fixture, offer
from sansice import Address, LocalProtocolError
from sansice.ice import (
    Candidate,
    CandidatePair,
    Description,
    IceUse,
    MismatchPolicy,
    OfferAnswer,
    PairState,
    RaceVerdict,
    RemoteCandidate,
    SessionDescription,
    SessionSdp,
    SignalingState,
    StreamOutcome,
    judge_remote_candidates,
)

AUDIO, VIDEO = audio("a=mid:a"), audio("a=mid:v", port=5002)
OURS, MORE = "1 1 udp 2130706431 192.0.2.7 6000 typ host", "2 1 udp 99 203.0.113.7 6600 typ srflx raddr 192.0.2.7 rport 6000"
ICE2 = ("a=ice-options:ice2",)


def parsed(*lines, session=()):
    return SessionSdp.from_sdp(offer(*lines, session=session))


TEMPLATE = parsed(*AUDIO)
TWO = parsed(*AUDIO, *VIDEO)


def ours(*mids, generation="one", candidates=(OURS,), **fields):
    fields = {"options": ("ice2",), "pacing": 50, **fields}
    listed = [Candidate.from_sdp(text) for text in candidates]
    streams = [Description(f"{mid}{generation}", f"{mid}{generation}" * 8, candidates=listed, **fields) for mid in mids]
    return SessionDescription(streams, mids=mids)


def theirs(*lines, generation="peer", mids=("a",), session=ICE2):
    """What the peer says of sections with one candidate each."""
    sections = []
    for number, mid in enumerate(mids):
        credentials = (f"a=ice-ufrag:{generation}{mid}", f"a=ice-pwd:{generation * 6}{mid}")
        port = 5000 + number
        own = HOST.replace("5000", str(port))
        sections += audio(*credentials, f"a=mid:{mid}", own, *(lines if number == 0 else ()), port=port)
    return parsed(*sections, session=session)


def agreed(*mids, remote=None, **fields):
    """A dialog after its first exchange, in which we have offered."""
    dialog = OfferAnswer()
    dialog.offer(TWO if len(mids) > 1 else TEMPLATE, ours(*mids, **fields))
    dialog.receive_answer(theirs(mids=mids) if remote is None else remote)
    return dialog


def pair(local=OURS, remote=HOST, **fields):
    fields = {"priority": 1, "state": PairState.SUCCEEDED, "nominated": True, **fields}
    return CandidatePair(Candidate.from_sdp(local), Candidate.from_sdp(remote), **fields)


SELECTED = StreamOutcome((pair(),))
REFLEXIVE = StreamOutcome((pair(local=MORE),))
FAILED = StreamOutcome(failed=True)


# The first exchange


@pytest.mark.req("RFC8839-003", "RFC8839-010", "RFC8839-011")
def test_first_offer_and_answer_carry_all_there_is():
    offered = OfferAnswer().offer(TEMPLATE, ours("a"))
    dialog = OfferAnswer()
    dialog.receive_offer(offered)
    answered = dialog.answer(TEMPLATE, ours("a", generation="two", candidates=(OURS, MORE)))
    for sdp, count in ((offered, 1), (answered, 2)):
        assert (sdp.ice.options, sdp.ice.pacing) == (("ice2",), 50)
        assert sdp.description[0].ufrag.startswith("a")
        assert len(sdp.description[0].candidates) == count


@pytest.mark.req("RFC8840-001", "RFC8838-024")
def test_dialog_of_who_trickles_says_so_in_every_offer_and_answer():
    dialog = OfferAnswer(trickle=True)
    offered = dialog.offer(TEMPLATE, ours("a"))
    assert offered.description.options == ("ice2", "trickle")
    assert offered.description.end_of_candidates is True  # half trickle: ours are complete, the peer's may follow
    dialog.receive_answer(theirs())
    assert dialog.offer(TEMPLATE, ours("a")).description.options == ("ice2", "trickle")
    answering = OfferAnswer(trickle=True)
    answering.receive_offer(offered)
    assert answering.answer(TEMPLATE, ours("a")).description.options == ("ice2", "trickle")
    assert OfferAnswer().offer(TEMPLATE, ours("a")).description.options == ("ice2",)


def test_who_receives_an_answer_is_told_what_the_agent_must_know():
    dialog = OfferAnswer()
    dialog.offer(TEMPLATE, ours("a"))
    assert dialog.state is SignalingState.HAVE_LOCAL_OFFER
    received = dialog.receive_answer(theirs())
    assert dialog.state is SignalingState.STABLE
    assert received.uses == {"a": IceUse.ICE}
    assert received.description == theirs().description
    assert (received.restarted, received.remote_candidates) == ((), {})


@pytest.mark.req("RFC8839-012")
def test_offer_without_ice_is_answered_without_ice():
    dialog = OfferAnswer()
    received = dialog.receive_offer(TEMPLATE)
    assert (received.uses, received.description) == ({"a": IceUse.NONE}, None)
    answered = dialog.answer(TEMPLATE, ours("a"))
    assert "ice" not in answered.to_sdp()
    assert "candidate" not in answered.to_sdp()


def test_stream_without_ice_beside_one_with_it_is_answered_without_it():
    dialog = OfferAnswer()
    received = dialog.receive_offer(parsed(*audio(*CREDENTIALS, HOST, "a=mid:a"), *VIDEO))
    assert received.uses == {"a": IceUse.ICE, "v": IceUse.NONE}
    assert tuple(dialog.answer(TWO, ours("a", "v")).descriptions) == ("a",)


def test_answerer_without_an_agent_does_without_ice():
    dialog = OfferAnswer()
    dialog.receive_offer(theirs())
    assert dialog.answer(TEMPLATE, None).descriptions == {}


@pytest.mark.req("RFC8839-014")
@pytest.mark.parametrize("answer", [TWO, theirs("a=ice-mismatch")])
def test_answer_without_ice_ends_it_for_the_session(answer):
    dialog = OfferAnswer()
    dialog.offer(TEMPLATE, ours("a"))
    received = dialog.receive_answer(answer)
    assert received.description is None
    assert IceUse.ICE not in received.uses.values()
    assert dialog.must_restart is False  # there was none before


# Mismatch

ELSEWHERE = audio(*CREDENTIALS, HOST, "a=mid:a", port=7777)


@pytest.mark.req("RFC8839-006", "RFC8839-009")
def test_mismatched_stream_is_answered_without_candidates_and_the_others_with_ice():
    dialog = OfferAnswer()
    second = audio("a=ice-ufrag:second", f"a=ice-pwd:{'s' * 22}", HOST.replace("5000", "5002"), "a=mid:v", port=5002)
    received = dialog.receive_offer(parsed(*ELSEWHERE, *second))
    assert received.uses == {"a": IceUse.MISMATCH, "v": IceUse.ICE}
    answered = dialog.answer(TWO, ours("a", "v"))
    one, other = answered.sections
    assert (one.ice.mismatch, one.ice.candidates, one.ice.ufrag) == (True, (), None)
    assert (one.port, one.host) == (5000, "192.0.2.1")  # the template's, by RFC 3264
    assert (other.ice.mismatch, len(other.ice.candidates)) == (False, 1)


@pytest.mark.req("RFC8839-009", "RFC8839-014")
def test_answer_with_a_mismatch_ends_ice_for_that_stream_only():
    dialog = OfferAnswer()
    dialog.offer(TWO, ours("a", "v"))
    received = dialog.receive_answer(theirs("a=ice-mismatch", mids=("a", "v")))
    assert received.uses == {"a": IceUse.MISMATCH, "v": IceUse.ICE}
    assert tuple(received.descriptions) == ("v",)


@pytest.mark.req("RFC8839-006")
def test_mismatch_that_the_offerer_finds_ends_ice_for_the_session():
    dialog = OfferAnswer()
    dialog.offer(TWO, ours("a", "v"))
    second = audio("a=ice-ufrag:second", f"a=ice-pwd:{'s' * 22}", HOST.replace("5000", "5002"), "a=mid:v", port=5002)
    received = dialog.receive_answer(parsed(*ELSEWHERE, *second))
    assert received.uses == {"a": IceUse.MISMATCH, "v": IceUse.MISMATCH}
    assert received.description is None


def test_servers_that_write_any_default_are_served_on_request():
    dialog = OfferAnswer(mismatch=MismatchPolicy.CONTINUE)
    received = dialog.receive_offer(SessionSdp.from_sdp(fixture("lite-server")))
    assert received.uses == {"0": IceUse.ICE}
    assert received.description.lite is True
    assert OfferAnswer().receive_offer(SessionSdp.from_sdp(fixture("lite-server"))).uses == {"0": IceUse.MISMATCH}


# Order


def test_offers_and_answers_out_of_turn_are_refused_and_change_nothing():
    dialog = OfferAnswer()
    for out_of_turn in (
        lambda: dialog.answer(TEMPLATE, ours("a")),
        lambda: dialog.receive_answer(theirs()),
        dialog.roll_back,
        dialog.fork,
    ):
        with pytest.raises(LocalProtocolError):
            out_of_turn()
    dialog.receive_offer(theirs())
    with pytest.raises(LocalProtocolError, match="our offer: not in the state have-remote-offer"):
        dialog.offer(TEMPLATE, ours("a"))
    assert dialog.state is SignalingState.HAVE_REMOTE_OFFER


def test_section_that_is_not_there_is_refused():
    dialog = OfferAnswer()
    with pytest.raises(LocalProtocolError, match=r"offer\(\): mid: no section"):
        dialog.offer(TEMPLATE, ours("x"))
    dialog.receive_offer(theirs(mids=("x",)))
    with pytest.raises(LocalProtocolError, match=r"answer\(\): mid: no section"):
        dialog.answer(TEMPLATE, ours("x"))
    assert dialog.state is SignalingState.HAVE_REMOTE_OFFER


def test_offer_that_failed_was_never_made():
    dialog = agreed("a")
    dialog.offer(TEMPLATE, ours("a", generation="two"))
    dialog.roll_back()
    assert dialog.state is SignalingState.STABLE
    again = dialog.offer(TEMPLATE, ours("a"))  # no restart: the old generation is still ours
    assert dialog.receive_answer(theirs()).restarted == ()
    assert again.description[0].ufrag == "aone"
    dialog.receive_offer(theirs(generation="else"))
    dialog.roll_back()
    assert dialog.receive_offer(theirs()).restarted == ()


@pytest.mark.req("RFC8839-042")
def test_each_answer_to_a_forked_offer_has_a_dialog_of_its_own():
    first = OfferAnswer()
    first.offer(TEMPLATE, ours("a"))
    second = first.fork()
    assert first.receive_answer(theirs(generation="phone")).description[0].ufrag == "phonea"
    assert second.state is SignalingState.HAVE_LOCAL_OFFER
    assert second.receive_answer(theirs(generation="desk")).description[0].ufrag == "deska"
    assert first.receive_offer(theirs(generation="phone")).restarted == ()


# Later offers


@pytest.mark.req("RFC8839-019", "RFC8839-020")
def test_before_nomination_all_is_told_again_in_order_with_what_is_new():
    dialog = agreed("a", candidates=(OURS,), options=("ice2", "trickle"), end_of_candidates=False)
    later = dialog.offer(TEMPLATE, ours("a", candidates=(MORE,), pacing=20))
    [stream] = later.description
    assert [one.to_sdp() for one in stream.candidates] == [f"candidate:{OURS}", f"candidate:{MORE}"]
    assert (set(stream.options), stream.pacing, stream.ufrag) == ({"ice2", "trickle"}, 50, "aone")


@pytest.mark.req("RFC8839-021", "RFC8839-001")
@pytest.mark.parametrize("controlling", [True, False])
def test_after_nomination_there_is_what_was_nominated_alone(controlling):
    dialog = agreed("a", candidates=(OURS, MORE))
    [section] = dialog.offer(
        TEMPLATE, ours("a", candidates=(OURS, MORE)), outcomes={"a": REFLEXIVE}, controlling=controlling
    ).sections
    assert section.ice.candidates == (Candidate.from_sdp(MORE),)
    assert section.destinations == {1: Address("203.0.113.7", 6600)}
    remote = (RemoteCandidate(1, Address("192.0.2.1", 5000)),)
    assert section.ice.remote_candidates == (remote if controlling else ())


@pytest.mark.req("RFC8839-016")
def test_failed_stream_is_removed_by_the_next_offer():
    dialog = agreed("a", "v")
    outcomes = {"a": FAILED, "v": SELECTED}
    assert dialog.needs_offer(outcomes, controlling=True) is True
    assert dialog.needs_offer(outcomes, controlling=False) is False
    template = parsed(*AUDIO, *VIDEO, *audio("a=mid:w", port=5004), session=["a=group:BUNDLE a w", "a=group:LS a v"])
    written = dialog.offer(template, ours("a", "v"), outcomes=outcomes, controlling=True)
    assert [section.port for section in written.sections] == [0, 6000, 0]
    assert tuple(written.descriptions) == ("v",)
    assert written.lines[-4:-2] == ("a=group:BUNDLE", "a=group:LS a v")
    dialog.receive_answer(theirs(mids=("a", "v")))
    assert dialog.needs_offer(outcomes, controlling=True) is False  # it is done


@pytest.mark.req("RFC8839-015")
def test_partner_without_ice2_is_told_when_the_nominated_pair_is_not_the_default():
    old, new = theirs(session=()), theirs()
    assert agreed("a", remote=old).needs_offer({"a": REFLEXIVE}, controlling=True) is True
    assert agreed("a", remote=old).needs_offer({"a": REFLEXIVE}, controlling=False) is False
    assert agreed("a", remote=old).needs_offer({"a": SELECTED}, controlling=True) is False
    elsewhere = StreamOutcome((pair(remote=HOST.replace("5000", "5555")),))
    assert agreed("a", remote=old).needs_offer({"a": elsewhere}, controlling=True) is True
    assert agreed("a", remote=new).needs_offer({"a": REFLEXIVE}, controlling=True) is False
    assert agreed("a", remote=old).needs_offer({"a": StreamOutcome()}, controlling=True) is False  # not over yet
    assert OfferAnswer().needs_offer({"a": REFLEXIVE}, controlling=True) is False


def test_no_offer_is_needed_while_one_waits():
    dialog = agreed("a", remote=theirs(session=()))
    dialog.offer(TEMPLATE, ours("a"))
    assert dialog.needs_offer({"a": REFLEXIVE}, controlling=True) is False


# Restarts


@pytest.mark.req("RFC8839-017")
def test_credentials_that_move_between_levels_are_no_restart():
    dialog = OfferAnswer()
    dialog.receive_offer(parsed(*audio(HOST, "a=mid:a"), session=CREDENTIALS))
    dialog.answer(TEMPLATE, ours("a"))
    assert dialog.receive_offer(parsed(*audio(*CREDENTIALS, HOST, "a=mid:a"))).restarted == ()
    dialog.answer(TEMPLATE, ours("a"))
    changed = audio("a=ice-ufrag:changed", f"a=ice-pwd:{'c' * 22}", HOST, "a=mid:a")
    assert dialog.receive_offer(parsed(*changed)).restarted == ("a",)


@pytest.mark.req("RFC8839-017")
@pytest.mark.parametrize("half", [("a=ice-ufrag:changed", CREDENTIALS[1]), (CREDENTIALS[0], f"a=ice-pwd:{'c' * 22}")])
def test_half_a_restart_is_rejected(half):
    dialog = OfferAnswer()
    dialog.receive_offer(parsed(*audio(*CREDENTIALS, HOST, "a=mid:a")))
    dialog.answer(TEMPLATE, ours("a"))
    with pytest.raises(ValueError, match="section a: a restart changes ice-ufrag and ice-pwd both") as caught:
        dialog.receive_offer(parsed(*audio(*half, HOST, "a=mid:a")))
    assert PWD not in str(caught.value)
    assert dialog.state is SignalingState.STABLE


@pytest.mark.req("RFC8839-019")
@pytest.mark.parametrize(
    ("lines", "name"),
    [(["a=ice-lite", *ICE2], "ice-lite"), (["a=ice-pacing:20", *ICE2], "ice-pacing"), (["a=ice-options:ice2 x"], "ice-options")],
)
def test_what_only_a_restart_may_change_is_rejected_otherwise(lines, name):
    dialog = OfferAnswer()
    dialog.receive_offer(theirs())
    dialog.answer(TEMPLATE, ours("a"))
    with pytest.raises(ValueError, match=f"section a: {name} changes only in a restart"):
        dialog.receive_offer(theirs(session=lines))
    assert dialog.receive_offer(theirs(session=lines, generation="again")).restarted == ("a",)


@pytest.mark.req("RFC8839-019")
def test_we_change_nothing_without_a_restart_either():
    dialog = agreed("a")
    with pytest.raises(LocalProtocolError, match="ice-lite changes only in a restart"):
        dialog.offer(TEMPLATE, ours("a", lite=True))
    half = SessionDescription([Description("other", ours("a")[0].pwd)], mids=["a"])
    with pytest.raises(LocalProtocolError, match="both"):
        dialog.offer(TEMPLATE, half)
    assert dialog.state is SignalingState.STABLE
    restarted = dialog.offer(TEMPLATE, ours("a", lite=True, generation="two"), outcomes={"a": REFLEXIVE})
    assert (restarted.ice.lite, restarted.description[0].candidates) == (True, (Candidate.from_sdp(OURS),))


def test_restart_is_answered_with_a_restart():
    dialog = agreed("a")
    dialog.offer(TEMPLATE, ours("a", generation="two"))
    with pytest.raises(ValueError, match="section a: the offer restarts ICE, and the answer does not"):
        dialog.receive_answer(theirs())
    assert dialog.state is SignalingState.HAVE_LOCAL_OFFER
    assert dialog.receive_answer(theirs(generation="else")).restarted == ("a",)
    dialog.receive_offer(theirs(generation="third"))
    with pytest.raises(LocalProtocolError, match="the offer restarts ICE, and the answer does not"):
        dialog.answer(TEMPLATE, ours("a", generation="two"))
    dialog.answer(TEMPLATE, ours("a", generation="three"))
    dialog.receive_offer(theirs(generation="third"))
    with pytest.raises(LocalProtocolError, match="the offer does not restart ICE, and the answer does"):
        dialog.answer(TEMPLATE, ours("a", generation="four"))


@pytest.mark.req("RFC8839-024")
def test_answer_that_drops_ice_in_mid_session_is_followed_by_a_restart():
    dialog = agreed("a", "v")
    dialog.offer(TWO, ours("a", "v"))
    received = dialog.receive_answer(TWO)
    assert received.uses == {"a": IceUse.NONE, "v": IceUse.NONE}
    assert (dialog.state, dialog.must_restart) == (SignalingState.STABLE, True)
    with pytest.raises(LocalProtocolError, match="every stream must restart"):
        dialog.offer(TWO, ours("a", "v"))
    dialog.offer(TWO, ours("a", "v", generation="two"))
    assert dialog.receive_answer(theirs(mids=("a", "v"))).description is not None
    assert dialog.must_restart is False


# The race of appendix B

NAMED = "a=remote-candidates:1 192.0.2.7 6000"


@pytest.mark.req("RFC8839-022", "RFC8839-023")
def test_answer_has_the_candidates_that_the_offer_says_were_selected_and_names_none():
    dialog = OfferAnswer()
    dialog.receive_offer(theirs())
    dialog.answer(TEMPLATE, ours("a", candidates=(MORE, OURS)))
    received = dialog.receive_offer(theirs(NAMED))
    assert received.remote_candidates == {"a": (RemoteCandidate(1, Address("192.0.2.7", 6000)),)}
    [section] = dialog.answer(TEMPLATE, ours("a", candidates=(MORE, OURS)), outcomes={"a": REFLEXIVE}).sections
    assert section.ice.candidates == (Candidate.from_sdp(OURS),)
    assert section.destinations == {1: Address("192.0.2.7", 6000)}
    assert section.ice.remote_candidates == ()


@pytest.mark.req("RFC8839-022")
def test_answer_after_nomination_has_the_nominated_candidate_and_names_none_of_the_peers():
    dialog = OfferAnswer()
    dialog.receive_offer(theirs())
    dialog.answer(TEMPLATE, ours("a", candidates=(MORE, OURS)))
    for lines in ((), ("a=remote-candidates:1 192.0.2.99 1",)):
        dialog.receive_offer(theirs(*lines))
        [section] = dialog.answer(TEMPLATE, ours("a", candidates=(MORE, OURS)), outcomes={"a": REFLEXIVE}).sections
        assert (section.ice.candidates, section.ice.remote_candidates) == ((Candidate.from_sdp(MORE),), ())


def test_stream_that_restarts_is_answered_as_at_first():
    dialog = OfferAnswer()
    dialog.receive_offer(theirs())
    dialog.answer(TEMPLATE, ours("a"))
    dialog.receive_offer(theirs(generation="again"))
    answered = dialog.answer(TEMPLATE, ours("a", generation="two", candidates=(MORE, OURS)), outcomes={"a": SELECTED})
    assert len(answered.description[0].candidates) == 2


@pytest.mark.req("RFC8839-023")
@pytest.mark.parametrize(
    ("valid", "states", "verdict"),
    [
        ([pair()], [PairState.SUCCEEDED], RaceVerdict.AGREED),
        ([], [PairState.IN_PROGRESS, PairState.FAILED], RaceVerdict.WAIT),
        ([pair(local=MORE)], [PairState.IN_PROGRESS], RaceVerdict.WAIT),
        ([], [PairState.FAILED], RaceVerdict.LOST),
        ([], [PairState.WAITING], RaceVerdict.WAIT),
        ([pair(remote=HOST.replace("5000", "5001"))], [PairState.FAILED], RaceVerdict.LOST),
    ],
)
def test_race_between_the_offer_and_the_check_is_judged_by_what_is_known(valid, states, verdict):
    [section] = theirs(NAMED).sections
    checklist = [pair(state=state) for state in states]
    other = pair(remote=HOST.replace("5000", "5001"), state=PairState.IN_PROGRESS)  # another candidate's checks do not matter
    assert judge_remote_candidates(section, valid, [*checklist, other]) is verdict


def test_offer_that_names_nothing_has_nothing_to_race():
    assert judge_remote_candidates(theirs().sections[0], [], []) is RaceVerdict.AGREED
