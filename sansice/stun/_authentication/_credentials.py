"""What a client proves itself with (RFC 8489 9.1, 9.2, RFC 7635 5)."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansice.stun._integrity import IntegrityAlgorithm
from sansice.stun._opaque_string import opaque_string
from sansice.stun.shapes import USERNAME_BYTES

from ._token import read_base64, read_object, read_text


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


@attrs.frozen
class AccessToken:
    """What an authorization server gave to this client, to enter a STUN or TURN server with (RFC 7635 5).

    It is shown to a server that asks for tokens (THIRD-PARTY-AUTHORIZATION), with precedence over a password; a server that
    does not ask never sees it.

    Attributes:
        kid: the name of the key that the token was made with; sent as USERNAME.
        token: opaque to the client; sent as ACCESS-TOKEN.
        mac_key: the session key, which is inside the token, too; requests are protected with it.
        first_party: what to show to servers that take no tokens; ``None``: nothing.

    Raises:
        ValueError: no token or no session key; RFC 8265 forbids the name, or it is longer than 508 bytes.
        PrecisRequiredError: the name is not ASCII, and precis-i18n is not installed.
    """

    kid: str = attrs.field(converter=_prepared_name)
    token: bytes = attrs.field(repr=False)
    mac_key: bytes = attrs.field(repr=False)
    first_party: LongTermCredentials | None = None

    def __attrs_post_init__(self) -> None:
        if not self.token or not self.mac_key:
            raise ValueError("an access token needs the token itself, and the session key that it was given with")

    @classmethod
    def parse(cls, text: str, *, first_party: LongTermCredentials | None = None) -> AccessToken:
        """Read the answer of an authorization server: JSON with ``access_token``, ``key`` and ``kid`` (RFC 7635 B).

        Raises:
            ValueError: it is something else; no secret is shown.
        """
        fields = read_object(text)
        return cls(read_text(fields, "kid"), read_base64(fields, "access_token"), read_base64(fields, "key"), first_party)


Credentials: TypeAlias = ShortTermCredentials | LongTermCredentials | AccessToken
"""What a client may prove itself with."""
