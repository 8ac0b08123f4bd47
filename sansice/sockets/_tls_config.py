"""What a driver's TLS and DTLS sockets present and trust."""

from __future__ import annotations

import os
from typing import TypeAlias

import attrs

StrPath: TypeAlias = "str | os.PathLike[str]"


@attrs.define(eq=False)
class TlsConfig:
    """Certificates for the TLS and DTLS sockets of a driver.

    Attributes:
        certificate: a PEM file with the chain to present, the leaf first; needed by listeners.
        private_key: a PEM file with its key; ``None`` where it is in the same file.
        password: of the key.
        ca_file: a PEM file of the authorities to trust; ``None`` for those of the system.
        verify: ``False`` takes any certificate of a server: for tests alone.
    """

    certificate: StrPath | None = None
    private_key: StrPath | None = None
    password: str | None = attrs.field(default=None, repr=False)
    ca_file: StrPath | None = None
    verify: bool = True
