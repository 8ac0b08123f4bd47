"""The server: allocations and what they relay (RFC 8656)."""
