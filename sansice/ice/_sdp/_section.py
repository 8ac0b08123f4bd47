"""A media section: what of it concerns ICE, and all of its lines as they came (RFC 8839 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from sansice.ice._candidate import CandidateAddress, read_host
from sansice.ice._session_description import check_mid
from sansice.machine import Address, Transport

from ._attributes import IceAttributes, read_attributes
from ._lines import Line, naming, read_number

DISCARD = 9  # RFC 863: the port of those who have none yet (RFC 8839 4.2.5)
UNSPECIFIED = ("0.0.0.0", "::")
RTP, RTCP = 1, 2  # components; RFC 8839 5.1


@attrs.frozen
class MediaSection:
    """A media section of an offer or an answer, from its ``m=`` line on.

    Attributes:
        lines: all of them as they came, without their ends.
        media: the first word, such as ``audio``.
        port: of the default destination; 0 in a section that is rejected, removed, or only there as part of a bundle.
        proto: such as ``UDP/TLS/RTP/SAVPF``.
        mid: the section's name (RFC 5888), where it has one.
        host: of the default destination, from ``c=``: a literal or a name; the session's where the section has none.
        rtcp: where RTCP goes by default, from ``a=rtcp`` (RFC 3605).
        rtcp_mux: whether RTCP uses the component of RTP (RFC 5761).
        bundle_only: whether it exists only as part of a bundle (RFC 8843 6).
        ice: the ICE attributes of this section alone.
    """

    lines: tuple[str, ...] = attrs.field(repr=False)
    media: str
    port: int
    proto: str
    mid: str | None = None
    host: str | None = None
    rtcp: CandidateAddress | None = None
    rtcp_mux: bool = False
    bundle_only: bool = False
    ice: IceAttributes = attrs.Factory(IceAttributes)

    @property
    def is_active(self) -> bool:
        """Whether there is a stream: a port, or a place in a bundle (RFC 8839 4.2.1.6, RFC 8843 6)."""
        return self.port != 0 or self.bundle_only

    @property
    def transport(self) -> Transport:
        """Over what the default destination is reached."""
        return transport_of(self.proto)

    @property
    def destinations(self) -> dict[int, CandidateAddress]:
        """The default destination of each component: ``c=`` and ``m=``, and RTCP's (RFC 8839 4.2.5).

        Without ``a=rtcp``, RTCP has the next port (RFC 3605 2.1), where there are candidates for it at all. A section
        without ``c=`` has none.
        """
        if self.host is None:
            return {}
        found = {RTP: address_of(self.host, self.port)}
        if self.rtcp is not None:
            found[RTCP] = self.rtcp
        elif not self.rtcp_mux and self.port < 65535 and any(one.component == RTCP for one in self.ice.candidates):
            found[RTCP] = address_of(self.host, self.port + 1)
        return found


def transport_of(proto: str) -> Transport:
    """The transport of a ``proto`` field: TCP where it begins with that, as in ``TCP/TLS/RTP/SAVPF``."""
    return Transport.TCP if proto.upper().partition("/")[0] == "TCP" else Transport.UDP


def address_of(host: str, port: int) -> CandidateAddress:
    """A host of ``c=`` or ``a=rtcp`` with a port: an address, or a name."""
    return read_host(host, str(port))


def read_section(lines: Sequence[Line], session_host: str | None) -> MediaSection:
    """A section from its lines, of which the first is ``m=``.

    Raises:
        ValueError: a malformed line that matters to ICE; the text names it.
    """
    first = lines[0]
    words = first.value.split()
    host = read_connection(lines) or session_host
    named: dict[str, Line] = {}
    for line in lines:
        named.setdefault(line.attribute, line)
    with naming(first):
        if len(words) < 3:
            raise ValueError("m=: not a kind of media, a port and a protocol")
        port = read_number("m= port", words[1].partition("/")[0], 65535)
    return MediaSection(
        lines=tuple(line.text for line in lines),
        media=words[0],
        port=port,
        proto=words[2],
        mid=_read_mid(named.get("mid")),
        host=host,
        rtcp=_read_rtcp(named.get("rtcp"), host),
        rtcp_mux="rtcp-mux" in named or "rtcp-mux-only" in named,
        bundle_only="bundle-only" in named,
        ice=read_attributes(lines),
    )


def read_connection(lines: Sequence[Line]) -> str | None:
    """The host of the first ``c=`` line of a level, which may be followed by a TTL and a number of groups."""
    for line in lines:
        if line.type == "c":
            words = line.value.split()
            with naming(line):
                if len(words) != 3:
                    raise ValueError("c=: not a network, a family and an address")
                return _check_host("c=", words[2].partition("/")[0])
    return None


def _check_host(name: str, host: str) -> str:
    try:
        return address_of(host, DISCARD)[0]
    except ValueError:
        raise ValueError(f"{name}: {host[:40]!r} is neither an address nor a name") from None


def _read_mid(line: Line | None) -> str | None:
    if line is None:
        return None
    with naming(line):
        return check_mid(line.attribute_value)


def _read_rtcp(line: Line | None, host: str | None) -> CandidateAddress | None:
    """``a=rtcp:PORT`` or ``a=rtcp:PORT IN IP4 ADDRESS`` (RFC 3605 2.1); without an address it is that of ``c=``."""
    if line is None:
        return None
    words = line.attribute_value.split()
    with naming(line):
        if len(words) not in (1, 4):
            raise ValueError("rtcp: not a port, alone or with a network, a family and an address")
        port = read_number("rtcp", words[0], 65535)
        if len(words) == 4:
            host = _check_host("rtcp", words[3])
    return None if host is None else address_of(host, port)


def is_named(address: CandidateAddress) -> bool:
    """Whether it is a name that is not resolved."""
    return not isinstance(address, Address)
