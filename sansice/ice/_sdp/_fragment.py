"""Trickled candidates as a text of their own: ``application/trickle-ice-sdpfrag`` (RFC 8840 4.4, 9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from sansice.ice._candidate import Candidate
from sansice.ice._description import Credentials
from sansice.ice._session_description import check_mid

from ._attributes import IceAttributes, read_attributes
from ._lines import Line, naming, read_lines, write_lines
from ._session import split_sections
from ._writing import PSEUDO_MEDIA, credential_lines

_SILENT = IceAttributes()
MEDIA_TYPE = "application/trickle-ice-sdpfrag"


def _as_candidates(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(candidates)


def _check_mid(instance: object, attribute: object, value: str) -> None:
    check_mid(value)


@attrs.frozen
class FragmentSection:
    """The candidates of one media section.

    Attributes:
        mid: the section's name (RFC 5888).
        candidates: all that were told in this generation so far, in order; those of unknown types or transports are left out.
        end_of_candidates: whether no more follow.
        credentials: of this section; ``None``: the fragment's.
    """

    mid: str = attrs.field(validator=_check_mid)
    candidates: tuple[Candidate, ...] = attrs.field(default=(), converter=_as_candidates)
    end_of_candidates: bool = attrs.field(default=False, kw_only=True)
    credentials: Credentials | None = attrs.field(default=None, kw_only=True)


def _as_sections(sections: Iterable[FragmentSection]) -> tuple[FragmentSection, ...]:
    return tuple(sections)


@attrs.frozen
class TrickleFragment:
    """One body of ``application/trickle-ice-sdpfrag``: all that an agent has told of a generation so far.

    Attributes:
        sections: of the media sections of which it tells something, in order.
        end_of_candidates: whether no more follow, for any section.
        credentials: of the generation, where the offer or answer had them at the level of the session.

    Raises:
        ValueError: a section, or the end of all candidates, without credentials: nobody could tell the generation.
    """

    sections: tuple[FragmentSection, ...] = attrs.field(default=(), converter=_as_sections)
    end_of_candidates: bool = attrs.field(default=False, kw_only=True)
    credentials: Credentials | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.credentials is None and not self.sections:
            raise ValueError("ice-ufrag: missing")
        for section in self.sections:
            if self.credentials_of(section) is None:
                raise ValueError(f"section {section.mid}: ice-ufrag: missing")

    def credentials_of(self, section: FragmentSection) -> Credentials | None:
        """Those of a section: its own, or else the fragment's."""
        return section.credentials or self.credentials

    def to_sdp(self) -> str:
        """The body, each line ended by CRLF. What media they are is not said (RFC 8840 4.4)."""
        lines = _level_lines(self.credentials, self.end_of_candidates)
        for section in self.sections:
            lines += [f"m={PSEUDO_MEDIA}", *_level_lines(section.credentials, False), f"a=mid:{section.mid}"]
            lines += [f"a={candidate.to_sdp()}" for candidate in section.candidates]
            lines += _level_lines(None, section.end_of_candidates)
        return write_lines(lines)

    @classmethod
    def from_sdp(cls, text: str) -> TrickleFragment:
        """Read a body; attributes that are none of ICE's are skipped, and so is all of a pseudo ``m=`` line (RFC 8840 4.4).

        Raises:
            ValueError: too long, a line that is none, a malformed attribute of ICE's, a section without a name or without
                credentials; the text names the line.
        """
        lines = read_lines(text) or [Line(1, "a=")]
        session, *media = split_sections(lines)
        of_all = read_attributes(session)
        with naming(lines[0]):
            credentials = _read_credentials(of_all)
            if credentials is None and not media:
                raise ValueError("ice-ufrag: missing")
        sections = [_read_section(section, of_all) for section in media]
        return cls(sections, end_of_candidates=of_all.end_of_candidates, credentials=credentials)


def _level_lines(credentials: Credentials | None, end_of_candidates: bool) -> list[str]:
    lines = [] if credentials is None else credential_lines(credentials.ufrag, credentials.pwd)
    return [*lines, *(["a=end-of-candidates"] if end_of_candidates else [])]


def _read_credentials(own: IceAttributes, above: IceAttributes = _SILENT) -> Credentials | None:
    """Those of a level, each half of which may come from the one above (RFC 8839 5.4); ``None``: it has none of its own."""
    if own.ufrag is None and own.pwd is None:
        return None
    ufrag, pwd = own.ufrag or above.ufrag, own.pwd or above.pwd
    if ufrag is None or pwd is None:
        raise ValueError(f"ice-{'ufrag' if ufrag is None else 'pwd'}: missing")
    return Credentials(ufrag, pwd)


def _read_section(lines: Sequence[Line], of_all: IceAttributes) -> FragmentSection:
    ice = read_attributes(lines)
    mids = [line.attribute_value for line in lines if line.attribute == "mid"]
    with naming(lines[0]):
        if not mids:
            raise ValueError("mid: missing")
        credentials = _read_credentials(ice, of_all)
        if credentials is None and of_all.ufrag is None:
            raise ValueError("ice-ufrag: missing")
        return FragmentSection(mids[0], ice.candidates, end_of_candidates=ice.end_of_candidates, credentials=credentials)
