"""Hypothesis strategies that speak the grammars: what they make is legal, unless a name says otherwise."""

from __future__ import annotations

import string
from typing import NamedTuple

from hypothesis import strategies as st

from sansice.stun import HEADER_LENGTH, MessageClass, Method

COOKIE = bytes.fromhex("2112a442")
_INTEGRITIES = (0x0008, 0x001C, 0x8028)  # what changes how the rest is read has tests of its own


class RawMessage(NamedTuple):
    """A message as its parts: what `bytes` makes of it can be taken apart again."""

    kind: int
    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...]
    padding: int

    def __bytes__(self) -> bytes:
        body = b"".join(
            code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes((self.padding,)) * (-len(value) % 4)
            for code, value in self.attributes
        )
        return self.kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + COOKIE + self.transaction_id + body


def type_of(method: int, message_class: int) -> int:
    """The 14 bits of RFC 8489 figure 3."""
    return (method & 0xF80) << 2 | (message_class & 2) << 7 | (method & 0x70) << 1 | (message_class & 1) << 4 | method & 0xF


ATTRIBUTES = st.tuples(
    st.one_of(st.sampled_from((0x0006, 0x0020, 0x0009, 0x8022, 0x0024, 0xC001, 0x7FF0)), st.integers(0, 0xFFFF)).filter(
        lambda code: code not in _INTEGRITIES
    ),
    st.binary(max_size=40),
)

MESSAGES = st.builds(
    RawMessage,
    st.sampled_from([type_of(Method.BINDING.value, one.value) for one in MessageClass]),
    st.binary(min_size=12, max_size=12),
    st.lists(ATTRIBUTES, max_size=8).map(tuple),
    st.integers(0, 255),
)

CHANNEL_DATA = st.builds(
    lambda number, data: (0x4000 + number).to_bytes(2, "big") + len(data).to_bytes(2, "big") + data,
    st.integers(0, 0xFFF),
    st.binary(max_size=40),
)


def padded(frame: bytes) -> bytes:
    """A frame as it travels on a stream (RFC 8656 12.5)."""
    return frame + bytes(-len(frame) % 4)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data in pieces, some of them empty."""
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@st.composite
def broken_messages(draw: st.DrawFn) -> bytes:
    """A legal message with one rule of the frame broken, so that it must be refused."""
    data = bytearray(bytes(draw(MESSAGES)))
    match draw(st.integers(0, 4)):
        case 0:  # RFC 8489 5: the most significant two bits are zero
            data[0] |= draw(st.sampled_from((0x40, 0x80, 0xC0)))
        case 1:
            data[draw(st.integers(4, 7))] ^= draw(st.integers(1, 255))
        case 2:
            length = draw(st.integers(0, 0xFFFF).filter(lambda length: length != len(data) - HEADER_LENGTH))
            data[2:4] = length.to_bytes(2, "big")
        case 3:
            del data[draw(st.integers(0, len(data) - 1)) :]
        case _:  # an attribute that claims more than there is
            data += bytes((0x80, 0x22, 0xFF, 0xFF))
            data[2:4] = (len(data) - HEADER_LENGTH).to_bytes(2, "big")
    return bytes(data)


_LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.rpartition(".")[2].isdecimal())
LITERALS = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda one: f"[{one}]"))
PORTS = st.one_of(st.none(), st.integers(1, 65535))
TOKENS = st.text(string.ascii_letters + string.digits + "-._~", min_size=1, max_size=8)


@st.composite
def uris(draw: st.DrawFn) -> tuple[str, str, str, int | None, str | None]:
    """(text, scheme, host as written, port, transport) by the ABNF of RFC 7064 3.1 and RFC 7065 3.1."""
    scheme = draw(st.sampled_from(("stun", "stuns", "turn", "turns")))
    host = draw(st.one_of(NAMES, LITERALS))
    port = draw(PORTS)
    transport = draw(st.one_of(st.none(), st.sampled_from(("udp", "tcp", "TCP")), TOKENS)) if scheme.startswith("turn") else None
    written = "".join(draw(st.sampled_from((one.lower(), one.upper()))) for one in scheme)
    text = f"{written}:{host}" + (f":{port}" if port else "") + (f"?transport={transport}" if transport else "")
    return text, scheme, host, port, transport
