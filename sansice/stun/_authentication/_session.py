"""What an access token has proved, for requests that come without one (RFC 7635 9)."""

from __future__ import annotations

import attrs

from sansice.stun._integrity import IntegrityKey


@attrs.frozen
class Session:
    """A token that was accepted: whoever has its session key speaks for it.

    Attributes:
        username: the name of the long-term key that the token was made with, as in USERNAME.
        key: the session key.
        timestamp: when the token was made, seconds of the wall clock.
        lifetime: seconds for which it is good.
        account: the token's own name, for counting what it is used for: a long-term key is the same for everybody.
    """

    username: str
    key: IntegrityKey = attrs.field(repr=False, eq=False)
    timestamp: float
    lifetime: int
    account: str = attrs.field(repr=False)

    def remaining(self, unix: float) -> int:
        """Seconds that the token has left: nothing that it is shown for is granted for longer (RFC 7635 9).

        At least 1, for a token that is accepted although it has run out by this server's clock.
        """
        return max(1, int(self.lifetime - abs(unix - self.timestamp)))
