"""The full agent (RFC 8445): checks, nomination, consent."""
