"""Why a request is not granted, and what its answer says (RFC 8656 19, RFC 8489 14.8, RFC 6062 6.3, RFC 8016 3.4)."""

from __future__ import annotations

from typing import Any

import attrs

from sansice.stun import DONT_FRAGMENT, UNKNOWN_ATTRIBUTES, Attribute, ErrorCode


@attrs.frozen
class Refusal:
    """An error response.

    Attributes:
        error: the value of ERROR-CODE.
        attributes: what the response has beside it.
    """

    error: ErrorCode
    attributes: tuple[tuple[Attribute[Any], Any], ...] = ()


def _refusal(code: int, reason: str) -> Refusal:
    return Refusal(ErrorCode(code, reason))


BAD_REQUEST = _refusal(400, "Bad Request")
FORBIDDEN = _refusal(403, "Forbidden")
MOBILITY_FORBIDDEN = _refusal(405, "Mobility Forbidden")
MISMATCH = _refusal(437, "Allocation Mismatch")
UNSUPPORTED_FAMILY = _refusal(440, "Address Family not Supported")
WRONG_CREDENTIALS = _refusal(441, "Wrong Credentials")
UNSUPPORTED_TRANSPORT = _refusal(442, "Unsupported Transport Protocol")
FAMILY_MISMATCH = _refusal(443, "Peer Address Family Mismatch")
CONNECTION_EXISTS = _refusal(446, "Connection Already Exists")
CONNECTION_FAILED = _refusal(447, "Connection Timeout or Failure")
QUOTA_REACHED = _refusal(486, "Allocation Quota Reached")
NO_CAPACITY = _refusal(508, "Insufficient Capacity")

# RFC 8656 7.2: a server that cannot set the DF bit treats the attribute as if it did not know it.
UNKNOWN_DONT_FRAGMENT = Refusal(ErrorCode(420, "Unknown Attribute"), ((UNKNOWN_ATTRIBUTES, (DONT_FRAGMENT.code,)),))
