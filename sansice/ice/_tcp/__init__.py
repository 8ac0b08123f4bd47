"""ICE over TCP (RFC 6544): what full and lite agents share, for those that are to have it."""
