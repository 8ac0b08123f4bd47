"""A scene as the demonstration shows it."""

import attrs
import pytest

from sansice.ice import IceState
from sansice.simulation import Expectation, scenes
from sansice_cli.demo._reports import CandidateFound, DataArrived, PeerKnown, Selected
from sansice_cli.demo._scene import LONGEST, SceneSession


class Notes:
    """A presenter that only remembers."""

    def __init__(self):
        self.reports = []
        self.echoed = []

    def report(self, end, report):
        self.reports.append((end.name, report))

    def refresh(self, echo):
        self.echoed.append((echo.echoed, echo.count))


class Naps:
    """Real seconds, which nobody waits for."""

    def __init__(self):
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)


@pytest.fixture
def shown():
    """Shows a scene: the outcome, the notes of the presenter, and the seconds between two pictures."""

    async def show(name, seed=0):
        notes, naps = Notes(), Naps()
        session = SceneSession(scenes()[name], seed)
        return await session.run(notes, naps), notes, naps.seconds

    return show


async def test_both_ends_tell_every_step_until_the_data_came_back(shown):
    outcome, notes, naps = await shown("two-homes")
    assert (outcome.problem, outcome.exit_code) == ("", 0)
    assert outcome.values()["connected"]
    assert (outcome.echo.sent, outcome.echo.echoed) == (3, 3)
    assert notes.echoed[-1] == (3, 3)
    for name in "AB":
        kinds = [type(report) for whose, report in notes.reports if whose == name]
        assert kinds.index(CandidateFound) < kinds.index(PeerKnown) < kinds.index(Selected) < kinds.index(DataArrived)
        assert kinds.count(Selected) == 1
        assert kinds.count(CandidateFound) == 2
    assert len(naps) == len(notes.echoed)
    assert max(naps) <= LONGEST
    assert sum(naps) > 1


async def test_the_same_seed_tells_the_same_story(shown):
    runs = [await shown("two-homes", seed) for seed in (1, 1, 2)]
    stories = [[(name, repr(report)) for name, report in notes.reports] for _, notes, _ in runs]
    assert stories[0] == stories[1] != stories[2]


async def test_what_cannot_connect_goes_as_its_scene_says(shown):
    outcome, _, _ = await shown("office-udp-blocked")
    assert outcome.exit_code == 0
    assert not outcome.values()["connected"]
    assert outcome.story.a.state is IceState.FAILED
    sentences = outcome.sentences()
    assert sentences[0] == "The ends did not connect, as the scene says."
    assert sentences[1].startswith("ICE is failed")


async def test_a_scene_that_goes_otherwise_than_it_says_is_a_problem():
    scene = scenes()["two-homes"]
    session = SceneSession(attrs.evolve(scene, expect=Expectation(connected=False)), 0)
    outcome = await session.run(Notes(), Naps())
    assert outcome.exit_code == 1
    assert "connected, and not connected was expected" in outcome.problem


async def test_what_changes_later_is_shown_too(shown):
    outcome, _, naps = await shown("laptop-sleeps")
    assert outcome.exit_code == 0
    assert max(naps) == LONGEST


def test_a_scene_without_agents_is_refused():
    with pytest.raises(ValueError, match="no ICE agents"):
        SceneSession(scenes()["relay-restart"], 0)
