"""Telling a person, or a program, what an agent tried, how far it got, and why it did not connect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Self

import attrs

from sansice.ice._candidate import Candidate, CandidateType
from sansice.ice._events import IceState, ServerAnswered, ServerFailed
from sansice.ice._pair import PairState
from sansice.machine import DropReason

from ._causes import Finding, find_causes
from ._facts import ComponentFacts, Facts, PairFact, StreamFacts

_TYPES = (CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.PEER_REFLEXIVE, CandidateType.RELAYED)


@attrs.frozen
class Progress:
    """How far one kind of candidate got in one component.

    A pair counts for the more roundabout of its two kinds: what was sent from a host candidate to a relayed one was tried by
    way of a relay.

    Attributes:
        stream, component: which one.
        type: of candidates.
        gathered: how many of ours there are.
        told: how many the peer has told, or its checks have shown.
        pairs: how many were made.
        sent: on how many of these a check was sent.
        heard: on how many one of the peer's came.
        answered: on how many ours was answered.
        nominated: whether one was selected.
    """

    stream: int
    component: int
    type: CandidateType
    gathered: int
    told: int
    pairs: int
    sent: int
    heard: int
    answered: int
    nominated: bool

    def __str__(self) -> str:
        steps = [f"{self.gathered} gathered, {self.told} of the peer's", f"{self.pairs} pairs"]
        if self.pairs:
            steps += [f"checks sent on {self.sent}", f"seen on {self.heard}", f"answered on {self.answered}"]
        if self.nominated:
            steps.append("nominated")
        return ", ".join(steps)


def progress_of(facts: Facts) -> tuple[Progress, ...]:
    """For each component, each kind of candidate; peer-reflexive ones where there are any."""
    everything = (
        _progress(stream, component, type) for stream in facts.streams for component in stream.components for type in _TYPES
    )
    return tuple(one for one in everything if one.pairs or one.type is not CandidateType.PEER_REFLEXIVE)


def _progress(stream: StreamFacts, component: ComponentFacts, type: CandidateType) -> Progress:
    pairs = [pair for pair in component.pairs if pair.kind is type]
    return Progress(
        stream=stream.index,
        component=component.number,
        type=type,
        gathered=sum(candidate.type is type for candidate in component.local),
        told=sum(candidate.type is type for candidate in component.remote),
        pairs=len(pairs),
        sent=sum(pair.sent > 0 for pair in pairs),
        heard=sum(pair.heard > 0 for pair in pairs),
        answered=sum(pair.answered > 0 for pair in pairs),
        nominated=any(pair.nominated for pair in pairs),
    )


class Explanation(str):
    """What an agent tried and how far it got: a text of several lines, and what it was made of.

    A `str`, so that it can be printed, searched and raised as it is.

    Attributes:
        verdict: its first line: the state, and what that comes to.
        findings: what may be the cause, the most likely first; none while it is connected, or still trying.
        progress: of each kind of candidate, in each component.
        facts: all that it was made of; not yet of a shape to rely on.
    """

    __slots__ = ("facts", "findings", "progress", "verdict")

    verdict: str
    findings: tuple[Finding, ...]
    progress: tuple[Progress, ...]
    facts: Facts

    def __new__(cls, facts: Facts) -> Self:
        verdicts, findings, progress = tuple(_verdicts(facts)), find_causes(facts), progress_of(facts)
        told = super().__new__(cls, "\n".join(_lines(facts, verdicts, findings, progress)))
        told.verdict, told.findings, told.progress, told.facts = verdicts[0], findings, progress, facts
        return told

    def __reduce__(self) -> tuple[type[Explanation], tuple[Facts]]:
        return type(self), (self.facts,)

    def to_json(self) -> str:
        """One JSON object.

        It has ``state``, ``role``, ``lite``, ``gathering``, ``policy``, ``verdict``, and lists: ``causes`` (``cause``, ``text``,
        ``advice``, ``evidence``), the most likely first; ``progress``, as `Progress`; ``servers``; ``streams``, each with its
        components, and these with their candidates and pairs; and ``dropped``, by reason.
        """
        facts = self.facts
        return json.dumps(
            {
                "state": facts.state.value,
                "role": facts.role.value,
                "lite": facts.is_lite,
                "gathering": facts.gathering.value,
                "policy": facts.policy.value,
                "verdict": self.verdict,
                "causes": [
                    {"cause": one.cause.value, "text": one.cause.text, "advice": one.cause.advice, "evidence": one.evidence}
                    for one in self.findings
                ],
                "progress": [{**attrs.asdict(one), "type": one.type.value} for one in self.progress],
                "servers": [_server_json(one) for one in facts.servers],
                "streams": [_stream_json(stream) for stream in facts.streams],
                "dropped": {reason.value: count for reason, count in facts.dropped.items()},
            }
        )


# ------------------------------------------------------------------- text


def _lines(facts: Facts, verdicts: Iterable[str], findings: tuple[Finding, ...], progress: tuple[Progress, ...]) -> Iterator[str]:
    yield from verdicts
    for number, finding in enumerate(findings, 1):
        yield f"  cause {number}: {finding}"
    if findings:
        yield from (f"  {_where(facts, one.stream, one.component)}{one.type.value:5} {one}" for one in progress)
    for outcome in facts.servers:
        yield f"  server {_show_server(outcome)}"
    yield from _each(facts, "local", lambda component: map(_show, component.local))
    yield from _each(facts, "remote", lambda component: map(_show, component.remote))
    yield from _each(facts, "lost", lambda component: (f"{name}: no usable address" for name in component.lost_names))
    yield from _each(facts, "pair", lambda component: (_show_pair(pair, facts.is_lite) for pair in component.pairs))
    for reason, count in facts.dropped.items():
        yield f"  dropped {count} x {reason.value}"


def _each(facts: Facts, word: str, show: Callable[[ComponentFacts], Iterable[str]]) -> Iterator[str]:
    for stream in facts.streams:
        for component in stream.components:
            for text in show(component):
                yield f"  {word:6} {_where(facts, stream.index, component.number)}{text}"


def _where(facts: Facts, stream: int, component: int) -> str:
    """Which component, where there are several."""
    streams, components = len(facts.streams), len(facts.streams[stream].components)
    return f"{stream}.{component} " if max(streams, components) > 1 else ""


def _show(candidate: Candidate) -> str:
    return f"{candidate.type.value:5} {candidate.address}"


def _show_pair(pair: PairFact, is_lite: bool) -> str:
    source, destination = pair.path
    if is_lite:
        return f"{source} <- {destination}: checks received {pair.heard}"
    failure = f" ({pair.failure.value})" if pair.failure is not None and pair.state is PairState.FAILED else ""
    counters = f"checks sent {pair.sent}, answered {pair.answered}, received {pair.heard}"
    return f"{source} -> {destination} {pair.state.value}{failure}: {counters}"


def _show_server(outcome: ServerAnswered | ServerFailed) -> str:
    where = f" ({outcome.local})" if outcome.local else ""
    if isinstance(outcome, ServerAnswered):
        relayed = f", relays at {', '.join(map(str, outcome.relayed))}" if outcome.relayed else ""
        return f"{outcome.url}{where}: sees {outcome.mapped}{relayed}"
    code = "" if outcome.code is None else f"{outcome.code} "
    return f"{outcome.url}{where}: {code}{outcome.text}"


# ------------------------------------------------------------------- the verdict


def _verdicts(facts: Facts) -> Iterator[str]:
    lite = " (lite)" if facts.is_lite else ""
    for stream in facts.streams:
        prefix = f"stream {stream.index}: " if len(facts.streams) > 1 else ""
        verdict = _verdict_of_lite(facts, stream) if facts.is_lite else _verdict(facts, stream)
        yield f"ICE{lite} is {stream.state.value}: {prefix}{verdict}"


def _verdict(facts: Facts, stream: StreamFacts) -> str:
    selected = stream.selected
    if selected is not None and (not stream.missing or stream.state is IceState.FAILED):
        path = " -> ".join(map(str, selected.path))
        return f"the selected pair was lost: {path}" if stream.state is IceState.FAILED else f"the selected pair is {path}"
    missing = stream.missing or stream.components
    if not any(component.local for component in missing):
        return _without_candidates(facts)
    if not any(component.remote for component in missing):
        usable = " that can be used" if facts.count(DropReason.UNUSABLE_CANDIDATE) else ""
        return f"the peer has told no candidate{usable}"
    if not any(component.pairs for component in missing):
        if any(component.is_awaiting for component in missing):
            return "the peer is to open a TCP connection, and none has come"
        return "no local candidate is of a remote candidate's address family"
    return _of_checks([pair for component in missing for pair in component.pairs])


def _of_checks(pairs: list[PairFact]) -> str:
    if any(pair.state is PairState.SUCCEEDED for pair in pairs):
        return "a pair is valid, none is selected yet"
    if any(pair.heard for pair in pairs):
        return "the peer's checks arrive here, but ours are not answered"
    if any(pair.sent for pair in pairs):
        return "no check was answered and none of the peer's arrived"
    return "no check has been sent yet"


def _without_candidates(facts: Facts) -> str:
    return "no local candidate" + ("" if facts.gathering.value == "complete" else " yet")


def _verdict_of_lite(facts: Facts, stream: StreamFacts) -> str:
    if not stream.missing:
        is_quiet = stream.state is IceState.DISCONNECTED
        return "the selected pair is silent: the peer's checks come no more" if is_quiet else "every component has its pair"
    if stream.ending is not None or stream.lost_socket:
        return "the peer's checks came no more, or the socket in use was lost"
    if not any(component.local for component in stream.components):
        return _without_candidates(facts)
    if not stream.is_known:
        return "the peer's description is not known"
    if stream.peer_is_lite:
        return "the peer is lite too, and not every component has a candidate of one family on both sides"
    if any(component.checks for component in stream.components):
        numbers = ", ".join(str(component.number) for component in stream.missing if not component.pairs)
        return f"the peer's checks arrive and are answered, but it has nominated no pair of component {numbers}"
    return "no check has arrived"


# ------------------------------------------------------------------- JSON


def _server_json(outcome: ServerAnswered | ServerFailed) -> dict[str, object]:
    told: dict[str, object] = {"url": outcome.url, "local": outcome.local, "seconds": outcome.seconds}
    if isinstance(outcome, ServerAnswered):
        relayed = [str(address) for address in outcome.relayed]
        return {**told, "ok": True, "mapped": str(outcome.mapped), "relayed": relayed, "transport": outcome.transport.value}
    return {**told, "ok": False, "code": outcome.code, "error": outcome.text}


def _stream_json(stream: StreamFacts) -> dict[str, object]:
    return {
        "state": stream.state.value,
        "peer_known": stream.is_known,
        "peer_lite": stream.peer_is_lite,
        "end_of_candidates": stream.is_complete,
        "components": [
            {
                "component": component.number,
                "local": [candidate.to_sdp() for candidate in component.local],
                "remote": [candidate.to_sdp() for candidate in component.remote],
                "pairs": [_pair_json(pair) for pair in component.pairs],
                "lost_names": list(component.lost_names),
                "selected": None if component.selected is None else _pair_json(component.selected),
            }
            for component in stream.components
        ],
    }


def _pair_json(pair: PairFact) -> dict[str, object]:
    return {
        "local": {"type": pair.local.value, "address": str(pair.path[0])},
        "remote": {"type": pair.remote.value, "address": str(pair.path[1])},
        "state": pair.state.value,
        "checks_sent": pair.sent,
        "checks_answered": pair.answered,
        "checks_received": pair.heard,
        "nominated": pair.nominated,
        "failure": None if pair.failure is None else pair.failure.value,
    }
