"""What both ends have in the end: each rule on evidence that keeps it and on evidence that breaks it."""

import attrs
import pytest

from sansice.ice import CandidateType, IceRole, IceState, PairSelected
from sansice.simulation import Harm
from sansice.simulation._exploration._agreement import Connects, EndsAgree, OneSelectedPair, RolesDiffer, SelectionLasts
from sansice.simulation._exploration._invariant import Invariant
from simulation._exploring import ELSEWHERE, HERE, PATH, THERE, Story, answer, both, candidate, check, end, pair

OURS, OTHER = pair(nominated=True), pair(ELSEWHERE, nominated=True)
THEIRS = pair(HERE, local=candidate(THERE), nominated=True)


def ends(one, two, **seen):
    """Both ends with the pairs that they have selected; who has one can send."""
    found = both()
    for name, selected in (("A", one), ("B", two)):
        vars(found[name].agent).update(selected_pair=selected, writable=selected is not None, **seen)
    return found


def test_ends_that_selected_the_same_pair_agree_at_any_time():
    rule = EndsAgree(ends(OURS, THEIRS))
    assert rule.quiet(Harm()) is None
    assert rule.ended(Harm()) is None
    assert EndsAgree(ends(OURS, None)).quiet(Harm()) is None
    assert EndsAgree(ends(None, None)).ended(Harm()) is None


def test_a_disagreement_may_last_as_long_as_a_check_and_no_longer():
    found = ends(OTHER, THEIRS)
    rule = EndsAgree(found)
    assert rule.quiet(Harm()) is None
    found["A"].node.time = 2.5
    assert rule.quiet(Harm()) is None
    found["A"].node.time = 2.6
    assert rule.quiet(Harm()) == f"A selected {HERE} - {ELSEWHERE}, B {THERE} - {HERE}"
    assert rule.ended(Harm()) == rule.quiet(Harm())
    found["A"].agent.selected_pair = OURS
    assert rule.quiet(Harm()) is None
    found["A"].agent.selected_pair = OTHER
    assert rule.quiet(Harm()) is None  # a new one


def test_ends_of_which_one_is_deaf_may_disagree_until_the_end():
    found = ends(OTHER, THEIRS)
    rule = EndsAgree(found)
    assert rule.quiet(Harm(broken=True)) is None
    found["A"].node.time = 9.0
    assert rule.quiet(Harm(broken=True)) is None
    assert "selected" in rule.ended(Harm(broken=True))


def test_at_the_end_both_can_send_or_neither():
    finding = EndsAgree(ends(OURS, None)).ended(Harm())
    assert finding == "A can send, but B is checking"
    found = ends(OURS, THEIRS)
    found["B"].node.running = False
    assert EndsAgree(found).ended(Harm()) == "A is connected to nobody"
    found["A"].agent.writable = False
    assert EndsAgree(found).ended(Harm()) is None
    assert EndsAgree(found).quiet(Harm()) is None  # nobody can ask the dead


def test_more_or_fewer_than_two_ends_are_not_compared():
    alone = {"A": end("A", selected_pair=OTHER, writable=True, state=IceState.COMPLETED)}
    assert EndsAgree(alone).quiet(Harm()) is None
    assert EndsAgree(alone).ended(Harm()) is None
    assert RolesDiffer(alone).quiet(Harm()) is None


def test_who_has_selected_has_another_role_than_the_peer():
    found = both(state=IceState.COMPLETED)
    assert RolesDiffer(found).quiet(Harm()) is None
    found["B"].agent.state = IceState.COMPLETED
    assert RolesDiffer(found).quiet(Harm()) is None
    found["B"].agent.role = IceRole.CONTROLLING
    assert RolesDiffer(found).quiet(Harm()) == "both are controlling"


def test_one_pair_is_selected_and_told():
    told = PairSelected(0, 1, OURS)
    story = Story(OneSelectedPair)
    assert story.timer(tells=[told], then={"pairs": (OURS,), "selected_pair": OURS}) is None
    assert story.timer() is None
    assert "2 nominated pairs" in story.timer(then={"pairs": (OURS, OTHER)})
    assert "1 nominated pairs, selected is nothing" in Story(OneSelectedPair).timer(then={"pairs": (OURS,)})
    assert "told" in Story(OneSelectedPair).timer(tells=[told])
    assert "told" in Story(OneSelectedPair).timer(tells=[told], then={"selected_pair": OTHER})
    assert "did not tell" in Story(OneSelectedPair).timer(then={"selected_pair": OURS})
    assert "did not tell" in story.timer(then={"pairs": (OTHER,), "selected_pair": OTHER})


@pytest.mark.parametrize("role", IceRole)
def test_a_selection_is_undone_only_by_the_controlling_peers_nomination(role):
    story = Story(SelectionLasts)
    story.agent.role = role
    assert story.timer(then={"selected_pair": OTHER}) is None
    assert story.timer() is None
    assert "which the peer did not nominate" in story.timer(then={"selected_pair": OURS})
    assert "has no selected pair any more" in story.timer(then={"selected_pair": None})
    story.timer(then={"selected_pair": OTHER})
    nomination = check(nominates=True, role=IceRole.CONTROLLING)
    sends = [(PATH, answer(nomination, mapped=THERE, by="A"))]
    finding = story.hears(nomination, sends=sends, then={"selected_pair": OURS})
    assert (finding is None) is (role is IceRole.CONTROLLED)


def test_another_mapping_of_the_same_path_is_no_other_selection():
    story = Story(SelectionLasts)
    anew = attrs.evolve(OURS.local, type=CandidateType.PEER_REFLEXIVE, address=ELSEWHERE, related_address=OURS.local.address)
    story.timer(then={"selected_pair": OURS})
    assert story.timer(then={"selected_pair": attrs.evolve(OURS, local=anew)}) is None
    story.timer(then={"selected_pair": OURS})
    other = attrs.evolve(anew, related_address=THERE)
    assert "which the peer did not nominate" in story.timer(then={"selected_pair": attrs.evolve(OURS, local=other)})


def test_ends_connect_on_a_tolerable_network():
    story = Story(Connects)
    assert "A (checking), B (checking) never selected a pair, though only 2" in story.rule.ended(Harm(lost=2))
    assert story.rule.ended(Harm(lost=3)) is None
    assert story.rule.ended(Harm(broken=True)) is None
    story.timer(tells=[PairSelected(0, 1, OURS)])
    assert "B (checking) never" in story.rule.ended(Harm())


def test_an_invariant_that_asks_nothing_finds_nothing():
    story = Story(Invariant)
    assert story.timer() is None
    assert story.rule.quiet(Harm()) is None
    assert story.rule.ended(Harm()) is None
