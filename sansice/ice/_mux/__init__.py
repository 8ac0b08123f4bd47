"""One port for many agents: checks are routed by ufrag, everything else by where it comes from (RFC 7983)."""
