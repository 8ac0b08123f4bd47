import attrs
import pytest

from sansice.ice import Candidate, IceState, PairState
from sansice_cli.demo._reports import Selected


def approximately(milliseconds):
    return pytest.approx(milliseconds / 1000, abs=1e-9)


def test_times_count_from_the_moment_both_ends_know_each_other(told):
    assert told.setup == approximately(52)
    assert told.first_byte == approximately(2.5)


def test_steps_count_from_the_moment_the_first_end_knows_the_other(told):
    assert told.since_known(100.0005) == approximately(0.5)
    assert told.since_known(99.0) == 0.0


def test_nothing_is_timed_before_the_ends_know_each_other(story):
    assert (story.since_known(99.0), story.setup, story.first_byte) == (None, None, None)


def test_setup_waits_for_both_ends(story, steps):
    for end, report in steps:
        if not (end == "b" and isinstance(report, Selected)):
            getattr(story, end).take(report)
    assert story.setup is None
    assert not story.is_connected


def test_ends_that_selected_the_same_pair_are_connected(told):
    assert told.is_connected
    assert told.a.state is IceState.COMPLETED


def test_ends_that_selected_different_pairs_are_not_connected(story, steps):
    for end, report in steps:
        if end == "b" and isinstance(report, Selected):
            other = Candidate.from_sdp("9 1 udp 1 192.0.2.9 9 typ host")
            report = attrs.evolve(report, remote=other)
        getattr(story, end).take(report)
    assert not story.is_connected


def test_pair_remembers_its_states(told):
    first, second = told.a.pairs.values()
    assert first is told.a.selected
    assert [state for _, state in first.steps] == [PairState.IN_PROGRESS, PairState.SUCCEEDED]
    assert [state for _, state in second.steps] == [PairState.WAITING, None]
    assert second.state is PairState.WAITING


def test_candidates_are_numbered_by_end_and_strangers_show_their_address(told):
    assert [told.label(candidate) for candidate in told.a.candidates + told.b.candidates] == ["A1", "A2", "B1", "B2"]
    assert told.label(Candidate.from_sdp("9 1 udp 1 192.0.2.9 9 typ prflx")) == "192.0.2.9:9"


def test_selected_pair_that_is_on_no_checklist_is_known_too(story, steps):
    story.a.take(next(report for _, report in steps if isinstance(report, Selected)))
    assert list(story.a.pairs.values()) == [story.a.selected]
