"""Our ICE parts among the lines of a session description that is otherwise somebody else's (RFC 8839 4.2.1, 4.4)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from sansice.ice._candidate import Candidate
from sansice.ice._description import Description
from sansice.ice._session_description import TRICKLE, SessionDescription

from ._attributes import RemoteCandidate
from ._defaults import DefaultFamily, choose_defaults
from ._section import MediaSection
from ._writing import (
    CredentialLevel,
    Placed,
    credential_lines,
    place,
    remote_candidates_line,
    session_lines,
    session_options,
    stream_lines,
    without_ice,
)

if TYPE_CHECKING:
    from ._session import SessionSdp


@attrs.frozen
class Splice:
    """What is to be written where; the arguments of `SessionSdp.with_ice`."""

    sdp: SessionSdp
    session: SessionDescription | None
    nominated: Mapping[str, Sequence[Candidate]]
    remote_candidates: Mapping[str, Sequence[RemoteCandidate]]
    mismatched: Collection[str]
    credentials: CredentialLevel
    default_family: DefaultFamily

    def lines(self) -> list[str]:
        """All lines of the new text."""
        streams = self._streams()
        sections = self.sdp.by_mid
        placed = {
            mid: Placed(choose_defaults(stream.candidates, sections[mid].transport, self.default_family))
            for mid, stream in streams.items()
        }
        tags = self.sdp.tags
        written = [*without_ice(self.sdp.lines), *self._session_lines(streams)]
        for mid, section in sections.items():
            kept = without_ice(section.lines)
            at = placed.get(tags.get(mid, mid))
            if at is not None and section.port and mid not in self.mismatched:
                kept = place(kept, at)
            written += [*kept, *self._own_lines(mid, section, streams.get(mid))]
        return written

    def _streams(self) -> dict[str, Description]:
        """The descriptions to be written, by section: none for a section that is not there (RFC 8839 4.2.1.6)."""
        described = {} if self.session is None else dict(zip(self.session.mids, self.session.streams, strict=True))
        sections = self.sdp.by_mid
        for mid in (*described, *self.nominated, *self.remote_candidates, *self.mismatched):
            if mid not in sections:
                raise ValueError(f"mid: no section is named {mid!r}")
        return {
            mid: attrs.evolve(stream, candidates=self.nominated.get(mid, stream.candidates))
            for mid, stream in described.items()
            if sections[mid].is_active and mid not in self.mismatched
        }

    def _session_lines(self, streams: Mapping[str, Description]) -> list[str]:
        if self.session is None or not streams:
            return []
        lines = session_lines(self.session)
        if self.credentials is CredentialLevel.SESSION:
            [(ufrag, pwd), *others] = dict.fromkeys((stream.ufrag, stream.pwd) for stream in streams.values())
            if others:
                raise ValueError("ice-ufrag: streams with credentials of their own cannot have the session's")
            lines += credential_lines(ufrag, pwd)
        return lines

    def _own_lines(self, mid: str, section: MediaSection, stream: Description | None) -> list[str]:
        if mid in self.mismatched:
            return ["a=ice-mismatch"]
        if self.session is None or stream is None:
            return []
        # RFC 8840 4.1.1: who trickles names all sections.
        name = [f"a=mid:{mid}"] if section.mid is None and TRICKLE in session_options(self.session) else []
        remote = remote_candidates_line(self.remote_candidates.get(mid, ()))
        return [*name, *stream_lines(stream, self.session, self.credentials), *remote]
