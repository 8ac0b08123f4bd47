"""Hostile bytes: a seeded run of mutated messages, and what Hypothesis thinks of.

``SANSICE_FUZZ=1000000 pytest tests/stun/test_fuzz.py`` tries that many messages; ``SANSICE_FUZZ_SEED`` chooses others.
"""

import os
import random
import zlib

from hypothesis import given, strategies as st

from sansice.machine import Address, DecodeError
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLING,
    PASSWORD_ALGORITHMS,
    PRIORITY,
    REALM,
    SOFTWARE,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    PasswordAlgorithm,
    decode_untrusted,
    encode,
    is_stun,
    short_term_key,
)
from sansice.stun._attributes import REGISTRY

MESSAGES = int(os.environ.get("SANSICE_FUZZ", "4000"))
SEED = int(os.environ.get("SANSICE_FUZZ_SEED", "8489"))
KEY = short_term_key("password")
TID = bytes(range(12))

_CHECK = [(USERNAME, "abcd:efgh"), (PRIORITY, 1), (ICE_CONTROLLING, 2), (USE_CANDIDATE, None)]
_ANSWER = [(XOR_MAPPED_ADDRESS, Address("2001:db8::1", 5000)), (SOFTWARE, "sansice")]
_REFUSAL = [
    (ERROR_CODE, ErrorCode(420, "Unknown")),
    (UNKNOWN_ATTRIBUTES, (1, 2, 3)),
    (REALM, "example.org"),
    (PASSWORD_ALGORITHMS, (PasswordAlgorithm(2), PasswordAlgorithm(9, b"abc"))),
]
CORPUS = [
    encode(Method.BINDING, kind, TID, attributes, key=key, algorithm=algorithm, fingerprint=fingerprint)
    for kind, attributes in ((MessageClass.REQUEST, _CHECK), (MessageClass.SUCCESS, _ANSWER), (MessageClass.ERROR, _REFUSAL))
    for key, algorithm in ((None, IntegrityAlgorithm.SHA1), (KEY, IntegrityAlgorithm.SHA1), (KEY, IntegrityAlgorithm.BOTH))
    for fingerprint in (False, True)
]
ATTRIBUTES = list(REGISTRY.values())


def use_everything(data):
    """Ask all that can be asked of a message; whether it was one."""
    is_stun(data)
    try:
        message = decode_untrusted(data)
    except DecodeError:
        return False
    for attribute in ATTRIBUTES:
        try:
            value = message.get(attribute)
        except DecodeError:
            continue
        if value is not None:
            assert attribute in message
    message.verify(KEY)
    message.verify(KEY, minimum_sha256=16)
    message.unknown_required()
    assert sum(4 + len(raw) + -len(raw) % 4 for _, raw in message.attributes()) == len(data) - 20
    repr(message)
    assert is_stun(data)
    return True


def mutate(data, rng):
    """One to four random changes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        match rng.randrange(7):
            case 0:
                out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
            case 1:
                out[rng.randrange(len(out))] = rng.choice((0, 1, 3, 4, 0x7F, 0x80, 0xFF))
            case 2:
                del out[rng.randint(20, len(out)) :]
            case 3:
                out += rng.randbytes(rng.choice((1, 4, 8, 40)))
            case 4:
                start = rng.randrange(0, len(out), 4)
                out[start:start] = out[start : start + 4 * rng.randrange(8)]
            case 5 if len(out) >= 24:
                start = rng.randrange(20, len(out) - 3, 4)
                code = rng.choice(ATTRIBUTES).code if rng.random() < 0.7 else rng.randrange(0x10000)
                out[start : start + 2] = code.to_bytes(2, "big")
            case _:
                start = rng.randrange(len(out))
                del out[start : start + 4]
        if len(out) < 20:
            return bytes(out)
    if rng.random() < 0.7:
        mend(out)
    return bytes(out)


def mend(out):
    """Put the length and the fingerprint right again, to get further inside."""
    del out[len(out) - len(out) % 4 :]
    out[2:4] = (len(out) - 20).to_bytes(2, "big")
    if len(out) >= 28 and out[-8:-4] == bytes.fromhex("80280004"):
        out[-4:] = (zlib.crc32(out[:-8]) ^ 0x5354554E).to_bytes(4, "big")


def test_mutated_messages_end_in_a_message_or_a_decode_error():
    print(f"seed {SEED}, {MESSAGES} messages")
    rng = random.Random(SEED)
    known = dict(REGISTRY)
    decoded = sum(use_everything(mutate(rng.choice(CORPUS), rng)) for _ in range(MESSAGES))
    assert decoded > MESSAGES // 5  # or the mutations stop at the header and try nothing
    assert known == REGISTRY


def test_truncated_messages_end_in_a_decode_error():
    for data in CORPUS:
        assert use_everything(data)
        for size in range(len(data)):
            assert not use_everything(data[:size])


@given(st.binary(max_size=200))
def test_random_bytes_end_in_a_message_or_a_decode_error(data):
    use_everything(data)


@given(
    body=st.binary(max_size=400).map(lambda raw: raw[: len(raw) // 4 * 4]), kind=st.sampled_from([b"\0\1", b"\1\1", b"\1\x11"])
)
def test_random_attributes_under_a_right_header_end_in_a_message_or_a_decode_error(body, kind):
    use_everything(kind + len(body).to_bytes(2, "big") + bytes.fromhex("2112a442") + TID + body)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(REGISTRY)) | st.integers(0, 0xFFFF), st.binary(max_size=24)),
        max_size=12,
    )
)
def test_well_framed_attributes_with_random_values_end_in_a_message_or_a_decode_error(attributes):
    body = b"".join(
        code.to_bytes(2, "big") + len(raw).to_bytes(2, "big") + raw + bytes(-len(raw) % 4) for code, raw in attributes
    )
    use_everything(b"\0\1" + len(body).to_bytes(2, "big") + bytes.fromhex("2112a442") + TID + body)
