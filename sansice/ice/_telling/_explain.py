"""Telling a person what an agent tried and how far it got."""

from __future__ import annotations

from collections.abc import Iterable

from sansice.ice._candidate import Candidate
from sansice.ice._events import GatheringState, IceState
from sansice.ice._pair import Pair, PairState
from sansice.machine import DropReason


def explain(
    *,
    state: IceState,
    gathering: GatheringState,
    local: Iterable[Candidate],
    remote: Iterable[Candidate],
    pairs: Iterable[Pair],
    selected: Pair | None,
    dropped: dict[DropReason, int],
) -> str:
    """Several lines: the verdict, the candidates, each pair with its counters, what was dropped."""
    local, remote, pairs = tuple(local), tuple(remote), tuple(pairs)
    verdict = _verdict(state, gathering, local, remote, pairs, selected)
    if not remote and DropReason.UNUSABLE_CANDIDATE in dropped:
        verdict += " that can be used"
    lines = [f"ICE is {state.value}: {verdict}"]
    lines.extend(f"  local  {_show(candidate)}" for candidate in local)
    lines.extend(f"  remote {_show(candidate)}" for candidate in remote)
    lines.extend(f"  pair   {_show_pair(pair)}" for pair in pairs)
    lines.extend(f"  dropped {count} x {reason.value}" for reason, count in dropped.items())
    return "\n".join(lines)


def _show(candidate: Candidate) -> str:
    return f"{candidate.type.value:5} {candidate.address}"


def _show_pair(pair: Pair) -> str:
    return (
        f"{pair.local.base} -> {pair.remote_address} {pair.state.value}:"
        f" checks sent {pair.tally.requests_sent}, answered {pair.tally.responses_received}, received {pair.tally.requests_received}"
    )


def _verdict(
    state: IceState,
    gathering: GatheringState,
    local: tuple[Candidate, ...],
    remote: tuple[Candidate, ...],
    pairs: tuple[Pair, ...],
    selected: Pair | None,
) -> str:
    if selected is not None:
        path = f"{selected.local.candidate.address} -> {selected.remote_address}"
        return f"the selected pair was lost: {path}" if state is IceState.FAILED else f"the selected pair is {path}"
    if not local:
        return "no local candidate" + (" yet" if gathering is not GatheringState.COMPLETE else ": no usable network address")
    if not remote:
        return "the peer has told no candidate"
    if not pairs:
        return "no local candidate is of a remote candidate's address family"
    if any(pair.state is PairState.SUCCEEDED for pair in pairs):
        return "a pair is valid, none is selected yet"
    if any(pair.tally.requests_received for pair in pairs):
        return "the peer's checks arrive here, but ours are not answered: what we send is lost on its way to the peer"
    if any(pair.tally.requests_sent for pair in pairs):
        return "no check was answered and none of the peer's arrived: wrong addresses, a firewall, or two NATs that need a relay"
    return "no check has been sent yet"
