"""What one agent tells the other: credentials, options and candidates (RFC 8445 5.3, RFC 8839 5)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import attrs

from sansice.machine import Entropy

from ._candidate import Candidate, UnsupportedCandidate

_ICE_CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_ICE_CHAR_OF_BYTE = _ICE_CHARS.encode() * 4  # by the six low bits of a byte
_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)  # RFC 8839 5.4
_PWD = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)
_OPTION = re.compile(r"[A-Za-z0-9+/_-]+", re.ASCII)  # RFC 8839 5.6; real options also carry - and _
_UFRAG_LENGTH = 8  # 48 random bits; RFC 8445 5.3 asks for 24
_PWD_LENGTH = 24  # 144 random bits; RFC 8445 5.3 asks for 128
MAX_PACING = 10**10 - 1  # RFC 8839 5.5: ten digits


def check_ufrag(value: str) -> None:
    """A user name fragment of RFC 8839 5.4, or a ValueError."""
    if not _UFRAG.fullmatch(value):
        raise ValueError(f"ice-ufrag: {value!r:.300} is not 4 to 256 of A-Z a-z 0-9 + /")


def check_pwd(value: str) -> None:
    """A password of RFC 8839 5.4, or a ValueError that does not repeat it."""
    if not _PWD.fullmatch(value):
        raise ValueError("ice-pwd: not 22 to 256 of A-Z a-z 0-9 + /")


def _check_ufrag(instance: object, attribute: object, value: str) -> None:
    check_ufrag(value)


def _check_pwd(instance: object, attribute: object, value: str) -> None:
    check_pwd(value)


@attrs.frozen
class Credentials:
    """The short-term credentials of one agent: user name fragment and password (RFC 8445 5.3).

    Raises:
        ValueError: outside the grammar of RFC 8839 5.4.
    """

    ufrag: str = attrs.field(validator=_check_ufrag)
    pwd: str = attrs.field(validator=_check_pwd, repr=False)

    @classmethod
    def generate(cls, entropy: Entropy) -> Credentials:
        """New credentials, 48 and 144 random bits long."""
        text = entropy(_UFRAG_LENGTH + _PWD_LENGTH).translate(_ICE_CHAR_OF_BYTE).decode()
        return cls(text[:_UFRAG_LENGTH], text[_UFRAG_LENGTH:])


def check_options(options: Iterable[str]) -> None:
    """Option tags of RFC 8839 5.6, or a ValueError."""
    for option in options:
        if not _OPTION.fullmatch(option):
            raise ValueError(f"ice-options: {option!r:.300} is not an option tag")


def _check_options(instance: object, attribute: object, value: tuple[str, ...]) -> None:
    check_options(value)


def _check_pacing(instance: object, attribute: object, value: int | None) -> None:
    if value is not None and not 0 <= value <= MAX_PACING:
        raise ValueError(f"ice-pacing: {value} is outside 0..{MAX_PACING} ms")


def _as_candidates(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    listed = tuple(candidates)
    for candidate in listed:
        if not isinstance(candidate, Candidate):
            raise ValueError(f"candidates: {candidate!r:.60} is not a Candidate (Candidate.from_sdp reads text)")
    return listed


def _as_options(options: Iterable[str]) -> tuple[str, ...]:
    if isinstance(options, str):
        raise ValueError(f"ice-options: several option tags, not the one text {options!r:.60}")
    return tuple(options)


def _check_flag(instance: object, attribute: attrs.Attribute[bool], value: bool) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name}: {value!r:.60} is not True or False")


@attrs.frozen
class Description:
    """One stream's half of what two agents exchange.

    Attributes:
        ufrag, pwd: the agent's credentials.
        candidates: what was gathered so far; any iterable, kept as a tuple.
        lite: whether the agent is a lite one.
        options: ICE option tags such as ``ice2`` and ``trickle``.
        pacing: the agent's Ta in milliseconds; ``None`` counts as 50 (RFC 8445 14.2).
        end_of_candidates: whether no more candidates follow (RFC 8838 13).

    Raises:
        ValueError: a field is outside its grammar; the text names it.
    """

    ufrag: str = attrs.field(validator=_check_ufrag)
    pwd: str = attrs.field(validator=_check_pwd, repr=False)
    candidates: tuple[Candidate, ...] = attrs.field(default=(), converter=_as_candidates, kw_only=True)
    lite: bool = attrs.field(default=False, validator=_check_flag, kw_only=True)
    options: tuple[str, ...] = attrs.field(default=(), converter=_as_options, validator=_check_options, kw_only=True)
    pacing: int | None = attrs.field(default=None, validator=_check_pacing, kw_only=True)
    end_of_candidates: bool = attrs.field(default=True, validator=_check_flag, kw_only=True)

    def to_sdp(self) -> str:
        """The attribute lines of a media section, each ended by CRLF (RFC 8839 5, RFC 8840 4.2).

        Where candidates may follow, the option ``trickle`` is written, or the peer would not wait for them.
        """
        options = self.options
        if not self.end_of_candidates and "trickle" not in options:
            options = (*options, "trickle")
        lines = [f"ice-ufrag:{self.ufrag}", f"ice-pwd:{self.pwd}"]
        if self.lite:
            lines.append("ice-lite")
        if options:
            lines.append("ice-options:" + " ".join(options))
        if self.pacing is not None:
            lines.append(f"ice-pacing:{self.pacing}")
        lines.extend(candidate.to_sdp() for candidate in self.candidates)
        if self.end_of_candidates:
            lines.append("end-of-candidates")
        return "".join(f"a={line}\r\n" for line in lines)

    @classmethod
    def from_sdp(cls, text: str) -> Description:
        """Read attribute lines, ended by CRLF or LF; lines that are not ICE's are skipped.

        Candidates of an unknown type or transport are skipped (RFC 8839 5.1). Without the option
        ``trickle`` no more candidates can follow, so ``end_of_candidates`` is true (RFC 8840 4.1).

        Raises:
            ValueError: a malformed line, or no ufrag or password.
        """
        values: dict[str, str] = {}
        candidates: list[Candidate] = []
        for line in text.splitlines():
            name, _, value = line.strip().removeprefix("a=").partition(":")
            name = name.lower()  # RFC 8840 9.2
            if name == "candidate":
                try:
                    candidates.append(Candidate.from_sdp(value))
                except UnsupportedCandidate:
                    continue
            elif name in _SDP_NAMES:
                values[name] = value.strip()
        for name in ("ice-ufrag", "ice-pwd"):
            if name not in values:
                raise ValueError(f"{name}: missing")
        options = tuple(values.get("ice-options", "").split())
        return cls(
            values["ice-ufrag"],
            values["ice-pwd"],
            candidates=candidates,
            lite="ice-lite" in values,
            options=options,
            pacing=read_pacing(values["ice-pacing"]) if "ice-pacing" in values else None,
            end_of_candidates="end-of-candidates" in values or "trickle" not in options,
        )

    def to_json(self) -> str:
        """One JSON object: ufrag, pwd, lite, options, pacing, candidates (SDP text), end_of_candidates."""
        return json.dumps(description_object(self))

    @classmethod
    def from_json(cls, text: str) -> Description:
        """Read what `to_json` wrote; only ``ufrag`` and ``pwd`` are required, unknown keys are skipped.

        Raises:
            ValueError: not JSON, or a field of the wrong kind; the text names it.
        """
        return read_description_object(read_json_object(text))


_SDP_NAMES = ("ice-ufrag", "ice-pwd", "ice-lite", "ice-options", "ice-pacing", "end-of-candidates")
_JSON_KINDS: dict[str, type | tuple[type, ...]] = {
    "ufrag": str,
    "pwd": str,
    "lite": bool,
    "options": list,
    "pacing": (int, type(None)),
    "candidates": list,
    "end_of_candidates": bool,
}


def description_object(description: Description) -> dict[str, object]:
    """What a description is in JSON."""
    return {
        "ufrag": description.ufrag,
        "pwd": description.pwd,
        "lite": description.lite,
        "options": list(description.options),
        "pacing": description.pacing,
        "candidates": [candidate.to_sdp() for candidate in description.candidates],
        "end_of_candidates": description.end_of_candidates,
    }


def read_json_object(text: str) -> dict[str, Any]:
    """One JSON object, or a ValueError that says what else it is."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"description: not JSON: {error}") from None
    return as_json_object("description", values)


