"""DTLS 1.2 without I/O (RFC 6347; STUN over it: RFC 7350): one association, and the certificates. `_dtls_server` has many.

The records are pyOpenSSL's, which the extra ``tls`` installs. OpenSSL repeats lost flights by a clock of its own (a
second, doubling): `DtlsSession.timeout` tells when it wants to be asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._dtls_records import pack_records
from ._tls_error import TlsError

try:
    from OpenSSL import SSL, crypto
except ModuleNotFoundError as _error:
    _error.msg = "DTLS needs pyOpenSSL; install it with: pip install 'sansice[tls]'"
    raise

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

HANDSHAKE_MTU = 1200  # bytes of UDP payload that every path carries (RFC 9000 14); certificates are cut to fit

_DTLS_1_2 = 0xFEFD
_RELEASE_BUFFERS = 0x10  # SSL_MODE_RELEASE_BUFFERS, which pyOpenSSL does not name: an idle association needs none
_MAX_PLAINTEXT = 65536  # more than a record holds


def client_context(ca_file: str | None, *, verify: bool, alpn: Sequence[str]) -> SSL.Context:
    """A context for connecting.

    Raises:
        OSError: ``ca_file`` cannot be read, or holds no certificates.
    """
    context = _context()
    if not verify:
        context.set_verify(SSL.VERIFY_NONE)
    else:
        context.set_verify(SSL.VERIFY_PEER, _verify)
        if ca_file is None:
            context.set_default_verify_paths()
        else:
            _or_os_error(context.load_verify_locations, ca_file)
    if alpn:
        context.set_alpn_protos([name.encode() for name in alpn])
    return context


def server_context(certificate: str, private_key: str | None, password: str | None, *, alpn: Sequence[str]) -> SSL.Context:
    """A context for listening.

    Raises:
        OSError: a file cannot be read, the password is wrong, or the key is not the certificate's.
    """
    context = _context()
    _or_os_error(context.use_certificate_chain_file, certificate)
    _or_os_error(context.use_privatekey, _load_key(private_key or certificate, password))
    _or_os_error(context.check_privatekey)
    context.set_cookie_verify_callback(lambda *_: True)  # it was verified before OpenSSL saw the ClientHello
    if alpn:
        known = [name.encode() for name in alpn]

        def select(_: SSL.Connection, offered: list[bytes]) -> bytes | object:
            return next((name for name in known if name in offered), SSL.NO_OVERLAPPING_PROTOCOLS)

        context.set_alpn_select_callback(select)  # type: ignore[arg-type]
    return context


def _context() -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    # OpenSSL would ask a memory buffer for the path's MTU, and take the answer for one. Renegotiation lets a peer start
    # work at will, compression leaks secrets by length (RFC 8489 6.2.3).
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(_RELEASE_BUFFERS)
    return context


def _load_key(path: str, password: str | None) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with open(path, "rb") as file:
        text = file.read()
    try:
        return load_pem_private_key(text, None if password is None else password.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OSError(str(error)) from None


def _or_os_error(load: object, *arguments: object) -> None:
    try:
        load(*arguments)  # type: ignore[operator]
    except SSL.Error as error:
        raise OSError(_words(error)) from None


class DtlsSession:
    """One association.

    Give what the peer sent to `receive`, and send what `take` returns after every call, a datagram each.

    Args:
        context: from `client_context` or `server_context`.
        server_hostname: the name or literal address that the server's certificate must be for; ``None`` on a server.
        mtu: bytes of UDP payload that a message of the handshake may have.

    Raises:
        ValueError: no such name can be in a certificate.

    Attributes:
        is_ready: the handshake is complete, and on a client the certificate verified.
        at_end: the peer closed the association.
    """

    __slots__ = ("_connection", "_expected", "_mtu", "_refusal", "at_end", "is_ready")

    def __init__(self, context: SSL.Context, *, server_hostname: str | None, mtu: int = HANDSHAKE_MTU) -> None:
        self._connection = connection = SSL.Connection(context, None)
        self._mtu = mtu
        self._expected = server_hostname
        self._refusal = ""
        self.is_ready: bool = False
        self.at_end: bool = False
        connection.set_ciphertext_mtu(mtu)  # without it OpenSSL sends nothing
        if server_hostname is None:
            connection.set_accept_state()
        else:
            connection.set_app_data(self)
            connection.set_connect_state()
            if not _is_literal(server_hostname):  # RFC 6066 3
                connection.set_tlsext_host_name(server_hostname.encode("ascii"))

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on, once ready (RFC 7301)."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    def start(self) -> None:
        """Begin the handshake: a client's first message."""
        self._shake()

    def accept(self, client_hello: bytes) -> None:
        """Begin the handshake of a server, with a ClientHello whose cookie was found right.

        Raises:
            TlsError: nothing comes of it.
        """
        self._connection.bio_write(client_hello)
        try:
            self._connection.DTLSv1_listen()
        except (SSL.WantReadError, SSL.Error) as error:
            raise TlsError(_words(error)) from None
        self._shake()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Take a datagram from the peer, and return the data in it. What is no DTLS is dropped.

        Raises:
            TlsError: beyond repair. `take` may hold an alert that says so to the peer.
        """
        if not datagram or self.at_end:
            return []
        self._connection.bio_write(datagram)
        if not self.is_ready:
            self._shake()
        return self._read() if self.is_ready else []

    def send(self, data: bytes) -> None:
        """Encrypt one datagram.

        Raises:
            TlsError: there is no association (any more), or the data is empty or does not fit one record.
        """
        if not self.is_ready or self.at_end:
            raise TlsError("no association")
        if not data:
            raise TlsError("DTLS carries no empty datagrams")
        try:
            self._connection.send(data)
        except (SSL.Error, ValueError) as error:
            raise TlsError(_words(error)) from None

    def close(self) -> None:
        """Tell the peer that the association ends (close_notify)."""
        if self.is_ready:
            try:
                self._connection.shutdown()
            except SSL.Error:
                pass  # nothing can be said any more

    def take(self) -> list[bytes]:
        """Datagrams to send, in order."""
        chunks: list[bytes] = []
        try:
            while True:
                chunks.append(self._connection.bio_read(_MAX_PLAINTEXT))
        except SSL.WantReadError:
            pass
        return pack_records(b"".join(chunks), self._mtu) if chunks else []

    def timeout(self) -> float | None:
        """Seconds until `handle_timeout` wants to be called, by the system's clock; ``None``: nothing is awaited."""
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Repeat what was lost, if it is time for that.

        Raises:
            TlsError: it was repeated too often.
        """
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise TlsError(_words(error)) from None

    def _shake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise TlsError(self._refusal or _words(error)) from None
        self.is_ready = True

    def _read(self) -> list[bytes]:
        received: list[bytes] = []
        try:
            while True:
                if data := self._connection.recv(_MAX_PLAINTEXT):
                    received.append(data)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.at_end = True
        except SSL.Error as error:
            raise TlsError(_words(error)) from None
        return received

    def check_certificate(self, certificate: crypto.X509) -> bool:
        """Whether the server's certificate is for the expected name (RFC 8489 6.2.3)."""
        if self._expected is None or identifies(certificate, self._expected):
            return True
        self._refusal = f"the certificate was refused: it is not for {self._expected}"
        return False

    def note_refusal(self, reason: str) -> None:
        """Why the chain of certificates is not trusted."""
        self._refusal = f"the certificate was refused: {reason}"


