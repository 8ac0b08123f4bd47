"""ICE attributes as lines, and the lines of a media section around them (RFC 8839 4.2.1, RFC 8840 4.1.1)."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs

from sansice.ice._description import Description
from sansice.ice._session_description import TRICKLE, SessionDescription
from sansice.machine import Address

from ._attributes import ICE_NAMES, RemoteCandidate
from ._lines import Line, write_lines
from ._section import DISCARD, RTCP, RTP

PSEUDO_MEDIA = "audio 9 RTP/AVP 0"  # RFC 8840 4.4: of those whose media is not known


class CredentialLevel(enum.Enum):
    """Where ``ice-ufrag`` and ``ice-pwd`` are written (RFC 8839 5.4)."""

    MEDIA = "media"
    SESSION = "session"


def credential_lines(ufrag: str, pwd: str) -> list[str]:
    """Both lines."""
    return [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{pwd}"]


def session_options(session: SessionDescription) -> tuple[str, ...]:
    """The options of all streams; where candidates may follow, ``trickle``, or the peer would not wait for them."""
    if session.end_of_candidates or TRICKLE in session.options:
        return session.options
    return (*session.options, TRICKLE)


def session_lines(session: SessionDescription) -> list[str]:
    """What is true of all streams. A lite agent has no pace (RFC 8839 4.3.1)."""
    options = session_options(session)
    lines = ["a=ice-lite"] if session.lite else []
    if options:
        lines.append("a=ice-options:" + " ".join(options))
    if session.pacing is not None and not session.lite:
        lines.append(f"a=ice-pacing:{session.pacing}")
    return lines


def stream_lines(stream: Description, session: SessionDescription, level: CredentialLevel) -> list[str]:
    """What is true of one stream: its credentials, the options that only it has, its candidates."""
    lines = credential_lines(stream.ufrag, stream.pwd) if level is CredentialLevel.MEDIA else []
    options = [option for option in stream.options if option not in session.options]
    if options:
        lines.append("a=ice-options:" + " ".join(options))
    lines.extend(f"a={candidate.to_sdp()}" for candidate in stream.candidates)
    if stream.end_of_candidates:
        lines.append("a=end-of-candidates")
    return lines


def write_session(session: SessionDescription) -> str:
    """All streams, each under a pseudo ``m=`` line with its name."""
    lines = session_lines(session)
    for mid, stream in zip(session.mids, session.streams, strict=True):
        lines += [f"m={PSEUDO_MEDIA}", f"a=mid:{mid}", *stream_lines(stream, session, CredentialLevel.MEDIA)]
    return write_lines(lines)


def without_ice(lines: Sequence[str]) -> list[str]:
    """The lines of a level that are none of ICE's."""
    return [line for line in lines if Line(0, line).attribute not in ICE_NAMES]


@attrs.frozen
class Placed:
    """Where a section's default destinations are, once they are chosen; empty: nowhere yet."""

    destinations: Mapping[int, Address]

    def connection(self, template: Sequence[str]) -> str:
        """The ``c=`` line; without an address, the unspecified one of the family that the template has."""
        if self.destinations:
            return _connection(self.destinations[RTP].host)
        is_ipv6 = any(line.startswith("c=IN IP6 ") for line in template)
        return _connection("::" if is_ipv6 else "0.0.0.0")

    @property
    def port(self) -> int:
        """Of the ``m=`` line."""
        return self.destinations[RTP].port if self.destinations else DISCARD

    @property
    def rtcp(self) -> list[str]:
        """The ``a=rtcp`` line, where RTCP has a component of its own (RFC 3605); without candidates none (RFC 8840 4.1.1)."""
        address = self.destinations.get(RTCP)
        return [] if address is None else [f"a=rtcp:{address.port} {_connection(address.host).removeprefix('c=')}"]


def _connection(host: str) -> str:
    return f"c=IN {'IP6' if ':' in host else 'IP4'} {host}"


def place(lines: Sequence[str], placed: Placed) -> list[str]:
    """A section's lines with another port and another ``c=``, which stands behind ``m=`` and ``i=`` (RFC 8866 5).

    ``a=rtcp`` names a candidate, so that it follows (RFC 8839 4.2.2).
    """
    media, _, rest = lines[0].removeprefix("m=").split(None, 2)
    kept = [line for line in lines[1:] if not line.startswith("c=") and Line(0, line).attribute != "rtcp"]
    at = 1 if kept and kept[0].startswith("i=") else 0
    return [f"m={media} {placed.port} {rest}", *kept[:at], placed.connection(lines), *kept[at:], *placed.rtcp]


def remote_candidates_line(candidates: Sequence[RemoteCandidate]) -> list[str]:
    """``a=remote-candidates``, where there are any (RFC 8839 5.2)."""
    return ["a=remote-candidates:" + " ".join(str(one) for one in candidates)] if candidates else []


def remove(lines: Sequence[str]) -> list[str]:
    """A section's lines with port 0, which removes it (RFC 3264 8.2)."""
    media, _, rest = lines[0].removeprefix("m=").split(None, 2)
    return [f"m={media} 0 {rest}", *(line for line in lines[1:] if Line(0, line).attribute != "bundle-only")]


def leave_bundles(line: str, mids: Sequence[str]) -> str:
    """A line of the session without the sections that are removed, if it is a bundle (RFC 8843 7.5.3)."""
    read = Line(0, line)
    kind, *members = read.attribute_value.split() or [""]
    if read.attribute != "group" or kind.upper() != "BUNDLE":
        return line
    return " ".join((f"a=group:{kind}", *(mid for mid in members if mid not in mids)))
