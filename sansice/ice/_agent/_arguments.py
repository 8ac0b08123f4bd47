"""What an agent is given, checked."""

from __future__ import annotations

from collections.abc import Sequence

from sansice.ice._candidate import MAX_COMPONENT
from sansice.ice._description import Credentials, Description
from sansice.ice._policy import CandidatePolicy
from sansice.machine import Entropy, LocalProtocolError

from ._stream import Stream

MAX_USERNAME = 508  # bytes; RFC 8489 14.3
MAX_STREAMS = 256  # an application's mistake rather than its wish: each has sockets of its own


def layout_of(streams: int, components: int | Sequence[int]) -> tuple[int, ...]:
    """How many components each stream has."""
    if type(streams) is not int or not 1 <= streams <= MAX_STREAMS:
        raise LocalProtocolError(f"streams: a number from 1 to {MAX_STREAMS}, not {streams!r}")
    layout = (components,) * streams if isinstance(components, int) else tuple(components)
    if len(layout) != streams:
        raise LocalProtocolError(f"components: {len(layout)} numbers for {streams} streams")
    for count in layout:
        if type(count) is not int or not 1 <= count <= MAX_COMPONENT:
            raise LocalProtocolError(f"components: a number from 1 to {MAX_COMPONENT}, not {count!r}")
    return layout


def credentials_of(given: Credentials | Sequence[Credentials] | None, streams: int, entropy: Entropy) -> Sequence[Credentials]:
    """Of each stream."""
    if given is None:
        return [Credentials.generate(entropy) for _ in range(streams)]
    if isinstance(given, Credentials):
        return (given,) * streams
    if len(given) != streams:
        raise LocalProtocolError(f"credentials: {len(given)} for {streams} streams")
    return given


def check_remote(stream: Stream, description: Description) -> None:
    """Refuse a description that cannot be this stream's peer's."""
    own, remote = stream.checker.credentials, stream.checker.remote
    if (description.ufrag, description.pwd) == (own.ufrag, own.pwd):
        raise LocalProtocolError("set_remote(): this is the agent's own description")
    if len(description.ufrag) + 1 + len(own.ufrag) > MAX_USERNAME:
        raise LocalProtocolError(f"set_remote(): both ufrags together make a USERNAME above {MAX_USERNAME} bytes")
    if remote is not None and (description.ufrag, description.pwd) != (remote.ufrag, remote.pwd):
        raise LocalProtocolError("set_remote(): other credentials mean a restart, which is not supported yet")


def policy_of(given: CandidatePolicy | str) -> CandidatePolicy:
    """A policy, or its word.

    Raises:
        LocalProtocolError: another word.
    """
    try:
        return CandidatePolicy(given)
    except ValueError:
        words = ", ".join(repr(one.value) for one in CandidatePolicy)
        raise LocalProtocolError(f"policy: one of {words}, not {given!r}") from None
