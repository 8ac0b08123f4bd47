"""What an agent is given, checked."""

from __future__ import annotations

from collections.abc import Sequence

from sansice.ice._candidate import MAX_COMPONENT
from sansice.ice._description import Credentials
from sansice.ice._policy import CandidatePolicy
from sansice.machine import Entropy, LocalProtocolError

_ONE = (1,)  # what most agents have, once for all of them
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
    return _ONE if layout == _ONE else layout


def credentials_of(given: Credentials | Sequence[Credentials] | None, streams: int, entropy: Entropy) -> Sequence[Credentials]:
    """Of each stream: given for all of them or for each, or drawn for each.

    Raises:
        LocalProtocolError: not as many as there are streams; something else; one ufrag with two passwords (RFC 8839 5.4).
    """
    if given is None:
        return [Credentials.generate(entropy) for _ in range(streams)]
    listed = (given,) * streams if isinstance(given, Credentials) else tuple(given)
    if len(listed) != streams:
        raise LocalProtocolError(f"credentials: {len(listed)} for {streams} streams")
    passwords: dict[str, str] = {}
    for one in listed:
        if not isinstance(one, Credentials):
            raise LocalProtocolError(f"credentials: {one!r:.40} is not a Credentials")
        if passwords.setdefault(one.ufrag, one.pwd) != one.pwd:
            raise LocalProtocolError("credentials: two streams have one ufrag and different passwords (RFC 8839 5.4)")
    return listed


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
