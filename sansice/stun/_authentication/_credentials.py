"""What a client proves itself with (RFC 8489 9.1, 9.2)."""

from __future__ import annotations

import attrs

from sansice.stun._integrity import IntegrityAlgorithm
from sansice.stun._opaque_string import opaque_string
from sansice.stun.shapes import USERNAME_BYTES


def _prepared_name(username: str) -> str:
    """As USERNAME has it (RFC 8489 14.3)."""
    prepared = opaque_string(username)
    size = len(prepared.encode())
    if size > USERNAME_BYTES:
        raise ValueError(f"a user name of {size} bytes: at most {USERNAME_BYTES} can be sent (RFC 8489 14.3)")
    return prepared


@attrs.frozen
class ShortTermCredentials:
    """A user name and password agreed upon by other means, for one session (RFC 8489 9.1).

    Attributes:
        username: in the form that it is sent in (RFC 8265 OpaqueString).
        password: the secret.
        algorithm: what both ends are known to support; ``None`` to send both integrity attributes at first, and then
            what the server answered with.

    Raises:
        ValueError: RFC 8265 forbids one of the texts, or the name is longer than 508 bytes.
        PrecisRequiredError: one of them is not ASCII, and precis-i18n is not installed.
    """

    username: str = attrs.field(converter=_prepared_name)
    password: str = attrs.field(converter=opaque_string, repr=False)
    algorithm: IntegrityAlgorithm | None = None


@attrs.frozen
class LongTermCredentials:
    """A user name and password that a server knows for long (RFC 8489 9.2).

    Attributes:
        username: in the form that it is sent in (RFC 8265 OpaqueString).
        password: the secret.

    Raises:
        ValueError: RFC 8265 forbids one of the texts, or the name is longer than 508 bytes.
        PrecisRequiredError: one of them is not ASCII, and precis-i18n is not installed.
    """

    username: str = attrs.field(converter=_prepared_name)
    password: str = attrs.field(converter=opaque_string, repr=False)
