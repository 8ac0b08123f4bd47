"""Names that conceal an address: a UUID under ``.local`` (draft-ietf-mmusic-mdns-ice-candidates 3.1.1, 3.2.1)."""

from __future__ import annotations

import os
import re

from sansice.machine import Entropy

_LOCAL = ".local"
# Which version the UUID is of is not looked at: what matters is that nobody gives a device such a name to be found by it.
_CONCEALING = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.local", re.ASCII | re.IGNORECASE)


def mdns_name(entropy: Entropy = os.urandom) -> str:
    """A new name: a UUID of version 4 (RFC 4122 4.4), followed by ``.local``."""
    drawn = bytearray(entropy(16))
    drawn[6] = drawn[6] & 0x0F | 0x40
    drawn[8] = drawn[8] & 0x3F | 0x80
    text = drawn.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}{_LOCAL}"


def is_mdns_name(text: str) -> bool:
    """Whether a candidate's address is for mDNS: it ends in ``.local`` and has no other dot (draft 3.2.1)."""
    return text.lower().endswith(_LOCAL) and text.count(".") == 1


def is_concealing_name(text: str) -> bool:
    """Whether it is of the form that conceals an address. No other is asked for: who can have us send to devices whose names are
    known, such as ``printer.local``, could attack them (draft 3.2.2).
    """
    return _CONCEALING.fullmatch(text) is not None
