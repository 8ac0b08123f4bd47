"""What a client puts into its messages, and whether they will arrive (RFC 8489 6.1, 7, 14.14)."""

from __future__ import annotations

from sansice.machine import LocalProtocolError
from sansice.stun._attributes import SOFTWARE
from sansice.stun._authentication._client import Protection
from sansice.stun._encoding import encode
from sansice.stun._header import MessageClass, Method, TransactionId
from sansice.stun._paths import Path
from sansice.stun._sizes import size_budget

from ._config import StunClientConfig
from ._exchange import Attributes

_NO_ID = TransactionId(bytes(12))  # for a first look at how long a message gets


class MessageWriter:
    """Builds requests and indications as configured.

    Args:
        config: of the client.
    """

    __slots__ = ("_config",)

    def __init__(self, config: StunClientConfig) -> None:
        self._config = config

    def write(
        self,
        message_class: MessageClass,
        method: Method,
        transaction_id: TransactionId,
        attributes: Attributes,
        protection: Protection,
    ) -> bytes:
        """The message: SOFTWARE in a request if configured, what the caller gave, then what protects it.

        Raises:
            LocalProtocolError: a value that its attribute cannot hold.
        """
        software = self._config.software if message_class is MessageClass.REQUEST else None
        return encode(
            method,
            message_class,
            transaction_id,
            (*(((SOFTWARE, software),) if software is not None else ()), *attributes, *protection.attributes),
            key=protection.key,
            algorithm=protection.algorithm,
            fingerprint=self._config.fingerprint,
        )

    def check(
        self, message_class: MessageClass, method: Method, attributes: Attributes, protection: Protection, path: Path
    ) -> None:
        """Refuse what cannot be written, or would not fit into ``path``, before an id is spent on it.

        Raises:
            LocalProtocolError: says which.
        """
        misfit = self.misfit(self.write(message_class, method, _NO_ID, attributes, protection), path)
        if misfit:
            raise LocalProtocolError(misfit)

    def misfit(self, data: bytes, path: Path) -> str:
        """Words for a person where ``data`` is too large for ``path`` (RFC 8489 6.1); "" where it fits."""
        budget = size_budget(path.transport, ipv6=path.remote.is_ipv6, mtu=self._config.mtu)
        if len(data) <= budget:
            return ""
        return f"a message of {len(data)} bytes; to {path.remote} over {path.transport.value} it may have {budget} (RFC 8489 6.1)"
