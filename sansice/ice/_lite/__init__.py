"""The lite agent (RFC 8445 2.5): it answers checks, follows the nomination, and never checks anything itself."""
