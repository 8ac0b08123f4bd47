"""End A against peers of a test's own, and against the real end B in the same process."""

import socket

import pytest
import trio
import trio.testing

from sansice.ice import Candidate, Description, IceState, PairState
from sansice_cli.demo import __main__ as other_end
from sansice_cli.demo._echo import Echo
from sansice_cli.demo._lines import Lines
from sansice_cli.demo._reports import DataArrived, Described, Failed, PairMoved, PeerKnown, Selected
from sansice_cli.demo._session import CONNECT_TIMEOUT, START_TIMEOUT, Session
from sansice_cli.demo._settings import Settings
from sansice_cli.demo._story import Story

PWD = "0123456789012345678901"


class Notes:
    """A presenter that only remembers."""

    def __init__(self):
        self.reports = []
        self.refreshed = []

    def report(self, end, report):
        self.reports.append((end.name, report))

    def refresh(self, echo):
        self.refreshed.append(echo.echoed)

    def conclude(self, outcome):
        raise AssertionError("a session does not conclude")


class Stage:
    """A session, the far end of its link, and what it showed."""

    def __init__(self, echo):
        near, far = trio.testing.memory_stream_pair()
        self.notes = Notes()
        self.story = Story.of_processes(11, 12)
        self.session = Session(Lines(near, near), self.story, echo, self.notes)
        self.far = far
        self.link = Lines(far, far)

    async def run(self, peer):
        """The outcome of the session, while ``peer()`` plays the other process."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer)
            outcome = await self.session.run()
            nursery.cancel_scope.cancel()
        return outcome


@pytest.fixture
def stage():
    return Stage(Echo(20, 200))


async def test_both_ends_connect_and_everything_comes_back(stage):
    with trio.fail_after(20):
        outcome = await stage.run(lambda: other_end.answer(stage.link))
    assert outcome.problem == ""
    assert (outcome.exit_code, outcome.echo.sent, outcome.echo.echoed) == (0, 20, 20)
    assert 0 < stage.story.first_byte <= stage.story.setup
    assert stage.notes.refreshed[-1] == 20


async def test_both_ends_tell_every_step_of_the_winning_pair(stage):
    with trio.fail_after(20):
        await stage.run(lambda: other_end.answer(stage.link))
    for end in (stage.story.a, stage.story.b):
        assert end.state is IceState.COMPLETED
        assert [state for _, state in end.selected.steps] == [PairState.IN_PROGRESS, PairState.SUCCEEDED]
    kinds = [(name, type(report)) for name, report in stage.notes.reports]
    assert kinds.index(("B", PeerKnown)) < kinds.index(("B", Described)) < kinds.index(("A", PeerKnown))
    assert kinds.index(("A", PairMoved)) < kinds.index(("A", Selected))
    assert kinds.index(("B", DataArrived)) < kinds.index(("B", Selected))  # data flows before a pair is selected
    assert ("A", Selected) in kinds


async def test_process_that_ends_early_is_the_reason(stage, autojump_clock):
    async def leave():
        await stage.link.close()

    outcome = await stage.run(leave)
    assert (outcome.exit_code, outcome.is_abandoned) == (1, True)
    assert outcome.problem == "The other process ended before the work was done."


async def test_process_that_never_answers_is_waited_for_a_bounded_time(stage, autojump_clock):
    started = trio.current_time()
    outcome = await stage.run(trio.sleep_forever)
    assert trio.current_time() - started == START_TIMEOUT
    assert outcome.problem == "The other process did not answer within 15 s."


async def test_strange_words_are_the_reason(stage, autojump_clock):
    async def babble():
        await stage.far.send_all(b"Hello!\n")
        await trio.sleep_forever()

    outcome = await stage.run(babble)
    assert outcome.problem.startswith("The other process said something strange: not a report: b'Hello!'")
    assert not outcome.is_abandoned


async def test_failure_of_the_other_end_is_the_reason(stage, autojump_clock):
    async def fail():
        await stage.link.send(Failed(1.0, "ICE is failed: why"))
        await trio.sleep_forever()

    outcome = await stage.run(fail)
    assert (outcome.problem, outcome.explanation) == ("The other end could not connect.", "ICE is failed: why")


async def test_unreachable_candidate_ends_in_a_bounded_time_and_is_explained(stage, autojump_clock):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        candidate = Candidate.from_sdp(f"1 1 udp 2130706431 127.0.0.1 {silent.getsockname()[1]} typ host")

        async def mislead():
            await stage.link.send(Described(1.0, Description("abcd", PWD, candidates=[candidate])))
            await trio.sleep_forever()

        started = trio.current_time()
        outcome = await stage.run(mislead)
    assert trio.current_time() - started == pytest.approx(CONNECT_TIMEOUT)
    assert outcome.problem == "The ends were not connected within 10 s."
    assert "127.0.0.1" in outcome.explanation
    assert outcome.sentences()[0] == "It did not work: The ends were not connected within 10 s."


async def test_lost_datagrams_are_counted_and_not_waited_for_for_ever(autojump_clock):
    class Lossy(Echo):
        def received(self, data, *, now):
            return not data.startswith((b"echo 000000007,", b"echo 000000019,")) and super().received(data, now=now)

    stage = Stage(Lossy(20, 200))
    outcome = await stage.run(lambda: other_end.answer(stage.link))
    assert outcome.problem == "Only 18 of 20 datagrams came back."
    assert (outcome.echo.sent, outcome.exit_code) == (20, 1)


async def test_cancelled_session_leaves_no_socket_behind(stage, nothing_left):
    with nothing_left():
        with trio.move_on_after(20) as scope:
            stage.notes.refresh = lambda echo: scope.cancel() if echo.sent else None
            await stage.run(lambda: other_end.answer(stage.link))
        assert scope.cancelled_caught


async def test_a_lite_end_and_servers_are_asked_for_by_the_settings(stage):
    settings = Settings(lite=True)
    stage.session = Session(stage.session._link, stage.story, stage.session._echo, stage.notes, settings)
    with trio.fail_after(20):
        outcome = await stage.run(lambda: other_end.answer(stage.link, settings))
    assert outcome.problem == ""
    assert outcome.echo.echoed == 20
