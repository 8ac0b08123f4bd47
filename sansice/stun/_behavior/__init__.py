"""What kind of NAT is on the path: the tests of RFC 5780, one module each, and the words for their results."""
