"""What counts as proven: each rule on evidence that keeps it and on evidence that breaks it."""

import pytest

from sansice.ice import CandidateType, DataReceived, IceRole, IceState, PairSelected, PairState, PairValidated
from sansice.machine import DropReason
from sansice.simulation._exploration._trust_rules import (
    ChecksAreAnswered,
    DataIsTrusted,
    NominationsAreDue,
    NominationsAreFollowed,
    PairsAreChecked,
    PrioritiesAreTrue,
    RolesAreSettled,
    StrangersChangeNothing,
)
from sansice.stun import MessageClass, Method, encode
from simulation._exploring import ELSEWHERE, HERE, PATH, SOCKET, THERE, WRONG, Story, answer, candidate, check, new_id, pair

DATA = b"\x80 data"
RECEIVED = DataReceived(0, 1, DATA)
CONTROLLED = {"role": IceRole.CONTROLLED}


def selected(one=None):
    return PairSelected(0, 1, one or pair())


def checked(make, **options):
    """A story in which a check of A's was answered."""
    story = Story(make)
    request = story.asks(**options)
    story.hears(answer(request))
    return story


def test_data_counts_after_an_authentic_check_or_answer_from_its_source():
    assert checked(DataIsTrusted).hears(DATA, tells=[RECEIVED]) is None
    story = Story(DataIsTrusted)
    story.hears(check(), sends=[])
    assert story.hears(DATA, tells=[RECEIVED]) is None


def test_data_from_elsewhere_is_a_breach_and_dropping_it_is_none():
    story = checked(DataIsTrusted)
    assert story.hears(DATA, path=(SOCKET, ELSEWHERE)) is None
    assert story.hears(DATA, path=(SOCKET, ELSEWHERE), tells=[RECEIVED]) == f"A delivered data from {ELSEWHERE}"
    story = Story(DataIsTrusted)
    story.hears(check(key=WRONG))
    assert "delivered" in story.hears(DATA, tells=[RECEIVED])


@pytest.mark.parametrize("then", [{"state": IceState.CONNECTED}, CONTROLLED, {"selected_pair": pair()}])
def test_a_message_of_a_stranger_that_changes_an_agent_is_a_breach(then):
    assert Story(StrangersChangeNothing).hears(check(key=WRONG)) is None
    assert "acted on a message" in Story(StrangersChangeNothing).hears(check(key=WRONG), then=then)
    assert Story(StrangersChangeNothing).hears(check(), then=then) is None


def test_a_candidate_learned_from_a_stranger_is_a_breach():
    learned = {"remote_candidates": (candidate(THERE, type=CandidateType.PEER_REFLEXIVE),)}
    assert "learned the candidate" in Story(StrangersChangeNothing).hears(check(key=WRONG), then=learned)
    story = Story(StrangersChangeNothing)
    story.hears(check(), then=learned)
    assert story.hears(check(key=WRONG)) is None  # known from an honest one


def test_indications_servers_and_what_meets_an_agent_that_is_over_prove_nothing():
    indication = encode(Method.BINDING, MessageClass.INDICATION, new_id(), [], fingerprint=True)
    failed = {"state": IceState.FAILED}
    assert Story(StrangersChangeNothing).hears(indication, then={"state": IceState.CONNECTED}) is None
    assert Story(StrangersChangeNothing).hears(check(key=WRONG), then=failed) is None
    assert "acted" in Story(StrangersChangeNothing).hears(answer(check(), key=WRONG), then=CONTROLLED)
    question = encode(Method.BINDING, MessageClass.REQUEST, new_id(), [], fingerprint=True)
    story = Story(StrangersChangeNothing)
    story.asks(question)
    assert story.hears(answer(question, key=WRONG), then={"state": IceState.CONNECTED}) is None


