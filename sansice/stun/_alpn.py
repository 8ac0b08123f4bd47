"""What STUN's usages call themselves when TLS or DTLS is negotiated (RFC 7443 1 and 2, RFC 7301)."""

from __future__ import annotations

ALPN_TURN = "stun.turn"
"""For TURN, in `sansice.TlsOptions.alpn`."""

ALPN_NAT_DISCOVERY = "stun.nat-discovery"
"""For NAT behaviour discovery and plain Binding requests, in `sansice.TlsOptions.alpn`."""
