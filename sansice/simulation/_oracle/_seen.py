"""What of a peer a rule looks at."""

from __future__ import annotations

from collections.abc import Hashable

from sansice.simulation._nat._kind import Filtering, Mapping

from ._values import Endpoint


def seen(rule: Mapping | Filtering, peer: Endpoint) -> Hashable:
    """Nothing, its address, or its address and port: mapping and filtering have the same three words (RFC 4787 4.1, 5)."""
    match rule.value:
        case "endpoint-independent":
            return None
        case "address-dependent":
            return peer.host
        case _:
            return peer