def as_json_object(name: str, values: object) -> dict[str, Any]:
    """A value that must be an object of JSON; `name` is what errors call it."""
    if not isinstance(values, dict):
        raise ValueError(f"{name}: not a JSON object")
    return values


def read_description_object(values: dict[str, Any]) -> Description:
    """A description from the object that `description_object` made; raises ValueError naming the field."""
    for name, kind in _JSON_KINDS.items():
        if name in values and not _is_of_kind(values[name], kind):
            raise ValueError(f"{name}: of the wrong kind")
    for name in ("ufrag", "pwd"):
        if name not in values:
            raise ValueError(f"{name}: missing")
    candidates: list[Candidate] = []
    for line in as_texts("candidates", values.get("candidates", [])):
        try:
            candidates.append(Candidate.from_sdp(line))
        except UnsupportedCandidate:
            continue
    return Description(
        values["ufrag"],
        values["pwd"],
        candidates=candidates,
        lite=values.get("lite", False),
        options=as_texts("options", values.get("options", [])),
        pacing=values.get("pacing"),
        end_of_candidates=values.get("end_of_candidates", True),
    )


def _is_of_kind(value: object, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool):  # a bool is an int to Python, not to JSON
        return kind is bool
    return isinstance(value, kind)


def read_pacing(text: str) -> int:
    """Milliseconds as RFC 8839 5.5 writes them, or a ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ValueError(f"ice-pacing: {text!r:.300} is not a number of at most ten digits")
    return int(text)


def as_texts(name: str, values: list[object]) -> list[str]:
    """A list of JSON that must hold nothing but texts."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values):
        raise ValueError(f"{name}: not a list of texts")
    return texts
