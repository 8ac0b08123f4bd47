"""What is said of files that cannot be used."""

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sansice.sockets import TlsConfig


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a chain and keys of several kinds."""
    folder = tmp_path_factory.mktemp("certificates")
    issued = trustme.CA().issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    contents = {
        "chain.pem": chain,
        "key.pem": issued.private_key_pem.bytes(),
        "locked.pem": locked,
        "foreign.pem": trustme.CA().issue_cert("localhost").private_key_pem.bytes(),
        "notes.txt": b"nonsense\n",
        "damaged.pem": chain.replace(b"M", b"!"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("certificate", "key", "complaint"),
    [
        ("chain.pem", None, "cannot use the certificate chain.pem: there is no private key in it: name the file that has it"),
        ("notes.txt", None, "cannot use the certificate notes.txt: there is no certificate in PEM form in it"),
        ("chain.pem", "notes.txt", "with the key notes.txt: there is no private key in PEM form in notes.txt"),
        ("chain.pem", "locked.pem", "with the key locked.pem: the key is encrypted, and this is not its password"),
        ("chain.pem", "foreign.pem", "key values mismatch"),
        ("damaged.pem", "key.pem", "cannot use the certificate damaged.pem with the key key.pem: "),
        ("missing.pem", None, "cannot use the certificate missing.pem: No such file or directory"),
        ("chain.pem", "missing.pem", "with the key missing.pem: missing.pem: No such file or directory"),
    ],
)
@pytest.mark.parametrize("kind", ["tls_server", "dtls_server"])
def test_files_of_no_use_are_explained(files, monkeypatch, certificate, key, complaint, kind):
    monkeypatch.chdir(files)
    with pytest.raises(ValueError, match="cannot use") as caught:
        getattr(TlsConfig(certificate=certificate, private_key=key), kind)(())
    assert complaint in str(caught.value)
