"""The OpaqueString profile of PRECIS, for passwords, realms and user names (RFC 8265 4.2)."""

from __future__ import annotations

from sansice.machine import LocalProtocolError


class PrecisRequiredError(LocalProtocolError, ValueError):
    """Text beyond ASCII needs the tables of precis-i18n, which is not installed: ``pip install 'sansice[precis]'``."""

    def __init__(self) -> None:
        super().__init__("a user name, realm or password beyond ASCII needs precis-i18n: pip install 'sansice[precis]'")


def opaque_string(text: str) -> str:
    """Prepare a password, realm or user name for keys and comparison (RFC 8265 4.2.2).

    Spaces of other scripts become U+0020, then the text is put into NFC; case and width stay. The result is compared
    byte for byte. Unlike SASLprep, nothing is deleted and compatibility forms are kept.

    ASCII needs nothing else. Other text needs precis-i18n, which the extra ``precis`` installs.

    Raises:
        ValueError: the text is empty, or has a character that the FreeformClass of RFC 8264 does not allow.
        PrecisRequiredError: (a `ValueError` too) precis-i18n is not installed.
    """
    if not text:
        raise ValueError("an empty text has no OpaqueString form")
    if not text.isascii():
        return _enforce(text)
    if not text.isprintable():
        position = next(position for position, character in enumerate(text) if not character.isprintable())
        raise _refusal(text, position, "controls")
    return text


def _enforce(text: str) -> str:
    try:
        from precis_i18n import get_profile
    except ImportError:
        raise PrecisRequiredError from None
    try:
        return get_profile("OpaqueString").enforce(text)
    except UnicodeEncodeError as error:
        # Not chained: it holds the whole text, which may be a password.
        refused = _refusal(error.object, error.start, error.reason.rpartition("/")[2].replace("_", " "))
    raise refused


def _refusal(text: str, position: int, rule: str) -> ValueError:
    return ValueError(f"U+{ord(text[position]):04X} at position {position} is not allowed ({rule}, RFC 8264)")
