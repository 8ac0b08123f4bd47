"""The secrets of a recording, and what stands in their place when it is scrubbed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import attrs

from sansice.machine import DecodeError
from sansice.stun import (
    IntegrityKey,
    TokenCipher,
    TokenKey,
    decode_token_untrusted,
    encode_token,
    long_term_key,
    short_term_key,
)

from ._values import Json, from_json

_TRIES = 100  # until a stand-in is one that was used already: of very short passwords there are not many
_SHORT_KEY = 16  # bytes of a session key that some clients make integrity with, see `ThirdPartyServerAuthentication`
_SUBSTRING = 8  # characters from which on a secret is replaced inside of longer texts, too: SDP has passwords among others


class Secrets:
    """Stand-ins for passwords and keys: of the same length and alphabet, and the same for the same secret.

    They are numbered and not derived from the secrets, so that they tell nothing about them.
    """

    __slots__ = ("_keys", "_names", "_pairs", "_realms", "_texts", "_token_keys")

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._keys: dict[bytes, bytes] = {}
        self._names: dict[tuple[str, str], None] = {}  # (user name, password)
        self._realms: dict[str, None] = {}
        self._pairs: list[tuple[IntegrityKey, IntegrityKey]] | None = None
        self._token_keys: list[tuple[str, TokenKey]] = []  # with the name of the server

    def find(self, form: Json) -> None:
        """Take up every secret that is marked in a form."""
        for inner in _walk(form):
            match inner:
                case {"secret": str(text)}:
                    self.add_text(text)
                case {"secret": {"key": str(text)}}:
                    self._add_key(bytes.fromhex(text))
                case {"secret": {"bytes": str(text)}}:
                    self._add_key(bytes.fromhex(text))
                case {"fields": {"username": str(name), "password": {"secret": str(password)}}}:
                    self._names[name, password] = None
                    self._pairs = None
                case {"settings": {"server_name": str(name), "keys": keys}}:
                    self._token_keys += ((name, key) for key in from_json(keys) if isinstance(key, TokenKey))

    def token(self, token: bytes) -> bytes:
        """An access token of the same length, with another session key inside, by another key; one that cannot be read stays."""
        for name, key in self._token_keys:
            try:
                contents = decode_token_untrusted(token, TokenCipher(key.algorithm, key.key), name)
            except DecodeError:
                continue
            mac_key = contents.mac_key
            self._add_key(mac_key)
            self._keys[mac_key[:_SHORT_KEY]] = self._keys[mac_key][:_SHORT_KEY]
            nonce = token[2 : 2 + int.from_bytes(token[:2], "big")]
            other = attrs.evolve(key, key=self._keys[key.key])
            return encode_token(contents._replace(mac_key=self._keys[mac_key]), other, name, nonce=nonce)
        return token

    def add_text(self, text: str) -> None:
        """Take up a password."""
        if text and text not in self._texts:
            first = len(self._texts)
            stand_ins = (_stand_in(number, len(text)) for number in range(first, first + _TRIES))
            taken = {text, *self._texts.values()}
            self.put(text, next((one for one in stand_ins if one not in taken), "x" * len(text)))

    def put(self, text: str, stand_in: str) -> None:
        """Take up a password whose stand-in is known."""
        self._texts[text] = stand_in
        self._keys[text.encode()] = stand_in.encode()
        self._pairs = None

    def _add_key(self, key: bytes) -> None:
        if key and key not in self._keys:
            self._keys[key] = stand_in_bytes(f"key {len(self._keys)}", len(key))
            self._pairs = None

    def add_realm(self, realm: str) -> None:
        """Take up a realm: passwords make other keys in each."""
        if realm not in self._realms:
            self._realms[realm] = None
            self._pairs = None

    @property
    def pairs(self) -> list[tuple[IntegrityKey, IntegrityKey]]:
        """Every key that may have signed a message, and the one to sign it with."""
        if self._pairs is None:
            found = dict(self._keys)
            for text, stand_in in self._texts.items():
                found.setdefault(_prepared(text), _prepared(stand_in))
            for name, password in self._names:
                for realm in self._realms:
                    found.update(_long_term(name, realm, password, self._texts[password]))
            self._pairs = [(IntegrityKey(old), IntegrityKey(new)) for old, new in found.items()]
        return self._pairs

    def replaced(self, form: Json) -> Json:
        """The form with stand-ins for its secrets, wherever they are."""
        match form:
            case str():
                return self.replaced_text(form)
            case list():
                return [self.replaced(item) for item in form]
            case {"secret": {"key": str(text)}}:
                return {"secret": {"key": self._key(text)}}
            case {"secret": {"bytes": str(text)}}:
                return {"secret": {"bytes": self._key(text)}}
            case dict():
                return {name: self.replaced(item) for name, item in form.items()}
        return form

    def replaced_text(self, text: str) -> str:
        """A text with stand-ins for the secrets in it."""
        if text in self._texts:
            return self._texts[text]
        for old, new in self._texts.items():
            if len(old) >= _SUBSTRING:
                text = text.replace(old, new)
        return text

    def _key(self, text: str) -> str:
        key = bytes.fromhex(text)
        return self._keys.get(key, key).hex()


def secret_texts(form: Json) -> Iterator[str]:
    """The passwords that are marked in a form."""
    return (inner["secret"] for inner in _walk(form) if isinstance(inner, dict) and isinstance(inner.get("secret"), str))


def stand_in_bytes(name: str, length: int) -> bytes:
    """Bytes that tell nothing."""
    return (sha256(f"scrubbed {name}".encode()).digest() * (length // 32 + 1))[:length]


def _walk(form: Json) -> Iterator[Json]:
    yield form
    items = form if isinstance(form, list) else form.values() if isinstance(form, dict) else ()
    for item in items:
        yield from _walk(item)


def _prepared(text: str) -> bytes:
    try:
        return short_term_key(text).secret
    except ValueError:  # never a STUN password then
        return text.encode()


def _long_term(name: str, realm: str, old: str, new: str) -> dict[bytes, bytes]:
    try:
        return {
            long_term_key(name, realm, old, sha256=is_sha256).secret: long_term_key(name, realm, new, sha256=is_sha256).secret
            for is_sha256 in (False, True)
        }
    except ValueError:  # nobody's realm: RFC 8265 forbids it
        return {}


def _stand_in(number: int, length: int) -> str:
    """A text of letters and digits, which every grammar of passwords allows."""
    text = f"scrubbed{number}"
    return text.ljust(length, "x") if len(text) <= length else str(number).rjust(length, "x")[-length:]
