"""Encryption of access tokens: only who has the key, and only for what it was made for."""

import sys

import pytest

from sansice.machine import DecodeError, DropReason
from sansice.stun import CryptographyRequiredError, TokenAlgorithm, TokenCipher
from sansice.stun._authentication._token_cipher import CIPHERS, _run

GCM, SMALL_GCM, CBC = TokenAlgorithm
NAME = b"turn.example.org"


def key_of(algorithm):
    return bytes(range(CIPHERS[algorithm].key))


def nonce_of(algorithm):
    return bytes(range(CIPHERS[algorithm].nonce))


def refused(cipher, *arguments):
    with pytest.raises(DecodeError) as caught:
        cipher.open_untrusted(*arguments)
    return caught.value.reason is DropReason.BAD_TOKEN


@pytest.mark.parametrize("algorithm", TokenAlgorithm)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 48])
def test_what_was_sealed_can_be_opened(algorithm, size):
    cipher = TokenCipher(algorithm, key_of(algorithm))
    sealed = cipher.seal(nonce_of(algorithm), bytes(size), NAME)
    assert cipher.open_untrusted(nonce_of(algorithm), sealed, NAME) == bytes(size)


@pytest.mark.parametrize("algorithm", TokenAlgorithm)
def test_another_key_another_name_or_a_bit_less_opens_nothing(algorithm):
    cipher, nonce = TokenCipher(algorithm, key_of(algorithm)), nonce_of(algorithm)
    sealed = cipher.seal(nonce, b"session", NAME)
    assert refused(TokenCipher(algorithm, key_of(algorithm)[::-1]), nonce, sealed, NAME)
    assert refused(cipher, nonce, sealed, b"turn2.example.org")
    assert refused(cipher, nonce + b"\0", sealed, NAME)
    for end in range(len(sealed)):
        assert refused(cipher, nonce, sealed[:end], NAME)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        assert refused(cipher, nonce, bytes(changed), NAME)


def test_cbc_and_hmac_are_put_together_as_the_rfc_draws_it():
    # RFC 7635 6.2, step by step with the tools of the operating system's library instead of ours.
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = key_of(CBC)
    sealed = TokenCipher(CBC, key).seal(b"", b"sixteen bytes it", NAME)
    padded = b"sixteen bytes it" + b"\x10" * 16
    encryptor = Cipher(algorithms.AES(key[32:]), modes.CBC(bytes(16))).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    length = (8 * len(NAME)).to_bytes(8, "big")
    assert sealed == ciphertext + hmac.new(key[:32], NAME + ciphertext + length, hashlib.sha512).digest()[:32]


@pytest.mark.parametrize("padding", [b"\x00", b"\x11", b"\x02", b"\x01\x03"])
def test_padding_that_nobody_makes_is_refused_behind_a_right_tag(padding):
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = key_of(CBC)
    ciphertext = _run(Cipher(algorithms.AES(key[32:]), modes.CBC(bytes(16))).encryptor(), bytes(16 - len(padding)) + padding)
    tag = hmac.digest(key[:32], NAME + ciphertext + (8 * len(NAME)).to_bytes(8, "big"), "sha512")[:32]
    assert refused(TokenCipher(CBC, key), b"", ciphertext + tag, NAME)


@pytest.mark.parametrize("length", [0, 8])
def test_a_right_tag_of_no_whole_block_is_refused(length):
    import hmac

    key = key_of(CBC)
    tag = hmac.digest(key[:32], NAME + bytes(length) + (8 * len(NAME)).to_bytes(8, "big"), "sha512")[:32]
    assert refused(TokenCipher(CBC, key), b"", bytes(length) + tag, NAME)


@pytest.mark.parametrize("algorithm", [GCM, CBC])
def test_without_cryptography_it_says_what_to_install(monkeypatch, algorithm):
    for name in list(sys.modules):
        if name.partition(".")[0] == "cryptography":
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CryptographyRequiredError, match=r"pip install 'sansice\[tls\]'"):
        TokenCipher(algorithm, key_of(algorithm))


def test_the_key_is_not_shown():
    assert repr(TokenCipher(SMALL_GCM, key_of(SMALL_GCM))) == "TokenCipher(...)"
