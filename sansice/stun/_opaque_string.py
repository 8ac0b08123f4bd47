"""The OpaqueString profile of RFC 8265 4.2."""

from __future__ import annotations


def opaque_string(text: str) -> str:
    """Prepare a password."""
    return text
