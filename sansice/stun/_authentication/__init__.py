"""Who is asking: credentials, keys, nonces, and the rules of RFC 8489 9 for both ends."""
