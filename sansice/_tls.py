"""TLS over any stream, without I/O: ciphertext in, plaintext out, and the reverse.

Nothing of the application leaves before the handshake is complete, which on a client means that the certificate
was verified against the server's name (RFC 8489 6.2.3); what is sent earlier waits.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from ._tls_error import TlsError

# What OpenSSL finds in the first bytes of something else, in place of a record (ssl3_get_record).
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
_CHUNK = 65536  # plaintext bytes asked of OpenSSL at a time; a TLS record holds 16384

# One name a context is enough, and where OpenSSL knows several it decides: CN-ID only where there is no DNS-ID
# (RFC 6125 6.4.4), a wildcard only as the whole left-most label; SRV-ID and URI-ID are never looked at.


def client_context(ca_file: str | None, *, verify: bool, alpn: Sequence[str]) -> ssl.SSLContext:
    """A context for connecting.

    Raises:
        OSError: ``ca_file`` cannot be read, or holds no certificates.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return _hardened(context, alpn)


def server_context(certificate: str, private_key: str | None, password: str | None, *, alpn: Sequence[str]) -> ssl.SSLContext:
    """A context for listening.

    Raises:
        OSError: a file cannot be read, the password is wrong, or the key is not the certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key, password if password is not None else _no_password)
    return _hardened(context, alpn)


def _no_password() -> str:
    # Without a callback OpenSSL would ask on the terminal, and wait.
    return ""


def _hardened(context: ssl.SSLContext, alpn: Sequence[str]) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 3.1.1
    # Compression leaks secrets by length (RFC 8489 6.2.3); renegotiation lets a peer start work at will.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class TlsStream:
    """One TLS connection.

    Give what the peer sent to `receive`, and put on the wire what `take` returns after every call.

    Args:
        context: from `client_context` or `server_context`.
        server_hostname: the name or literal address that the server's certificate must be for; ``None`` on a server.

    Attributes:
        is_ready: the handshake is complete.
        at_end: the peer said that nothing more follows (close_notify).
    """

    __slots__ = ("_early", "_in", "_object", "_out", "at_end", "is_ready")

    def __init__(self, context: ssl.SSLContext, *, server_hostname: str | None) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side=server_hostname is None, server_hostname=server_hostname)
        self._early = bytearray()
        self.is_ready: bool = False
        self.at_end: bool = False

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on, once ready (RFC 7301)."""
        return self._object.selected_alpn_protocol()

    @property
    def waiting(self) -> int:
        """Bytes of plaintext that wait for the handshake."""
        return len(self._early)

    def start(self) -> None:
        """Begin the handshake: a client's first message."""
        self.receive(b"")

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext from the peer, and return the plaintext in it.

        Raises:
            TlsError: beyond repair. `take` may hold an alert that says so to the peer.
        """
        self._in.write(data)
        try:
            if not self.is_ready:
                self._object.do_handshake()
                self.is_ready = True
                self._send_early()
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise TlsError(_words(error)) from None

    def end(self) -> None:
        """The stream below has ended.

        Raises:
            TlsError: before the peer said so: somebody may have cut off its last words.
        """
        if not self.is_ready:
            raise TlsError("the peer closed the connection during the handshake")
        if not self.at_end:
            raise TlsError("the connection was cut: it ended without close_notify")

    def send(self, data: bytes) -> None:
        """Encrypt; before the handshake is complete, keep.

        Raises:
            TlsError: the connection is closed or broken.
        """
        if not self.is_ready:
            self._early += data
            return
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise TlsError(_words(error)) from None

    def close(self) -> None:
        """Say that nothing more follows (close_notify)."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass  # it wants the peer's close_notify too, which nobody waits for; or nothing can be said any more

    def take(self) -> bytes:
        """Ciphertext to put on the wire, in order."""
        return self._out.read()

    def _send_early(self) -> None:
        if self._early:
            self._object.write(self._early)
            self._early = bytearray()

    def _read(self) -> bytes:
        chunks: list[bytes] = []
        try:
            while chunk := self._object.read(_CHUNK):
                chunks.append(chunk)
            self.at_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # in place of b"" where we have said the same
            self.at_end = True
        return b"".join(chunks)


def _words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was refused: {error.verify_message}"
    if error.reason in _NO_TLS:
        return "the other end does not speak TLS"
    return (error.reason or str(error)).replace("_", " ").lower()
