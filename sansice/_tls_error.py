"""The one error of TLS and DTLS: apart from them, so that catching it imports neither."""

from __future__ import annotations


class TlsError(Exception):
    """The handshake failed, or the peer broke the protocol; the text is for a person."""
