"""What may be sent, and what is refused with its reason."""

import pytest

from sansice.ice._data import MAX_DATAGRAM, as_bytes, check_data
from sansice.machine import LocalProtocolError
from sansice.stun import MessageClass, Method, TransactionId, encode

STUN = encode(Method.BINDING, MessageClass.INDICATION, TransactionId(bytes(12)))


@pytest.mark.parametrize(("data", "match"), [(b"", "empty"), (bytes(MAX_DATAGRAM + 1), "65508 bytes"), (STUN, "STUN")])
def test_what_the_peer_would_drop_or_misread_is_refused(data, match):
    with pytest.raises(LocalProtocolError, match=match):
        check_data(data)


@pytest.mark.parametrize("data", [b"\0", bytes(MAX_DATAGRAM), STUN[:19]])
def test_anything_else_may_be_sent(data):
    check_data(data)


def test_what_looks_like_bytes_is_copied_and_the_rest_is_named():
    assert as_bytes(bytearray(b"a")) == as_bytes(memoryview(b"a")) == b"a"
    with pytest.raises(LocalProtocolError, match="not str"):
        as_bytes("a")
