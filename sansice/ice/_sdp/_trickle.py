"""Sending and receiving trickled candidates in bodies that repeat all that was told before (RFC 8840 4.4, 10.9)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sansice.ice._candidate import Candidate, CandidateAddress
from sansice.ice._description import Credentials, Description
from sansice.ice._session_description import TRICKLE, SessionDescription
from sansice.machine import LocalProtocolError, Transport

from ._attributes import MAX_CANDIDATES
from ._fragment import FragmentSection, TrickleFragment
from ._writing import CredentialLevel

# A body may overtake the answer that tells its generation. As each repeats those before, few are worth keeping.
MAX_HELD = 8


class _Told:
    """What was told of one stream in the present generation."""

    __slots__ = ("candidates", "credentials", "is_complete", "is_trickled")

    def __init__(self, stream: Description) -> None:
        self.credentials = Credentials(stream.ufrag, stream.pwd)
        self.candidates = list(stream.candidates)
        self.is_complete = stream.end_of_candidates
        self.is_trickled = False  # whether there is anything that the offer or answer did not tell


class TrickleSender:
    """Our side: candidates go in, bodies come out, of which one at a time is on its way.

    Args:
        local: what our offer or answer told.
        remote: what the peer's told; only those who say ``trickle`` are trickled to (RFC 8838 3).
        credentials: the level at which our offer or answer had its credentials.

    Raises:
        LocalProtocolError: the peer does not trickle: tell it all candidates at once, or do without ICE.
    """

    __slots__ = ("_is_pending", "_is_waiting", "_level", "_told")

    def __init__(
        self, local: SessionDescription, remote: SessionDescription, *, credentials: CredentialLevel = CredentialLevel.MEDIA
    ) -> None:
        if TRICKLE not in remote.options:
            raise LocalProtocolError("trickle: the peer does not say that it trickles, so it must be told all candidates at once")
        _check_level(local, credentials)
        self._level = credentials
        self._told = _all_told(local)
        self._is_pending = False
        self._is_waiting = False

    def restart(self, local: SessionDescription, *, credentials: CredentialLevel | None = None) -> None:
        """Begin another generation, with what our new offer or answer told (RFC 8838 15).

        That the peer trickles is known from the first exchange and holds for the session, whatever its later descriptions say.
        What was not sent is of the old generation and forgotten; a body that is on its way is still to be acknowledged.

        Args:
            local: what the new offer or answer told.
            credentials: the level at which it had its credentials; ``None``: the same as before.

        Raises:
            LocalProtocolError: streams with credentials of their own cannot have the session's; nothing is changed.
        """
        level = self._level if credentials is None else credentials
        _check_level(local, level)
        self._level = level
        self._told = _all_told(local)
        self._is_waiting = False

    @property
    def is_pending(self) -> bool:
        """Whether a body is on its way: there is no other until it is acknowledged."""
        return self._is_pending

    def add(self, candidate: Candidate, *, mid: str) -> None:
        """Tell one more candidate, as soon as may be. One that was told before is not told again.

        Raises:
            LocalProtocolError: no such section, or one whose candidates were said to be complete (RFC 8838 13).
        """
        told = self._of(mid)
        if told.is_complete:
            raise LocalProtocolError(f"section {mid}: no candidate may follow the end of candidates (RFC 8838 13)")
        if candidate not in told.candidates:
            told.candidates.append(candidate)
            told.is_trickled = self._is_waiting = True

    def end_of_candidates(self, *, mid: str | None = None) -> None:
        """No more candidates follow, for one section or for all. Saying it twice is harmless.

        Raises:
            LocalProtocolError: no such section.
        """
        for told in self._told.values() if mid is None else (self._of(mid),):
            if not told.is_complete:
                told.is_complete = told.is_trickled = self._is_waiting = True

    def next_body(self) -> TrickleFragment | None:
        """What to send now, in an INFO request or the like; ``None``: nothing, or one is on its way (RFC 8840 10.9)."""
        if self._is_pending or not self._is_waiting:
            return None
        self._is_pending, self._is_waiting = True, False
        is_over = all(told.is_complete for told in self._told.values())
        trickled = {mid: told for mid, told in self._told.items() if told.is_trickled}
        if self._level is CredentialLevel.SESSION:
            [own, *_] = self._told.values()
            sections = [_section(mid, told, is_over, None) for mid, told in trickled.items()]
            return TrickleFragment(sections, end_of_candidates=is_over, credentials=own.credentials)
        return TrickleFragment([_section(mid, told, False, told.credentials) for mid, told in trickled.items()])

    def acknowledge(self) -> None:
        """The body has arrived: what has come since may follow."""
        self._is_pending = False

    def fail(self) -> None:
        """The body was lost or refused: the next one says all of it again."""
        # Nothing is, where the body was of the generation before.
        is_lost = self._is_pending and any(told.is_trickled for told in self._told.values())
        self._is_waiting = self._is_waiting or is_lost
        self._is_pending = False

    def _of(self, mid: str) -> _Told:
        try:
            return self._told[mid]
        except KeyError:
            raise LocalProtocolError(f"section {mid!r}: none of {', '.join(self._told)}") from None


def _check_level(local: SessionDescription, level: CredentialLevel) -> None:
    if level is CredentialLevel.SESSION and len({(one.ufrag, one.pwd) for one in local}) > 1:
        raise LocalProtocolError("trickle: streams with credentials of their own cannot have the session's")


def _all_told(local: SessionDescription) -> dict[str, _Told]:
    return {mid: _Told(stream) for mid, stream in zip(local.mids, local.streams, strict=True)}


def _section(mid: str, told: _Told, is_over: bool, credentials: Credentials | None) -> FragmentSection:
    return FragmentSection(mid, told.candidates, end_of_candidates=told.is_complete and not is_over, credentials=credentials)


@attrs.frozen
class Trickled:
    """What is new in a body, of one stream.

    Attributes:
        mid: the section's name.
        stream: its place in the peer's `SessionDescription`.
        ufrag: the generation that it belongs to.
        candidates: those that were not known, in order.
        end_of_candidates: whether the peer says for the first time that no more follow.
    """

    mid: str
    stream: int
    ufrag: str
    candidates: tuple[Candidate, ...]
    end_of_candidates: bool


_Key = tuple[int, Transport, CandidateAddress]


class _Known:
    """What is known of one of the peer's streams in its present generation."""

    __slots__ = ("credentials", "is_complete", "keys", "stream")

    def __init__(self, stream: int, described: Description) -> None:
        self.stream = stream
        self.credentials = Credentials(described.ufrag, described.pwd)
        self.keys: dict[_Key, None] = dict.fromkeys(map(_key, described.candidates))
        self.is_complete = described.end_of_candidates


