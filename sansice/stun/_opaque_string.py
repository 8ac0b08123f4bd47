"""The OpaqueString profile of PRECIS, for passwords, realms and user names (RFC 8265 4.2, RFC 8264)."""

from __future__ import annotations

import unicodedata

# RFC 8264 9.13, "PrecisIgnorableProperties": what is ignorable by default and, unlike most of it, no format character.
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)

# RFC 8264 9.9, "OldHangulJamo": the conjoining forms, which no modern text holds.
_OLD_HANGUL = ((0x1100, 0x11FF), (0xA960, 0xA97C), (0xD7B0, 0xD7FB))

_DISALLOWED_EXCEPTIONS = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")  # RFC 5892 2.6

_FORBIDDEN = {
    "Cc": "a control character",
    "Cf": "a format character",
    "Cn": "unassigned",
    "Co": "for private use",
    "Cs": "half of a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}

_VIRAMA = 9  # canonical combining class


def opaque_string(text: str) -> str:
    """Prepare a password, realm or user name for keys and comparison (RFC 8265 4.2.2).

    Spaces of other scripts become U+0020, then the text is put into NFC; case and width stay. The result is compared
    byte for byte. Unlike SASLprep, nothing is deleted and compatibility forms are kept.

    Raises:
        ValueError: the text is empty, or has a character that the FreeformClass of RFC 8264 does not allow.
    """
    if text.isascii() and text.isprintable() and text:
        return text
    # Done once: neither step makes work for the other, so that the result is stable (RFC 8265 5).
    text = unicodedata.normalize("NFC", "".join(" " if unicodedata.category(c) == "Zs" else c for c in text))
    if not text:
        raise ValueError("an empty text has no OpaqueString form")
    for position, character in enumerate(text):
        fault = _fault(text, position)
        if fault:
            raise ValueError(f"U+{ord(character):04X} at position {position} is {fault}")
    return text


def _fault(text: str, position: int) -> str:
    """Why a character is not in the FreeformClass; "" where it is (RFC 8264 4.3, 8)."""
    character = text[position]
    rule = _CONTEXT.get(character)
    if rule is not None:
        return "" if rule(text, position) else "out of place"
    code = ord(character)
    if character in _DISALLOWED_EXCEPTIONS or _within(code, _OLD_HANGUL) or _within(code, _IGNORABLE):
        return "not allowed"
    return _FORBIDDEN.get(unicodedata.category(character), "")


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


# ------------------------------------------------------------------- the contextual rules of RFC 5892 appendix A


def _after_virama(text: str, position: int) -> bool:
    # A.1 also lets ZERO WIDTH NON-JOINER stand between cursive letters; `unicodedata` has no joining types,
    # so that one use is refused.
    return position > 0 and unicodedata.combining(text[position - 1]) == _VIRAMA


def _between_l(text: str, position: int) -> bool:
    return text[position - 1 : position] == "l" and text[position + 1 : position + 2] == "l"


def _before_greek(text: str, position: int) -> bool:
    return _script(text[position + 1 : position + 2]) == "GREEK"


def _after_hebrew(text: str, position: int) -> bool:
    return position > 0 and _script(text[position - 1]) == "HEBREW"


def _with_japanese(text: str, position: int) -> bool:
    return any(_script(c) in ("HIRAGANA", "KATAKANA", "CJK") and c != "\u30fb" for c in text)


def _without_extended_digits(text: str, position: int) -> bool:
    return not any("\u06f0" <= c <= "\u06f9" for c in text)


def _without_arabic_digits(text: str, position: int) -> bool:
    return not any("\u0660" <= c <= "\u0669" for c in text)


def _script(character: str) -> str:
    """The first word of the character's name, which for these scripts is the script."""
    return unicodedata.name(character, "").partition(" ")[0] if character else ""


_CONTEXT = {
    "\u200c": _after_virama,  # ZERO WIDTH NON-JOINER
    "\u200d": _after_virama,  # ZERO WIDTH JOINER
    "\u00b7": _between_l,  # MIDDLE DOT
    "\u0375": _before_greek,  # GREEK LOWER NUMERAL SIGN (KERAIA)
    "\u05f3": _after_hebrew,  # HEBREW PUNCTUATION GERESH
    "\u05f4": _after_hebrew,  # HEBREW PUNCTUATION GERSHAYIM
    "\u30fb": _with_japanese,  # KATAKANA MIDDLE DOT
    **{chr(digit): _without_extended_digits for digit in range(0x0660, 0x066A)},
    **{chr(digit): _without_arabic_digits for digit in range(0x06F0, 0x06FA)},
}
