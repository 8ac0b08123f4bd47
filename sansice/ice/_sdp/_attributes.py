"""The ICE attributes of one level, of a session or of a media section (RFC 8839 5, RFC 8840 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import attrs

from sansice.ice._candidate import (
    MAX_COMPONENT,
    Candidate,
    CandidateAddress,
    UnsupportedCandidate,
    read_component,
    read_host,
)
from sansice.ice._description import Description, check_options, check_pwd, check_ufrag, read_pacing
from sansice.ice._session_description import TRICKLE

from ._lines import MAX_ATTRIBUTE, Line, naming

# Ten times what an agent takes by default (`IceConfig.max_remote_candidates`): the description of a peer that is merely generous
# is read, and one that means harm ends early.
MAX_CANDIDATES = 1000  # a section
MAX_REMOTE_CANDIDATES = MAX_COMPONENT  # one for each component; RFC 8839 5.2

FLAGS = ("ice-lite", "ice-mismatch", "end-of-candidates")
ICE_NAMES = frozenset({*FLAGS, "candidate", "remote-candidates", "ice-ufrag", "ice-pwd", "ice-options", "ice-pacing"})


class RemoteCandidate(NamedTuple):
    """A candidate of the peer's in ``a=remote-candidates``: of one component, and by its address alone (RFC 8839 5.2)."""

    component: int
    address: CandidateAddress

    def __str__(self) -> str:
        return f"{self.component} {self.address[0]} {self.address[1]}"


@attrs.frozen
class IceAttributes:
    """What one level says about ICE; ``None`` and empty where it says nothing.

    Attributes:
        ufrag, pwd: of this level alone: a media section's are the session's where it has none (RFC 8839 5.4).
        options: ICE option tags.
        lite: whether the agent is a lite one.
        pacing: the agent's Ta in milliseconds.
        mismatch: whether the answerer did without ICE here (RFC 8839 4.2.5).
        end_of_candidates: whether this level says that no candidates follow.
        candidates: those of known types and transports; names are not resolved.
        unsupported: how many there are of other types or transports; RFC 8839 5.1 says to ignore them.
        remote_candidates: what a controlling agent has selected, as far as it is the peer's.
    """

    ufrag: str | None = None
    pwd: str | None = attrs.field(default=None, repr=False)
    options: tuple[str, ...] = ()
    lite: bool = False
    pacing: int | None = None
    mismatch: bool = False
    end_of_candidates: bool = False
    candidates: tuple[Candidate, ...] = ()
    unsupported: int = 0
    remote_candidates: tuple[RemoteCandidate, ...] = ()


def read_attributes(lines: Iterable[Line]) -> IceAttributes:
    """The ICE attributes among the lines of a level.

    Raises:
        ValueError: a malformed one, or two that contradict each other; the text names the line and the attribute.
    """
    reader = _Reader()
    for line in lines:
        name = line.attribute
        if name not in ICE_NAMES:
            continue
        with naming(line):
            if len(line.text) > MAX_ATTRIBUTE:
                raise ValueError(f"{name}: {len(line.text)} characters, more than {MAX_ATTRIBUTE}")
            reader.take(name, line.attribute_value)
    return reader.attributes()


class _Reader:
    """Collects attributes one by one."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._candidates: list[Candidate] = []
        self._unsupported = 0
        self._remote: list[RemoteCandidate] = []

    def take(self, name: str, value: str) -> None:
        """Check and keep one attribute."""
        match name:
            case "candidate":
                self._take_candidate(value)
                return
            case "remote-candidates":
                self._remote.extend(_read_remote_candidates(value))
                if len(self._remote) > MAX_REMOTE_CANDIDATES:
                    raise ValueError(f"remote-candidates: more than {MAX_REMOTE_CANDIDATES}")
                return
            case "ice-ufrag":
                check_ufrag(value)
            case "ice-pwd":
                check_pwd(value)
            case "ice-options":
                check_options(value.split())
            case "ice-pacing":
                read_pacing(value)
            case _ if value:
                raise ValueError(f"{name}: it has no value, and here {value[:40]!r}")
        if self._values.setdefault(name, value) != value:
            raise ValueError(f"{name}: comes twice, with different values")

    def _take_candidate(self, value: str) -> None:
        if len(self._candidates) + self._unsupported >= MAX_CANDIDATES:
            raise ValueError(f"candidate: more than {MAX_CANDIDATES}")
        try:
            self._candidates.append(Candidate.from_sdp(value))
        except UnsupportedCandidate:
            self._unsupported += 1

    def attributes(self) -> IceAttributes:
        """All that was taken."""
        values = self._values
        return IceAttributes(
            ufrag=values.get("ice-ufrag"),
            pwd=values.get("ice-pwd"),
            options=tuple(values.get("ice-options", "").split()),
            lite="ice-lite" in values,
            pacing=read_pacing(values["ice-pacing"]) if "ice-pacing" in values else None,
            mismatch="ice-mismatch" in values,
            end_of_candidates="end-of-candidates" in values,
            candidates=tuple(self._candidates),
            unsupported=self._unsupported,
            remote_candidates=tuple(self._remote),
        )


def _read_remote_candidates(value: str) -> list[RemoteCandidate]:
    words = value.split()
    if not words or len(words) % 3:
        raise ValueError("remote-candidates: not a component, an address and a port each")
    triples = zip(words[::3], words[1::3], words[2::3], strict=True)
    read = [RemoteCandidate(read_component(component), read_host(host, port)) for component, host, port in triples]
    if not all(1 <= one.component <= MAX_COMPONENT for one in read):
        raise ValueError(f"remote-candidates: a component outside 1..{MAX_COMPONENT}")
    return read


def of_session(session: IceAttributes, sections: Sequence[IceAttributes]) -> IceAttributes:
    """The session's attributes, with what some agents write into media sections although it is true of all of them.

    ``ice-lite`` and ``ice-pacing`` belong to the session (RFC 8839 5.3, 5.5); an agent trickles in all streams or in none
    (RFC 8838 3), and who is told less would give up before the candidates come.
    """
    options = session.options
    if TRICKLE not in options and any(TRICKLE in section.options for section in sections):
        options = (*options, TRICKLE)
    pacing = session.pacing
    if pacing is None:
        pacing = max((section.pacing for section in sections if section.pacing is not None), default=None)
    lite = session.lite or any(section.lite for section in sections)
    return attrs.evolve(session, options=options, pacing=pacing, lite=lite)


def describe(session: IceAttributes, media: IceAttributes) -> Description | None:
    """What both levels together say about a stream; ``None``: nothing of ICE (RFC 8839 4.2.5).

    Args:
        session: what `of_session` makes.
        media: of the section.

    Raises:
        ValueError: a ufrag without a password, or the reverse.
    """
    ufrag, pwd = media.ufrag or session.ufrag, media.pwd or session.pwd
    if ufrag is None and pwd is None:
        return None
    if ufrag is None or pwd is None:
        raise ValueError(f"ice-{'ufrag' if ufrag is None else 'pwd'}: missing")
    options = tuple(dict.fromkeys((*session.options, *media.options)))
    return Description(
        ufrag,
        pwd,
        candidates=media.candidates,
        lite=session.lite,
        options=options,
        pacing=session.pacing,
        end_of_candidates=session.end_of_candidates or media.end_of_candidates or TRICKLE not in options,
    )
