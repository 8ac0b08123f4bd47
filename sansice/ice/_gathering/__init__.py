"""Finding local candidates (RFC 8445 5.1)."""
