"""What one agent tells the other about all of its streams (RFC 8839 4.2.1, 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator

import attrs

from ._description import Description, as_json_object, as_texts, description_object, read_description_object, read_json_object

_MID = re.compile(r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,64}", re.ASCII)  # a token of RFC 8866; RFC 5888 sets no length
TRICKLE = "trickle"


def _as_streams(streams: Iterable[Description]) -> tuple[Description, ...]:
    listed = tuple(streams)
    for stream in listed:
        if not isinstance(stream, Description):
            raise ValueError(f"streams: {stream!r:.60} is not a Description")
    return listed


def _as_mids(mids: Iterable[str]) -> tuple[str, ...]:
    if isinstance(mids, str):
        raise ValueError(f"mids: several names, not the one text {mids!r:.60}")
    return tuple(mids)


def check_mid(mid: str) -> str:
    """The name of a media section as it is, if it is one word of RFC 5888's; a ValueError otherwise."""
    if not _MID.fullmatch(mid):
        raise ValueError(f"mid: {mid!r:.70} is not a token of 1 to 64 characters")
    return mid


def check_password(known: dict[str, str], stream: Description) -> None:
    """Streams with one ufrag have one password (RFC 8839 5.4), or a check would not say whose it is.

    Args:
        known: the passwords of the streams before, by ufrag; this one's is added.
        stream: the next.
    """
    if known.setdefault(stream.ufrag, stream.pwd) != stream.pwd:
        raise ValueError(f"ice-pwd: two streams have the ice-ufrag {stream.ufrag!r:.40} with different passwords")


@attrs.frozen
class SessionDescription:
    """The descriptions of all streams of a session; ``description[n]`` is stream n's.

    An agent is lite, and paces its checks, as a whole: all streams say the same about both. So they do about
    the option ``trickle`` (RFC 8838 3).

    Attributes:
        streams: one description a stream, at least one; any iterable, kept as a tuple.
        mids: the names of the media sections, in the same order (RFC 5888); "0", "1" and so on where none are given.

    Raises:
        ValueError: no stream; streams that differ where they must not; one ufrag with two passwords (RFC 8839 5.4);
            names that are not as many, not different or no tokens.
    """

    streams: tuple[Description, ...] = attrs.field(converter=_as_streams)
    mids: tuple[str, ...] = attrs.field(
        converter=_as_mids,
        default=attrs.Factory(lambda self: tuple(str(index) for index in range(len(self.streams))), takes_self=True),
        kw_only=True,
    )

    def __attrs_post_init__(self) -> None:
        if not self.streams:
            raise ValueError("streams: at least one")
        if len(self.mids) != len(self.streams):
            raise ValueError(f"mids: {len(self.mids)} names for {len(self.streams)} streams")
        if len({check_mid(mid) for mid in self.mids}) != len(self.mids):
            raise ValueError("mids: a name comes twice")
        for name, say in _OF_SESSION.items():
            if any(say(stream) != say(self.streams[0]) for stream in self.streams):
                raise ValueError(f"{name}: all streams of a session must say the same")
        passwords: dict[str, str] = {}
        for stream in self.streams:
            check_password(passwords, stream)

    def __len__(self) -> int:
        return len(self.streams)

    def __getitem__(self, stream: int) -> Description:
        return self.streams[stream]

    def __iter__(self) -> Iterator[Description]:
        return iter(self.streams)

    @property
    def lite(self) -> bool:
        """Whether the agent is a lite one."""
        return self.streams[0].lite

    @property
    def pacing(self) -> int | None:
        """The agent's Ta in milliseconds; ``None`` counts as 50 (RFC 8445 14.2)."""
        return self.streams[0].pacing

    @property
    def options(self) -> tuple[str, ...]:
        """The ICE option tags that every stream has, in the order of the first one's."""
        first, *others = (stream.options for stream in self.streams)
        return tuple(option for option in first if all(option in options for options in others))

    @property
    def end_of_candidates(self) -> bool:
        """Whether no stream will have more candidates."""
        return all(stream.end_of_candidates for stream in self.streams)

    def to_sdp(self) -> str:
        """Attribute lines: those of the session, then those of each stream under a pseudo ``m=`` line (RFC 8840 4.4).

        For an offer or an answer with media of your own, see `SessionSdp.with_ice`.
        """
        from ._sdp._writing import write_session  # text is not what an agent that is told JSON should load

        return write_session(self)

    @classmethod
    def from_sdp(cls, text: str) -> SessionDescription:
        """Read what `to_sdp` wrote, or the ICE parts of a whole offer or answer; see `SessionSdp` for more of these.

        Lines without any ``m=`` are one stream's, as for `Description.from_sdp`.

        Raises:
            ValueError: a malformed line, or no ICE at all.
        """
        from ._sdp._session import SessionSdp

        read = SessionSdp.from_sdp(text)
        return read.description if read.sections else cls([Description.from_sdp(text)])

    def to_json(self) -> str:
        """One JSON object: ``streams``, a list of what `Description.to_json` makes, and ``mids``."""
        streams = [description_object(stream) for stream in self.streams]
        return json.dumps({"streams": streams, "mids": list(self.mids)})

    @classmethod
    def from_json(cls, text: str) -> SessionDescription:
        """Read what `to_json` wrote; what `Description.to_json` wrote is a session of one stream.

        Raises:
            ValueError: not JSON, or a field of the wrong kind; the text names it.
        """
        values = read_json_object(text)
        if "streams" not in values:
            return cls([read_description_object(values)])
        objects = [as_json_object("streams", stream) for stream in _as_list("streams", values["streams"])]
        streams = [read_description_object(stream) for stream in objects]
        if "mids" not in values:
            return cls(streams)
        return cls(streams, mids=as_texts("mids", _as_list("mids", values["mids"])))


# What belongs to the session, so that it cannot differ from stream to stream: RFC 8839 5.3 and 5.5, RFC 8838 3.
_OF_SESSION: dict[str, Callable[[Description], object]] = {
    "ice-lite": lambda stream: stream.lite,
    "ice-pacing": lambda stream: stream.pacing,
    "trickle": lambda stream: TRICKLE in stream.options,
}


def _as_list(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{name}: of the wrong kind")
    return value
