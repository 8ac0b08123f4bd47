"""Telling a person what came to a lite agent, and why nothing connected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sansice.ice._candidate import Candidate
from sansice.ice._events import IceState
from sansice.machine import DropReason

from ._component import LitePair
from ._stream import Generation, Stream

_STRANGE = (DropReason.BAD_INTEGRITY, DropReason.BAD_USERNAME)


def explain(
    *,
    state: IceState,
    streams: Iterable[Stream],
    local: Iterable[Candidate],
    remote: Iterable[Candidate],
    dropped: Mapping[DropReason, int],
) -> str:
    """Several lines: the verdict of each stream, the candidates, the pairs, what was dropped."""
    streams, local = tuple(streams), tuple(local)
    lines = []
    for stream in streams:
        prefix = f"stream {stream.index}: " if len(streams) > 1 else ""
        lines.append(f"ICE (lite) is {state.value}: {prefix}{_verdict(state, stream, local, dropped)}")
    lines.extend(f"  local  {candidate.type.value:5} {candidate.address}" for candidate in local)
    lines.extend(f"  remote {candidate.type.value:5} {candidate.address}" for candidate in remote)
    lines.extend(f"  pair   {_show(pair)}" for stream in streams for pair in (stream.carrier or stream.current).pairs)
    lines.extend(f"  dropped {count} x {reason.value}" for reason, count in dropped.items())
    return "\n".join(lines)


def _show(pair: LitePair) -> str:
    return f"{pair.host.candidate.address} <- {pair.address}, component {pair.host.component}"


def _verdict(state: IceState, stream: Stream, local: tuple[Candidate, ...], dropped: Mapping[DropReason, int]) -> str:
    current = stream.current
    if stream.carrier is not None:
        quiet = state in (IceState.DISCONNECTED, IceState.FAILED)
        return "the selected pair is silent: the peer's checks come no more" if quiet else "every component has its pair"
    if stream.is_lost:
        return "the peer's checks came no more, or the socket in use was lost"
    if not local:
        return "no local candidate: no usable network address, or none gathered yet"
    if current.remote is None:
        return "the peer's description is not known"
    if current.remote.lite:
        return "the peer is lite too, and not every component has a candidate of one family on both sides"
    return _of_checks(current, dropped)


def _of_checks(current: Generation, dropped: Mapping[DropReason, int]) -> str:
    if current.checks:
        missing = [str(one.number) for one in current.components if one.pair is None]
        return f"the peer's checks arrive and are answered, but it has nominated no pair of component {', '.join(missing)}"
    if any(reason in dropped for reason in _STRANGE):
        return "checks arrive with another password or ufrag: the two descriptions are not of the same session"
    return "no check has arrived: the peer cannot reach these addresses, or does not know them"
