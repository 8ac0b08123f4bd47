"""Names in place of addresses: multicast DNS, as far as ICE needs it (RFC 6762, draft-ietf-mmusic-mdns-ice-candidates)."""
