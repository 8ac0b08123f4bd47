"""A scene of the laboratory, in slow motion: the same story, told by two agents on a simulated network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sansice.ice import IceState
from sansice.simulation import Program, Scene, SceneWorld

from ._echo import Echo
from ._outcome import Outcome
from ._presenter import Presenter
from ._reports import CandidateFound, DataArrived, PeerKnown, Report, Selected
from ._story import EndStory, Story
from ._watch import Watch

SLOWER = 20.0  # a pair is selected within a tenth of a second; then it takes two to watch
LONGEST = 1.0  # real seconds for any silence: a server that does not answer is waited for three virtual ones


class SceneEnd:
    """One agent of the scene.

    Args:
        program: that runs it.
        story: where it is noted.
        tell: takes each report.
    """

    def __init__(self, program: Program, story: EndStory, tell: Callable[[EndStory, Report], None]) -> None:
        self.program = program
        self.story = story
        self._tell_story = tell
        self._watch = Watch(program.agent, self._tell)
        self._candidates = 0
        self._selected: object = None
        self._told = 0

    def _tell(self, report: Report) -> None:
        self._told += 1
        self.story.take(report)
        self._tell_story(self.story, report)

    def look(self, at: float) -> bool:
        """Tell what is new at this virtual time; whether anything is."""
        told, agent, story = self._told, self.program.agent, self.story
        story.role = agent.role
        for candidate in agent.local_candidates[self._candidates :]:
            self._candidates += 1
            self._tell(CandidateFound(at, candidate))
        if story.known_at is None and agent.state is not IceState.NEW:
            self._tell(PeerKnown(at))
        self._watch.look(at)
        pair = agent.selected_pair
        if pair is not None and (pair.local.address, pair.remote.address) != self._selected:
            self._selected = pair.local.address, pair.remote.address
            self._tell(Selected(at, pair.local, pair.remote, pair.priority))
        if story.data_at is None and agent.stats.datagrams_received:
            self._tell(DataArrived(at))
        return self._told > told


class SceneSession:
    """One scene, from its start until it has settled.

    Args:
        scene: whose first couple of agents is shown.
        seed: of all that is random in it.

    Raises:
        ValueError: it has no agents.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        if not scene.agents:
            raise ValueError(f"{scene.name} has no ICE agents; sansice simulate runs it")
        self.world: SceneWorld = scene.build(seed=seed)
        caller = self.world.callers[0]
        self._ends = [_end(name, program, self._note) for name, program in (("A", caller), ("B", caller.peer))]
        self.story = Story(self._ends[0].story, self._ends[1].story)
        self.echo = Echo(1, 1)
        self._reports: list[tuple[EndStory, Report]] = []

    async def run(self, presenter: Presenter, sleep: Callable[[float], Awaitable[object]]) -> Outcome:
        """Let time pass, slowly, and show what happens.

        Args:
            presenter: what shows it.
            sleep: lets real seconds pass.

        Raises:
            SimulationError: see `Network.run`.
        """
        network, horizon = self.world.network, self.world.horizon
        while network.now < horizon and not self.world.is_over:
            before = network.now
            network.run(until=horizon, when=lambda: self._look() or self.world.is_over)
            await sleep(min((network.now - before) * SLOWER, LONGEST))
            self._show(presenter)
        return self._outcome()

    def _note(self, end: EndStory, report: Report) -> None:
        self._reports.append((end, report))

    def _look(self) -> bool:
        is_new = [end.look(self.world.network.now) for end in self._ends]  # both, whatever the first has to tell
        return any(is_new)

    def _show(self, presenter: Presenter) -> None:
        caller = self._ends[0].program
        self.echo.sent, self.echo.echoed, self.echo.count = caller.sent, caller.echoed, max(caller.sent, 1)
        for end, report in self._reports:
            presenter.report(end, report)
        self._reports.clear()
        presenter.refresh(self.echo)

    def _outcome(self) -> Outcome:
        run = self.world.run(until=self.world.network.now)
        if run.connected:
            return Outcome(self.story, self.echo, "; ".join(run.surprises))
        explanation = self._ends[0].program.agent.explain()
        return Outcome(self.story, self.echo, "; ".join(run.surprises), explanation, remark=_NOT_CONNECTED)


_NOT_CONNECTED = "The ends did not connect, as the scene says."


def _end(name: str, program: Program, note: Callable[[EndStory, Report], None]) -> SceneEnd:
    return SceneEnd(program, EndStory(name, f"{program.name} in the laboratory", program.agent.role), note)
