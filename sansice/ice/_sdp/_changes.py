"""What a later description may change: everything in a restart, hardly anything otherwise (RFC 8839 4.4)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansice.ice._description import Description
from sansice.ice._session_description import SessionDescription


def restarted_streams(old: Mapping[str, Description], new: Mapping[str, Description]) -> tuple[str, ...]:
    """The sections of which both ufrag and password are others than before; at which level they stand is no matter (4.4.1.1.1).

    Raises:
        ValueError: one of both has changed, and the other has not.
    """
    return tuple(mid for mid, stream in new.items() if mid in old and is_restart(mid, old[mid], stream))


def is_restart(mid: str, old: Description, new: Description) -> bool:
    """Whether one stream has new credentials; a ValueError where it has half of them."""
    changed = (old.ufrag != new.ufrag, old.pwd != new.pwd)
    if any(changed) and not all(changed):
        raise ValueError(f"section {mid}: a restart changes ice-ufrag and ice-pwd both, not only one (RFC 8839 4.4.1.1.1)")
    return all(changed)


def check_unchanged(old: Mapping[str, Description], new: Mapping[str, Description], restarted: tuple[str, ...]) -> None:
    """Whoever changes options, pacing or lite without a restart is rejected (4.4.2.1); this raises a ValueError that says so."""
    for mid, stream in new.items():
        if mid not in old or mid in restarted:
            continue
        for name, before, now in _fixed(old[mid], stream):
            if before != now:
                raise ValueError(f"section {mid}: {name} changes only in a restart (RFC 8839 4.4.1.1.1): reject the offer")


def _fixed(old: Description, new: Description) -> tuple[tuple[str, object, object], ...]:
    return (
        ("ice-lite", old.lite, new.lite),
        ("ice-pacing", old.pacing, new.pacing),
        ("ice-options", sorted(set(old.options)), sorted(set(new.options))),
    )


def carry_on(session: SessionDescription, old: Mapping[str, Description]) -> SessionDescription:
    """Our descriptions for a later offer or answer: of streams that go on, what was told before is told again (4.4.1.2.1).

    That is options, so that ``trickle`` does not vanish with the last candidate, and candidates, in their order, with
    new ones at the end.

    Raises:
        ValueError: half of the credentials changed, or the agent became a lite one or the reverse, without a restart.
    """
    streams = []
    for mid, stream in zip(session.mids, session.streams, strict=True):
        before = old.get(mid)
        if before is not None and not is_restart(mid, before, stream):
            if before.lite != stream.lite:
                raise ValueError(f"section {mid}: ice-lite changes only in a restart")
            candidates = dict.fromkeys((*before.candidates, *stream.candidates))
            stream = attrs.evolve(stream, options=before.options, pacing=before.pacing, candidates=candidates)
        streams.append(stream)
    return SessionDescription(streams, mids=session.mids)
