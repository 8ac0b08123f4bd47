"""The lite agent (RFC 8445 2.5): answers checks and starts none. Nothing of the full agent is needed to read it."""