def test_a_pair_is_valid_by_an_answer_on_its_path_with_its_mapped_address():
    validated = PairValidated(0, 1, pair())
    assert checked(PairsAreChecked).timer(tells=[validated, selected()]) is None
    assert "no check of its own was answered" in Story(PairsAreChecked).timer(tells=[validated])
    story = Story(PairsAreChecked)
    story.hears(answer(story.asks()), path=(SOCKET, ELSEWHERE))
    assert "no check of its own was answered" in story.timer(tells=[validated])
    story = Story(PairsAreChecked)
    story.hears(answer(story.asks(), mapped=ELSEWHERE))
    assert story.timer(tells=[selected()]) == f"A uses {HERE} - {THERE}, but the peer sees it as {ELSEWHERE}"
    reflexive = pair(local=candidate(ELSEWHERE, type=CandidateType.PEER_REFLEXIVE))
    assert story.timer(tells=[selected(reflexive)]) is None


def test_a_pair_of_a_socket_that_nobody_knows_was_not_checked():
    unknown = pair(local=candidate(ELSEWHERE))
    assert "no check" in checked(PairsAreChecked).timer(tells=[selected(unknown)])


def test_nominating_takes_the_controlling_role_and_a_valid_pair():
    story = checked(NominationsAreDue)
    story.asks(nominates=True)
    assert story.finding is None
    Story(NominationsAreDue).asks()
    story = Story(NominationsAreDue)
    story.asks(nominates=True)
    assert "from where no check of its own was answered" in story.finding
    story = checked(NominationsAreDue)
    story.agent.role = IceRole.CONTROLLED
    story.asks(nominates=True)
    assert story.finding == "A nominates while it is controlled"


def test_a_selection_needs_a_nomination_answered_or_heard():
    story = checked(NominationsAreDue)
    assert "which nobody nominated" in story.timer(tells=[selected()])
    request = story.asks(nominates=True)
    assert story.hears(answer(request), tells=[selected()]) is None
    story = checked(NominationsAreDue)
    nomination = check(nominates=True, role=IceRole.CONTROLLING)
    assert "nobody nominated" in story.hears(nomination, tells=[selected()])  # and did not accept it
    assert story.hears(nomination, sends=[(PATH, answer(nomination, mapped=THERE, by="A"))], tells=[selected()]) is None


def nominated(story, *, path=PATH):
    nomination = check(nominates=True, role=IceRole.CONTROLLING)
    story.hears(nomination, path=path, sends=[(path, answer(nomination, mapped=path[1], by="A"))])


def test_what_was_nominated_is_selected_once_it_is_checked():
    for agent, finding in (
        ({}, True),
        ({"selected_pair": pair()}, False),
        ({"state": IceState.FAILED}, False),
        ({"pairs": (pair(state=PairState.FAILED),)}, False),
        ({"pairs": ()}, False),
    ):
        story = Story(NominationsAreFollowed)
        vars(story.agent).update(CONTROLLED, pairs=(pair(),))
        request = story.asks()
        nominated(story)
        assert ("selected nothing" in (story.hears(answer(request), then=agent) or "")) is finding


def test_a_nomination_is_void_in_another_role_after_a_later_one_and_with_a_check_that_failed():
    def begun():
        story = Story(NominationsAreFollowed)
        vars(story.agent).update(CONTROLLED, pairs=(pair(),))
        return story, story.asks()

    story, request = begun()
    nominated(story)
    nominated(story, path=(SOCKET, ELSEWHERE))
    assert story.hears(answer(request)) is None
    story, request = begun()
    nominated(story)
    story.timer(then={"role": IceRole.CONTROLLING})
    story.timer(then=CONTROLLED)
    assert story.hears(answer(request)) is None
    story, request = begun()
    nominated(story)
    story.hears(answer(story.asks()), path=(SOCKET, ELSEWHERE))
    assert story.hears(answer(request)) is None


def test_a_request_is_answered_once_to_its_source_or_counted():
    def heard(*answers, drops=None, key=None, path=PATH):
        story, request = Story(ChecksAreAnswered), check(key=key)
        sends = [(path, answer(request, **{"mapped": THERE, "by": "A", **options})) for options in answers]
        return story.hears(request, sends=sends, then={} if drops is None else {"stats": drops})

    counted = type("Stats", (), {"dropped": {DropReason.LIMIT: 1}})()
    assert heard({}) is None
    assert heard({"code": 487}) is None
    assert heard(drops=counted) is None
    assert "neither answered" in heard()
    assert "2 times" in heard({}, {})
    assert "elsewhere" in heard({}, path=(SOCKET, ELSEWHERE))
    assert heard({"code": 401}, key=WRONG) is None
    assert "nobody with its password" in heard({}, key=WRONG)
    assert "another address" in heard({"mapped": HERE})
    assert "another address or key" in heard({"key": WRONG})
    assert Story(ChecksAreAnswered).timer() is None