def _verify(connection: SSL.Connection, certificate: crypto.X509, number: int, depth: int, ok: int) -> bool:
    session: DtlsSession = connection.get_app_data()
    if not ok:
        session.note_refusal(_VERIFY_ERRORS.get(number, f"error {number} of X509_verify_cert"))
        return False
    return depth > 0 or session.check_certificate(certificate)


# The numbers that people meet, of <openssl/x509_vfy.h>.
_VERIFY_ERRORS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by nobody but itself",
    19: "its authority is not trusted",
    20: "its authority is not known",
    21: "its authority is not known",
}


def identifies(certificate: crypto.X509, expected: str) -> bool:
    """Whether a certificate is for a name or a literal address (RFC 6125 6.4).

    A DNS-ID may have a wildcard as its whole left-most label. A CN-ID counts where there is no DNS-ID. SRV-ID and URI-ID
    do not count (RFC 8489 6.2.3).
    """
    from cryptography import x509

    parsed = certificate.to_cryptography()
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    except ValueError:
        return False  # what cannot be read identifies nobody
    if _is_literal(expected):
        return names is not None and ipaddress.ip_address(expected) in names.get_values_for_type(x509.IPAddress)
    dns_ids = [] if names is None else names.get_values_for_type(x509.DNSName)
    if not dns_ids:
        dns_ids = [str(one.value) for one in parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)][-1:]
    return any(name_matches(presented, expected) for presented in dns_ids)


def name_matches(presented: str, expected: str) -> bool:
    """Whether a presented DNS-ID is for the expected name (RFC 6125 6.4.1 and 6.4.3)."""
    ours = expected.rstrip(".").lower().split(".")
    theirs = presented.rstrip(".").lower().split(".")
    if len(ours) != len(theirs) or not all(ours):
        return False
    # A wildcard alone, or right below a top-level domain, would be for half of the world.
    return ours == theirs or (theirs[0] == "*" and len(theirs) > 2 and ours[1:] == theirs[1:])


def _is_literal(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _words(error: Exception) -> str:
    queue = error.args[0] if error.args else ""
    if isinstance(queue, list) and queue:
        return str(queue[-1][-1])
    return str(error) or type(error).__name__
