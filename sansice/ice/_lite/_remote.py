"""What a lite agent is told of its peer (RFC 8445 5.3, 8.2, 9; RFC 8838)."""

from __future__ import annotations

import math

from sansice.ice._candidate import Candidate
from sansice.ice._description import Credentials, Description
from sansice.ice._events import CandidatesChosen, GatheringState, IceCause, IceState
from sansice.ice._role import IceRole
from sansice.machine import DropReason, LocalProtocolError

from ._choice import possible_pairs
from ._requests import take_early
from ._session import OVER, LiteSession
from ._stream import Generation, Stream

MAX_USERNAME = 508  # bytes; RFC 8489 14.3


def check_remote(session: LiteSession, stream: Stream, description: Description) -> None:
    """Refuse what cannot be the peer's description at this moment.

    Raises:
        LocalProtocolError: saying why.
    """
    current, previous = stream.current, stream.previous
    is_own = (description.ufrag, description.pwd) == (current.credentials.ufrag, current.credentials.pwd)
    if is_own and not session.config.shared_credentials:
        raise LocalProtocolError("set_remote(): this is the agent's own description")
    if len(description.ufrag) + 1 + len(current.credentials.ufrag) > MAX_USERNAME:
        raise LocalProtocolError(f"set_remote(): both ufrags together make a USERNAME above {MAX_USERNAME} bytes")
    if current.remote is None and previous is not None and previous.is_from(description):
        raise LocalProtocolError("set_remote(): the peer's description of before the restart")
    if current.remote is not None and current.is_from(description) and current.remote.lite is not description.lite:
        raise LocalProtocolError("set_remote(): a peer becomes lite or full by a restart only (RFC 8445 9)")


def take_remote(session: LiteSession, stream: Stream, description: Description, *, now: float) -> None:
    """Know the peer, its restart, or more of its candidates."""
    if stream.is_restarted_by(description):
        session.renew(stream, Credentials.generate(session.entropy), by_peer=True, now=now)
    current = stream.current
    is_update = current.remote is not None
    if not is_update:
        _meet(session, stream, description, now)
    if description.lite:  # it sends no checks, so early ones were not its; and what it says later replaces what it said
        current.forget_remotes()
    for candidate in description.candidates:
        add_remote(session, current, candidate)
    waiting, current.waiting = current.waiting, []
    for ufrag, late in waiting:
        if ufrag in (None, description.ufrag):
            end_or_add(session, current, late)
    current.remote_complete = current.remote_complete or description.end_of_candidates
    if description.lite:
        choose(session, stream, is_update=is_update, now=now)
    else:
        take_early(session, stream, now=now)
    session.watch(now=now)


def _meet(session: LiteSession, stream: Stream, description: Description, now: float) -> None:
    if not description.lite:
        session.role = IceRole.CONTROLLED  # RFC 8445 6.1.1
    endless = description.lite or not session.config.consent
    stream.current.know(description, math.inf if endless else session.config.consent_timeout, now=now)
    if stream.state is IceState.NEW:
        session.move(stream, IceCause.START)


def add_remote(session: LiteSession, generation: Generation, candidate: Candidate) -> bool:
    """Know one of the peer's candidates, or count why not."""
    reason = generation.add_remote(candidate, session.config)
    if reason is not None:
        session.stats.drop(reason)
    return reason is None


def end_or_add(session: LiteSession, generation: Generation, candidate: Candidate | None) -> bool:
    """A trickled candidate of the peer's, or their end; what comes after that is ignored (RFC 8838 14)."""
    if candidate is None:
        generation.remote_complete = True
        return True
    if generation.remote_complete:
        session.stats.drop(DropReason.UNUSABLE_CANDIDATE)
        return False
    return add_remote(session, generation, candidate)


def trickle(session: LiteSession, stream: Stream, ufrag: str | None, candidate: Candidate | None, *, now: float) -> bool:
    """The same, in the generation of ``ufrag``: of an old one it is ignored, before the description it waits (RFC 8838 9)."""
    current = stream.current
    if current.remote is None:
        if len(current.waiting) > session.config.max_remote_candidates:  # one more, for the end
            session.stats.drop(DropReason.LIMIT)
            return False
        current.waiting.append((ufrag, candidate))
        return True
    if ufrag not in (None, current.remote.ufrag):
        session.stats.drop(DropReason.UNUSABLE_CANDIDATE)
        return False
    taken = end_or_add(session, current, candidate)
    choose(session, stream, now=now)
    return taken


def choose(session: LiteSession, stream: Stream, *, is_update: bool = False, now: float) -> None:
    """Choose the pairs with a lite peer, once the candidates of both sides are known (RFC 8445 8.2).

    Where a component had one pair only, that is all. Otherwise the agent that controls tells the other what it has chosen, and
    the choice stands when each has had the other's narrowed description.
    """
    current = stream.current
    is_known = current.remote is not None and current.remote.lite and current.remote_complete
    if not is_known or stream.state in OVER or current.is_selected or session.gathering is not GatheringState.COMPLETE:
        return
    hosts = list(session.hosts.of(stream.index))
    options = [possible_pairs(component, hosts, session.role, now) for component in current.components]
    if not all(options):
        return
    is_answer = is_update and current.is_chosen
    for component, pairs in zip(current.components, options, strict=True):
        chosen, pair = component.pair, pairs[0]
        if chosen is None or not chosen.is_on(pair.host.socket, pair.address):
            session.validate(stream, component, pair, now=now)
    current.is_chosen = current.is_chosen or any(len(pairs) > 1 for pairs in options)
    session.conclude_if_complete(stream, select=is_answer or not current.is_chosen, now=now)
    if current.is_chosen and not is_answer and session.role is IceRole.CONTROLLING:
        session.outputs.append(CandidatesChosen(stream.index))
