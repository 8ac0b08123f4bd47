"""Descriptions as SDP (RFC 8839, RFC 8840): lines of a media section, of a session, and trickled fragments."""
