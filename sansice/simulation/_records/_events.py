"""What machines tell, in words; nothing about what their packets say as well."""

from __future__ import annotations

from sansice.ice import (
    CandidateGathered,
    Closed,
    ConsentExpired,
    DataReceived,
    GatheringCompleted,
    IceStateChanged,
    PairSelected,
    PairValidated,
    ServerAnswered,
    ServerFailed,
)
from sansice.machine import Event


def in_words(name: str, event: Event) -> str | None:
    """One event of the machine of this name; ``None`` for those that are no news to who sees the packets."""
    match event:
        case DataReceived() | PairValidated() | ServerAnswered():
            return None
        case CandidateGathered():
            return f"{name} has the candidate {event.candidate}"
        case GatheringCompleted():
            return f"{name} has gathered all candidates"
        case ServerFailed():
            return f"{name} got nothing from {event.url}: {event.text}"
        case IceStateChanged():
            return f"{name} is {event.new.value}"
        case PairSelected():
            pair = event.pair
            return f"{name} selects {pair.local.type.value}-{pair.remote.type.value}: {pair}"
        case ConsentExpired():
            return f"{name} has lost the peer's consent{', which was revoked' if event.revoked else ''}"
        case Closed():
            return f"{name} is closed"
    return f"{name} tells {type(event).__name__}"
