"""What came of a demonstration, for programs and for people."""

from __future__ import annotations

import json
import math

import attrs

from sansice.ice import Candidate, CandidateType, PairState

from ._echo import Echo
from ._story import EndStory, PairStory, Story

_TYPES = {
    CandidateType.HOST: "host",
    CandidateType.SERVER_REFLEXIVE: "server-reflexive",
    CandidateType.PEER_REFLEXIVE: "peer-reflexive",
    CandidateType.RELAYED: "relayed",
}


@attrs.frozen
class Outcome:
    """The end of the story.

    Attributes:
        story, echo: all that happened.
        problem: why it is no success, in a sentence; "" where it is one.
        explanation: what the agent has to say about the problem.
        is_abandoned: whether the problem is that the other process ended.
        remark: what else there is to say where there is no problem.
    """

    story: Story
    echo: Echo
    problem: str = ""
    explanation: str = ""
    is_abandoned: bool = False
    remark: str = ""

    @classmethod
    def of(cls, story: Story, echo: Echo, problem: str, explanation: str, *, is_abandoned: bool = False) -> Outcome:
        """Judge; ``problem`` is what ended the attempt early, if anything did."""
        if not problem and not story.is_connected:
            problem = "The two ends selected different pairs."
        if not problem and echo.echoed < echo.count:
            problem = f"Only {echo.echoed} of {echo.count} datagrams came back."
        return cls(story, echo, problem, explanation, is_abandoned)

    @property
    def exit_code(self) -> int:
        """0 only if everything happened."""
        return 1 if self.problem else 0

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(self.values())

    def values(self) -> dict[str, object]:
        """For a program; what was not reached is null, and ``error`` is there only on failure."""
        pair = self.story.a.selected
        trips = self.echo.round_trips
        values: dict[str, object] = {
            "connected": self.story.is_connected,
            "sent": self.echo.sent,
            "echoed": self.echo.echoed,
            "setup_ms": _ms(self.story.setup),
            "first_byte_ms": _ms(self.story.first_byte),
            "round_trip_ms": {"p50": _ms(percentile(trips, 50)), "p99": _ms(percentile(trips, 99))} if trips else None,
            "pair": {"local": _side(pair.local), "remote": _side(pair.remote)} if pair else None,
        }
        if self.problem:
            values["error"] = self.problem
        return values

    def sentences(self) -> list[str]:
        """The result, for a person: which pair won and why, how long it took, what came back; or the problem."""
        lines = []
        story, echo = self.story, self.echo
        if story.a.selected is not None:
            lines.append(why(story.a, story.a.selected))
        if story.setup is not None and story.first_byte is not None:
            lines.append(
                f"The first datagram arrived {_show(story.first_byte)} after both ends knew each other's description;"
                f" the pair was selected after {_show(story.setup)}."
            )
        if echo.round_trips:
            lines.append(
                f"{echo.echoed} of {echo.count} datagrams of {echo.size} bytes came back;"
                f" round trip p50 {_show(percentile(echo.round_trips, 50))}, p99 {_show(percentile(echo.round_trips, 99))}."
            )
        if self.problem:
            lines.append(f"It did not work: {self.problem}")
        elif self.remark:
            lines.append(self.remark)
        lines.extend(self.explanation.splitlines())
        return lines


def why(end: EndStory, won: PairStory) -> str:
    """Which pair won and why, in a sentence."""
    types = f"{_TYPES[won.local.type]} to {_TYPES[won.remote.type]}"
    direct = won.local.type is won.remote.type is CandidateType.HOST
    return (
        f"{won.local.address} -> {won.remote.address} won ({types}{', no NAT between them' if direct else ''}):"
        f" {_reason(end, won)}."
    )


def _reason(end: EndStory, won: PairStory) -> str:
    others = [pair for pair in end.pairs.values() if pair is not won]
    better = [pair for pair in others if pair.priority > won.priority]
    if not others:
        return "it is the only pair, and its check was answered"
    if not better:
        return f"its check was answered, and of {len(others) + 1} pairs it has the highest priority"
    failed = sum(pair.state is PairState.FAILED for pair in better)
    which = "the pair" if len(better) == 1 else f"the {len(better)} pairs"
    if failed == len(better):
        return f"its check was answered, and {which} of higher priority failed"
    return f"its check was answered, and {which} of higher priority did not answer in time"


def percentile(values: list[float], percent: int) -> float:
    """The nearest-rank percentile of at least one value."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _show(seconds: float) -> str:
    ms = seconds * 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms" if ms < 100 else f"{ms:.0f} ms"


def _side(candidate: Candidate) -> dict[str, str]:
    return {"type": candidate.type.value, "address": str(candidate.address)}
