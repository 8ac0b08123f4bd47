"""What one end tells of itself, and the line of JSON that carries it.

``at`` is `sansice.driver.clock`, which both processes read alike: it counts from the machine's start.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from sansice.ice import Candidate, Description, IceState, PairState


@attrs.frozen
class CandidateFound:
    """A local candidate was gathered."""

    at: float
    candidate: Candidate


@attrs.frozen
class Described:
    """This is what the other end must know."""

    at: float
    description: Description


@attrs.frozen
class PeerKnown:
    """The other end's description has arrived; checks begin."""

    at: float


@attrs.frozen
class StateMoved:
    """The agent's state changed."""

    at: float
    state: IceState


@attrs.frozen
class PairMoved:
    """A pair is new, or its state changed; ``None``: it left the checklist, because another was selected."""

    at: float
    local: Candidate
    remote: Candidate
    priority: int
    state: PairState | None


@attrs.frozen
class Selected:
    """This pair is in use."""

    at: float
    local: Candidate
    remote: Candidate
    priority: int


@attrs.frozen
class DataArrived:
    """The first datagram of the application was delivered."""

    at: float


@attrs.frozen
class Failed:
    """The agent gave up, or lost consent."""

    at: float
    explanation: str


Report: TypeAlias = CandidateFound | Described | PeerKnown | StateMoved | PairMoved | Selected | DataArrived | Failed


def _read_pair_state(value: str | None) -> PairState | None:
    return None if value is None else PairState(value)


_KINDS: Mapping[str, Callable[..., Report]] = MappingProxyType(
    {kind.__name__: kind for kind in (CandidateFound, Described, PeerKnown, StateMoved, PairMoved, Selected, DataArrived, Failed)}
)
_READ: Mapping[Callable[..., Report], Mapping[str, Callable[[Any], object]]] = MappingProxyType(
    {
        CandidateFound: {"candidate": Candidate.from_sdp},
        Described: {"description": Description.from_json},
        StateMoved: {"state": IceState},
        PairMoved: {"local": Candidate.from_sdp, "remote": Candidate.from_sdp, "state": _read_pair_state},
        Selected: {"local": Candidate.from_sdp, "remote": Candidate.from_sdp},
    }
)


def to_line(report: Report) -> bytes:
    """A line of JSON, newline included."""
    values = {name: _write(value) for name, value in attrs.asdict(report, recurse=False).items()}
    return json.dumps({"report": type(report).__name__, **values}).encode() + b"\n"


def _write(value: object) -> object:
    if isinstance(value, Candidate):
        return value.to_sdp()
    if isinstance(value, Description):
        return value.to_json()
    if isinstance(value, enum.Enum):
        return value.value
    return value


def from_line(line: bytes) -> Report:
    """Read what `to_line` wrote.

    Raises:
        ValueError: anything else.
    """
    try:
        values = json.loads(line)
        kind = _KINDS[values.pop("report")]
        read = _READ.get(kind, {})
        return kind(**{name: read[name](value) if name in read else value for name, value in values.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a report: {line[:200]!r} ({error})") from None
