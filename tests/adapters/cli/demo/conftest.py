"""A story told in advance: two ends with two candidates each, of which the first pair wins."""

import pytest

from sansice.ice import Candidate, IceState, PairState
from sansice_cli.demo._reports import CandidateFound, DataArrived, PairMoved, PeerKnown, Selected, StateMoved
from sansice_cli.demo._story import Story

A1 = Candidate.from_sdp("1 1 udp 2130706431 192.0.2.1 5001 typ host")
A2 = Candidate.from_sdp("2 1 udp 2130706175 fd00::1 5002 typ host")
B1 = Candidate.from_sdp("1 1 udp 2130706431 192.0.2.1 6001 typ host")
B2 = Candidate.from_sdp("2 1 udp 2130706175 fd00::1 6002 typ host")
BEST, SECOND = 9151314442783293438, 9150214931155516926

STEPS = [
    ("a", CandidateFound(99.0, A1)),
    ("a", CandidateFound(99.0, A2)),
    ("b", CandidateFound(99.5, B1)),
    ("b", CandidateFound(99.5, B2)),
    ("b", PeerKnown(100.0)),
    ("a", PeerKnown(100.001)),
    ("b", StateMoved(100.0005, IceState.CHECKING)),
    ("b", PairMoved(100.0005, B1, A1, BEST, PairState.IN_PROGRESS)),
    ("b", PairMoved(100.0005, B2, A2, SECOND, PairState.WAITING)),
    ("a", StateMoved(100.002, IceState.CHECKING)),
    ("a", PairMoved(100.002, A1, B1, BEST, PairState.IN_PROGRESS)),
    ("a", PairMoved(100.002, A2, B2, SECOND, PairState.WAITING)),
    ("a", StateMoved(100.003, IceState.CONNECTED)),
    ("a", PairMoved(100.003, A1, B1, BEST, PairState.SUCCEEDED)),
    ("b", PairMoved(100.003, B1, A1, BEST, PairState.SUCCEEDED)),
    ("b", DataArrived(100.0035)),
    ("b", PairMoved(100.051, B2, A2, SECOND, PairState.FAILED)),
    ("b", Selected(100.052, B1, A1, BEST)),
    ("a", PairMoved(100.053, A2, B2, SECOND, None)),
    ("a", StateMoved(100.053, IceState.COMPLETED)),
    ("a", Selected(100.053, A1, B1, BEST)),
]


@pytest.fixture
def steps():
    """(end, report) in order of arrival; A knows B at 100.001 s, a millisecond after B knows A."""
    return list(STEPS)


@pytest.fixture
def story():
    """A story without a step."""
    return Story.of_processes(11, 12)


@pytest.fixture
def told(story, steps):
    """The whole story."""
    for end, report in steps:
        getattr(story, end).take(report)
    return story
