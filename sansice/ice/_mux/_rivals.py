"""To whom an address belongs that the peers of two agents claim to be at.

A request shows who has made it, and not where he is: whoever has a password can send checks under another's address, and so can
who repeats what he has seen. An answer to a check shows both (RFC 8445 7.2.5.2, and 19.5.1 of why). So an accepted answer, which
full agents get, moves an address at once. A request, which is all that lite agents get, moves it from somebody who does not hold
it any more (`holds`): the agent has another path now, or its peer has been silent there for so long that it is disconnected.
"""

from __future__ import annotations

from sansice.machine import Address

from ._inside import holds
from ._members import Lane, Rival


def claim(lane: Lane, source: Address, limit: int, *, now: float) -> None:
    """A check of this agent's peer came from ``source``, authenticated and new.

    Who had the address and fell silent there, gets it back when he is heard again: two checks that were lost are no reason to
    leave it to somebody who sends one a second under his address. Who comes while another holds it is heir to it: he has it when
    that one closes, and otherwise with the next check after.

    Args:
        lane: the place of the agent; the address is not its own yet.
        source: where the check came from.
        limit: see `Lane.learn`.
        now: monotonic seconds.
    """
    rivals = lane.shared.rivals
    owner, rival = lane.shared.routes.get(source), rivals.get(source)
    is_back = rival is not None and rival.lane is lane and rival.was_first
    if owner is None:
        lane.learn(source, limit)
    elif not _holds(owner, source, now) or (is_back and _holds(lane, source, now)):
        was_first = not is_back and owner.agent.path_of(owner.stream) == (owner.id, source)
        lane.learn(source, limit)
        if was_first or is_back:
            rivals[source] = Rival(owner, was_first)
    elif rival is None or not rival.was_first:
        rivals[source] = Rival(lane, False)


def _holds(lane: Lane, source: Address, now: float) -> bool:
    return holds(lane.agent, lane.id, lane.stream, source, now)
