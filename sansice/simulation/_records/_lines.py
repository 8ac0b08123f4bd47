"""What happened, one line each and in order: what timelines and diagrams are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from sansice.simulation._world._node import Node
from sansice.simulation._world._packets import Fate
from sansice.stun import TransactionId

from ._cast import Cast
from ._events import in_words
from ._fates import is_loss, reason
from ._journey import Journey
from ._saying import saying

_NOTE, _EVENT, _PACKET = range(3)  # at one instant, what was done to the world comes first, and what agents sent last


@attrs.frozen
class Line:
    """One line.

    Attributes:
        time: virtual seconds; ``None`` for where lines are left out.
        text: a sentence.
        label: shorter, for an arrow that shows the rest.
        journey: of the packet that it is about; ``None`` where it is about none.
        towards: the host for which the packet is meant; "" if that is not known.
    """

    time: float | None
    text: str
    label: str = ""
    journey: Journey | None = None
    towards: str = ""


@attrs.frozen
class Kept:
    """The journeys that were kept of all: the first ones and the last ones.

    Attributes:
        first, last: in order.
        left_out: how many were between them.
    """

    first: Sequence[Journey]
    last: Sequence[Journey]
    left_out: int


def lines_of(kept: Kept, cast: Cast, nodes: Mapping[str, Node], notes: Iterable[tuple[float, str]]) -> list[Line]:
    """Everything that is known of a run, in the order in which it happened.

    Args:
        kept: journeys.
        cast: who is who.
        nodes: whose events are told, by the name to tell them under.
        notes: what was done to the world, with its time.
    """
    journeys = [*kept.first, *kept.last]
    found = [(time, _NOTE, Line(time, text)) for time, text in notes]
    for name, node in nodes.items():
        for time, event in node.events:
            text = in_words(name, event)
            if text is not None:
                found.append((time, _EVENT, Line(time, text)))
    seen: set[TransactionId] = set()
    found += [(journey.time, _PACKET, _packet_line(journey, cast, seen)) for journey in journeys]
    found.sort(key=lambda line: line[:2])
    return _with_gap([line for _, _, line in found], kept)


def _with_gap(lines: list[Line], kept: Kept) -> list[Line]:
    """Between the first and the last journeys kept, one line says how many others there were."""
    if not kept.left_out:
        return lines
    begin = next(index for index in reversed(range(len(lines))) if lines[index].journey in kept.first) + 1
    end = next(index for index in range(begin, len(lines)) if lines[index].journey is not None)
    left_out = kept.left_out + end - begin
    return [*lines[:begin], Line(None, f"{left_out} lines are left out here"), *lines[end:]]


def _packet_line(journey: Journey, cast: Cast, seen: set[TransactionId]) -> Line:
    said = saying(journey.packet)
    again = said.transaction in seen and said.verb in ("asks", "checks") and not journey.is_copy
    if said.transaction is not None:
        seen.add(said.transaction)
    sender, receiver = cast.sender(journey), cast.receiver(journey)
    towards = cast.host_of(journey)
    copy = " (a copy)" if journey.is_copy else ""
    what, why = _outcome(journey, towards)
    text = f"{said.sentence(sender, receiver, again=again)}{copy}{what}"
    return Line(journey.time, text, f"{sender} > {receiver}: {said.label(again=again)}{copy}{why}", journey, towards)


def _outcome(journey: Journey, towards: str) -> tuple[str, str]:
    """What became of it, as the end of a sentence and of a label."""
    if not journey.ends:
        return ", and is under way", ", under way"
    losses = [end for end in journey.ends if is_loss(end.fate)]
    if losses:
        why = reason(losses[0].fate)
        return f", dropped at {losses[0].place}: {why}", f", dropped: {why}"
    reached = [end.place for end in journey.ends if end.fate is Fate.DELIVERED]
    if reached == [towards]:
        return "", ""
    return f", which reaches {', '.join(reached)}", ""
