"""An offer or an answer: the ICE parts of a whole session description, read out of it and written into it (RFC 8839)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from sansice.ice._candidate import Candidate
from sansice.ice._description import Description
from sansice.ice._session_description import TRICKLE, SessionDescription, check_password

from ._attributes import IceAttributes, RemoteCandidate, describe, of_session, read_attributes
from ._defaults import DefaultFamily
from ._lines import MAX_SECTIONS, Line, naming, read_lines, write_lines
from ._section import MediaSection, read_connection, read_section
from ._splice import Splice
from ._writing import CredentialLevel, leave_bundles, remove, without_ice

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class SessionSdp:
    """A session description (RFC 8866) with its ICE parts read, and every line kept as it came.

    Sections in one bundle share one stream, which belongs to the first of them that is there: the tagged one (RFC 8843 7.2).

    Attributes:
        lines: those before the first media section.
        ice: the ICE attributes among them.
        sections: the media sections, in order.
        bundles: the names of the sections in each ``a=group:BUNDLE``.
        mids: the name of each section; where it has none, its number from 0, which is what ``a=mid`` is added with.
    """

    lines: tuple[str, ...] = attrs.field(repr=False)
    ice: IceAttributes
    sections: tuple[MediaSection, ...]
    bundles: tuple[tuple[str, ...], ...] = ()
    mids: tuple[str, ...] = attrs.field(init=False, default=attrs.Factory(lambda self: _names(self.sections), takes_self=True))

    @classmethod
    def from_sdp(cls, text: str) -> SessionSdp:
        """Read a text whose lines end in CRLF or LF. Lines that are not ICE's business are kept and not judged.

        Raises:
            ValueError: too long or too much of something, a line that is none, or a malformed one that matters to ICE; the
                text names the line.
        """
        session, *media = split_sections(read_lines(text))
        host = read_connection(session)
        sections = tuple(read_section(lines, host) for lines in media)
        read = cls(tuple(line.text for line in session), read_attributes(session), sections, _read_bundles(session))
        _check(read, media)
        return read

    def to_sdp(self) -> str:
        """The text, each line ended by CRLF: what was read is written as it came."""
        return write_lines([*self.lines, *(line for section in self.sections for line in section.lines)])

    @property
    def trickles(self) -> bool:
        """Whether its agent trickles candidates (RFC 8840 4.1)."""
        return TRICKLE in self._common().options

    @property
    def tags(self) -> Mapping[str, str]:
        """For each section that is there, the one whose stream it uses: itself, or the first of its bundle that is there."""
        tags = {mid: mid for mid, section in self.by_mid.items() if section.is_active}
        for bundle in self.bundles:
            members = [mid for mid in bundle if mid in tags]
            tags.update((mid, members[0]) for mid in members)
        return tags

    @property
    def by_mid(self) -> Mapping[str, MediaSection]:
        """The sections by their names, in order."""
        return dict(zip(self.mids, self.sections, strict=True))

    @property
    def unbundled(self) -> SessionSdp:
        """The same for an answerer that does not bundle: each section has a stream of its own (RFC 8843 7.3.2)."""
        return attrs.evolve(self, bundles=())

    @property
    def descriptions(self) -> Mapping[str, Description]:
        """What each section that has a stream of its own says about ICE, by its name.

        Those without ICE are left out, and those where the answerer did without it (``a=ice-mismatch``, RFC 8839 4.3.3).
        """
        common = self._common()
        tags = self.tags
        found = {mid: describe(common, section.ice) for mid, section in self.by_mid.items() if tags.get(mid) == mid}
        mismatched = {mid for mid, section in self.by_mid.items() if section.ice.mismatch}
        return {mid: one for mid, one in found.items() if one is not None and mid not in mismatched}

    @property
    def description(self) -> SessionDescription:
        """All streams that use ICE, in the order of their sections: what an agent's `set_remote` takes.

        Raises:
            ValueError: none does.
        """
        found = self.descriptions
        if not found:
            raise ValueError("session description: no section uses ICE")
        return SessionDescription(found.values(), mids=found)

    def with_ice(
        self,
        session: SessionDescription | None,
        *,
        nominated: Mapping[str, Sequence[Candidate]] = _NOTHING,
        remote_candidates: Mapping[str, Sequence[RemoteCandidate]] = _NOTHING,
        mismatched: Collection[str] = (),
        credentials: CredentialLevel = CredentialLevel.MEDIA,
        default_family: DefaultFamily = DefaultFamily.IPV4,
    ) -> SessionSdp:
        """The same with our ICE parts in place of any that are there; all other lines stay as they are, in order.

        A section gets the description that has its name among `SessionDescription.mids`, and ``c=``, the port of ``m=`` and
        ``a=rtcp`` by the best of its candidates (RFC 8839 4.2.1.2), or 0.0.0.0 and 9 where none has an address. One without a
        description takes these from the section with which it is bundled. All others, and those with port 0, are left
        without ICE.

        Args:
            session: what to write; ``None``: no ICE at all (RFC 8839 4.3.2).
            nominated: by section, the local candidates of the nominated pairs: then there are no others (RFC 8839 4.4.1.2.2).
            remote_candidates: by section, what a controlling agent says of these pairs (RFC 8839 5.2).
            mismatched: sections to be answered with ``a=ice-mismatch`` (RFC 8839 4.2.5).
            credentials: at which level they are written.
            default_family: of ``c=``, where there is a choice.

        Raises:
            ValueError: a description for a section that is not there; credentials that differ, and cannot be the session's.
        """
        splice = Splice(self, session, nominated, remote_candidates, mismatched, credentials, default_family)
        return SessionSdp.from_sdp(write_lines(splice.lines()))

    def without_streams(self, mids: Collection[str]) -> SessionSdp:
        """The same with these streams removed: their sections and those of their bundles get port 0 (RFC 8839 4.4.1.1.2)."""
        tags = self.tags
        removed = [mid for mid in self.mids if tags.get(mid) in mids]
        lines = [leave_bundles(line, removed) for line in self.lines]
        for mid, section in self.by_mid.items():
            lines += remove(without_ice(section.lines)) if mid in removed else section.lines
        return SessionSdp.from_sdp(write_lines(lines))

    def _common(self) -> IceAttributes:
        return of_session(self.ice, [section.ice for section in self.sections])


def split_sections(lines: list[Line]) -> list[list[Line]]:
    """The lines of the session, then those of each media section."""
    levels: list[list[Line]] = [[]]
    for line in lines:
        if line.type == "m":
            levels.append([])
            if len(levels) > MAX_SECTIONS + 1:
                raise ValueError(f"line {line.number}: more than {MAX_SECTIONS} media sections")
        levels[-1].append(line)
    return levels


def _read_bundles(session: Sequence[Line]) -> tuple[tuple[str, ...], ...]:
    groups = [line.attribute_value.split() for line in session if line.attribute == "group"]
    return tuple(tuple(mids) for kind, *mids in filter(None, groups) if kind.upper() == "BUNDLE")


def _names(sections: Sequence[MediaSection]) -> tuple[str, ...]:
    given = {section.mid for section in sections}
    names: list[str] = []
    for index, section in enumerate(sections):
        name = section.mid or str(index)
        while section.mid is None and name in given:
            name += "+"
        names.append(name)
    return tuple(names)


def _check(read: SessionSdp, media: Sequence[Sequence[Line]]) -> None:
    """Each level is sound by itself; now all of them together (RFC 5888 4, RFC 8839 5.4)."""
    common = read._common()
    seen: set[str] = set()
    passwords: dict[str, str] = {}
    for mid, section, lines in zip(read.mids, read.sections, media, strict=True):
        with naming(lines[0]):
            if mid in seen:
                raise ValueError(f"mid: two sections are named {mid!r}")
            seen.add(mid)
            described = describe(common, section.ice)
            if described is not None:
                check_password(passwords, described)
