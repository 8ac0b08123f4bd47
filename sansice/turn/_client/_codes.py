"""The error codes that a client acts on, each by its name in the RFCs."""

from __future__ import annotations

TRY_ALTERNATE = 300  # RFC 8489 14.8, RFC 8656 7.4
BAD_REQUEST = 400  # RFC 8489 14.8
UNAUTHENTICATED = 401  # RFC 8489 14.8
FORBIDDEN = 403  # RFC 8656 19
MOBILITY_FORBIDDEN = 405  # RFC 8016 3.4
UNKNOWN_ATTRIBUTE = 420  # RFC 8489 14.8
ALLOCATION_MISMATCH = 437  # RFC 8656 19
STALE_NONCE = 438  # RFC 8489 14.8
UNSUPPORTED_FAMILY = 440  # RFC 8656 19
WRONG_CREDENTIALS = 441  # RFC 8656 19
UNSUPPORTED_TRANSPORT = 442  # RFC 8656 19
CONNECTION_FAILED = 447  # RFC 6062 6.3
QUOTA_REACHED = 486  # RFC 8656 19
NO_CAPACITY = 508  # RFC 8656 19


def may_pass(code: int | None) -> bool:
    """Whether the same may be granted a little later: no answer, or a trouble that is the server's (RFC 8489 14.8)."""
    return code is None or code >= 500
