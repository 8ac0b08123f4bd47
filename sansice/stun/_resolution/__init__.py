"""From a URI to addresses: RFC 5928, its order and its limits."""
