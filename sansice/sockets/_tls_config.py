"""What a driver's TLS and DTLS sockets present and trust."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

if TYPE_CHECKING:
    import ssl

    from OpenSSL import SSL

StrPath: TypeAlias = "str | os.PathLike[str]"


@attrs.define(eq=False)
class TlsConfig:
    """Certificates for the TLS and DTLS sockets of a driver.

    A client verifies the server's certificate against the name in `sansice.TlsOptions.server_hostname`, or against
    the literal address where there is none.

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
    _contexts: dict[tuple[str, tuple[str, ...]], Any] = attrs.field(factory=dict, init=False, repr=False)

    def reload(self) -> None:
        """Read all files anew, for connections from now on; those that are open keep what they have.

        Calling it once at the start tells of mistakes before the first connection does.

        Raises:
            ValueError: a file cannot be used, named in the text. Everything stays as it was.
        """
        keys = dict.fromkeys(self._contexts)
        keys["tls client", ()] = None
        if self.certificate is not None:
            keys["tls server", ()] = None
        self._contexts = {key: self._build(*key) for key in keys}

    def tls_client(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """For connecting by TLS.

        Raises:
            ValueError: see `reload`.
        """
        context: ssl.SSLContext = self._context("tls client", alpn)
        return context

    def tls_server(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """For listening for TLS.

        Raises:
            ValueError: see `reload`; or there is no certificate.
        """
        context: ssl.SSLContext = self._context("tls server", alpn)
        return context

    def dtls_client(self, alpn: tuple[str, ...]) -> SSL.Context:
        """For connecting by DTLS.

        Raises:
            ValueError: see `reload`.
            ModuleNotFoundError: pyOpenSSL is missing.
        """
        context: SSL.Context = self._context("dtls client", alpn)
        return context

    def dtls_server(self, alpn: tuple[str, ...]) -> SSL.Context:
        """For listening for DTLS.

        Raises:
            ValueError: see `reload`; or there is no certificate.
            ModuleNotFoundError: pyOpenSSL is missing.
        """
        context: SSL.Context = self._context("dtls server", alpn)
        return context

    def _context(self, kind: str, alpn: tuple[str, ...]) -> Any:
        context = self._contexts.get((kind, alpn))
        if context is None:
            context = self._contexts[kind, alpn] = self._build(kind, alpn)
        return context

    def _build(self, kind: str, alpn: tuple[str, ...]) -> Any:
        return _BUILDERS[kind](self, alpn)


def _tls_client(config: TlsConfig, alpn: tuple[str, ...]) -> ssl.SSLContext:
    from sansice._tls import client_context  # here, because most drivers never speak TLS

    ca_file = _path(config.ca_file)
    try:
        return client_context(ca_file, verify=config.verify, alpn=alpn)
    except OSError as error:
        raise ValueError(f"cannot use the authorities in {ca_file}: {error}") from None


def _tls_server(config: TlsConfig, alpn: tuple[str, ...]) -> ssl.SSLContext:
    from sansice._tls import server_context

    certificate, private_key = _own_files(config)
    try:
        return server_context(certificate, private_key, config.password, alpn=alpn)
    except OSError as error:
        raise _unusable(certificate, private_key, error) from None


def _dtls_client(config: TlsConfig, alpn: tuple[str, ...]) -> SSL.Context:
    from sansice._dtls import client_context

    ca_file = _path(config.ca_file)
    try:
        return client_context(ca_file, verify=config.verify, alpn=alpn)
    except OSError as error:
        raise ValueError(f"cannot use the authorities in {ca_file}: {error}") from None


def _dtls_server(config: TlsConfig, alpn: tuple[str, ...]) -> SSL.Context:
    from sansice._dtls import server_context

    certificate, private_key = _own_files(config)
    try:
        return server_context(certificate, private_key, config.password, alpn=alpn)
    except OSError as error:
        raise _unusable(certificate, private_key, error) from None


_BUILDERS: dict[str, Callable[[TlsConfig, tuple[str, ...]], Any]] = {
    "tls client": _tls_client,
    "tls server": _tls_server,
    "dtls client": _dtls_client,
    "dtls server": _dtls_server,
}


def _own_files(config: TlsConfig) -> tuple[str, str | None]:
    if config.certificate is None:
        raise ValueError("a listener needs a certificate: tls=TlsConfig(certificate=..., private_key=...)")
    return os.fspath(config.certificate), _path(config.private_key)


def _path(path: StrPath | None) -> str | None:
    return None if path is None else os.fspath(path)


def _unusable(certificate: str, private_key: str | None, error: OSError) -> ValueError:
    files = certificate if private_key is None else f"{certificate} with the key {private_key}"
    return ValueError(f"cannot use the certificate {files}: {_what_is_wrong(certificate, private_key, error)}")


def _what_is_wrong(certificate: str, private_key: str | None, error: OSError) -> str:
    """What OpenSSL does not say: for most of these it has no more than "PEM lib"."""
    try:
        chain = _read(certificate)
    except OSError as unreadable:
        return str(unreadable.strerror)
    try:
        key = chain if private_key is None else _read(private_key)
    except OSError as unreadable:
        return f"{private_key}: {unreadable.strerror}"
    if b"CERTIFICATE-----" not in chain:
        return "there is no certificate in PEM form in it"
    if b"PRIVATE KEY-----" not in key:
        if private_key is None:
            return "there is no private key in it: name the file that has it"
        return f"there is no private key in PEM form in {private_key}"
    if b"ENCRYPTED" in key:  # both in the header of PKCS #8 and in that of the older form
        return "the key is encrypted, and this is not its password"
    return str(error)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