def _key(candidate: Candidate) -> _Key:
    return candidate.component, candidate.transport, candidate.address  # RFC 8840 4.4: what makes candidates equal


class TrickleReceiver:
    """The peer's side: bodies go in, and what is new in them comes out, once and in order.

    ``stats`` are two counters: ``stale``, sections of another generation or of no stream, and ``limited``, candidates beyond
    a thousand a stream.
    """

    __slots__ = ("_held", "_known", "limited", "stale")

    def __init__(self) -> None:
        self._held: list[TrickleFragment] = []
        self._known: dict[str, _Known] | None = None
        self.stale: int = 0
        self.limited: int = 0

    def set_remote(self, remote: SessionDescription) -> tuple[Trickled, ...]:
        """Know the peer's offer or answer, at first and after each later one: with other credentials a generation begins.

        Returns:
            What is new in bodies that came before it.
        """
        before = self._known or {}
        known = {mid: _Known(index, one) for index, (mid, one) in enumerate(zip(remote.mids, remote.streams, strict=True))}
        for mid, stream in known.items():
            if mid in before and before[mid].credentials == stream.credentials:
                stream.keys = before[mid].keys | stream.keys
                stream.is_complete = stream.is_complete or before[mid].is_complete
        self._known = known
        held, self._held = self._held, []
        return tuple(one for fragment in held for one in self.receive(fragment))

    def receive(self, fragment: TrickleFragment) -> tuple[Trickled, ...]:
        """What a body says that was not known. Those that come before any description are held, up to eight of them."""
        if self._known is None:
            self._held = [*self._held, fragment][-MAX_HELD:]
            return ()
        news = [self._read(section, fragment.credentials_of(section), self._known) for section in fragment.sections]
        if fragment.end_of_candidates:
            news += [_end(mid, stream, fragment) for mid, stream in self._known.items()]
        return tuple(one for one in news if one is not None)

    def _read(self, section: FragmentSection, credentials: Credentials | None, known: Mapping[str, _Known]) -> Trickled | None:
        stream = known.get(section.mid)
        if stream is None or stream.credentials != credentials:
            self.stale += 1
            return None
        taken = tuple([one for one in section.candidates if self._is_news(one, stream)])
        ends = section.end_of_candidates and not stream.is_complete
        stream.is_complete = stream.is_complete or ends
        if not taken and not ends:
            return None
        return Trickled(section.mid, stream.stream, stream.credentials.ufrag, taken, ends)

    def _is_news(self, candidate: Candidate, stream: _Known) -> bool:
        key = _key(candidate)
        if key in stream.keys:
            return False
        if len(stream.keys) >= MAX_CANDIDATES:
            self.limited += 1
            return False
        stream.keys[key] = None
        return True


def _end(mid: str, stream: _Known, fragment: TrickleFragment) -> Trickled | None:
    """The end of all candidates, for a stream whose generation the body names (RFC 8838 13)."""
    named = (fragment.credentials, *(section.credentials for section in fragment.sections))
    if stream.is_complete or stream.credentials not in named:
        return None
    stream.is_complete = True
    return Trickled(mid, stream.stream, stream.credentials.ufrag, (), True)