def conflicted(ours, theirs, *, role=IceRole.CONTROLLING, peer=None, then=None, state=IceState.CHECKING):
    story = Story(RolesAreSettled)
    vars(story.agent).update(role=role, state=state)
    story.asks(tiebreaker=ours)
    return story.hears(check(role=peer or role, tiebreaker=theirs), then={"role": then or role})


def test_the_larger_tiebreaker_ends_as_controlling():
    controlling, controlled = IceRole
    assert conflicted(7, 5) is None
    assert conflicted(5, 5) is None
    assert "is controlled" in conflicted(7, 5, then=controlled)
    assert conflicted(5, 7, then=controlled) is None
    assert "is controlling" in conflicted(5, 7)
    assert conflicted(7, 5, role=controlled, then=controlling) is None
    assert "is controlled" in conflicted(7, 5, role=controlled)
    assert conflicted(5, 7, peer=controlled) is None
    assert conflicted(5, 7, state=IceState.FAILED) is None
    story = Story(RolesAreSettled)
    assert story.hears(check(role=controlling)) is None  # nobody has seen its tiebreaker yet
    story.asks(tiebreaker=5)
    assert story.hears(check(role=None)) is None


def refused(*, then=None, repeated=None, valid=False, late=False, over=False):
    story = Story(RolesAreSettled)
    request = story.asks(tiebreaker=5)
    if valid:
        story.hears(answer(story.asks(tiebreaker=5)))
    story.now = 60.0 if late else 0.0
    after = {"role": then or IceRole.CONTROLLING, **(over or {})}
    finding = story.hears(answer(request, code=487), then=after)
    if finding is None and repeated is not None:
        story.asks(tiebreaker=repeated)
        story.asks(request)  # a repetition draws nothing
        return story.finding
    return finding


def test_a_487_switches_the_role_and_draws_a_tiebreaker():
    controlled = IceRole.CONTROLLED
    assert refused(then=controlled, repeated=6) is None
    assert refused() == "A was answered 487 and is controlling still"
    assert refused(valid=True) is None
    assert refused(late=True) is None
    assert refused(over={"state": IceState.FAILED}) is None
    story = Story(RolesAreSettled)
    story.hears(answer(story.asks(tiebreaker=5), code=487), then=CONTROLLED)
    story.asks(tiebreaker=5)
    assert "goes on with the tiebreaker 0x5" in story.finding


def test_a_487_to_an_older_tiebreaker_says_nothing_of_the_present_one():
    story = Story(RolesAreSettled)
    old = story.asks(tiebreaker=5)
    story.asks(tiebreaker=6)
    story.hears(answer(old, code=487), then=CONTROLLED)
    story.asks(tiebreaker=6)
    assert story.finding is None


def test_checks_tell_a_peer_reflexive_priority_and_it_is_what_is_learned():
    story = Story(PrioritiesAreTrue)
    story.asks()
    assert story.finding is None
    story.asks(priority=126 << 24)
    assert "no peer-reflexive one" in story.finding
    story.asks(encode(Method.BINDING, MessageClass.REQUEST, new_id(), [], fingerprint=True))
    assert story.finding is None
    learned = candidate(THERE, type=CandidateType.PEER_REFLEXIVE, priority=1000)
    others = (candidate(ELSEWHERE), learned)
    assert story.hears(check(priority=1000), then={"remote_candidates": others}) is None
    # A stranger replays checks of two candidates from one address: the first is what counts.
    assert story.hears(check(priority=1001)) is None
    story = Story(PrioritiesAreTrue)
    assert "its check said 1001" in story.hears(check(priority=1001), then={"remote_candidates": others})
