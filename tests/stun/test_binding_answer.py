import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address
from sansice.stun import XOR_MAPPED_ADDRESS, MessageClass, Method, decode_untrusted, encode
from sansice.stun._server._binding_answer import PLAIN_REQUEST, PLAIN_REQUEST_LENGTH, PlainAnswers

IDS = st.binary(min_size=12, max_size=12)


@given(id=IDS)
def test_a_plain_request_is_what_encode_makes_of_no_attributes(id):
    request = encode(Method.BINDING, MessageClass.REQUEST, id)
    assert request.startswith(PLAIN_REQUEST)
    assert len(request) == PLAIN_REQUEST_LENGTH


@given(id=IDS, address=st.ip_addresses(), port=st.integers(0, 65535))
def test_the_answer_says_where_the_request_came_from(id, address, port):
    source = Address.of(str(address), port)
    response = decode_untrusted(PlainAnswers().answer(source, PLAIN_REQUEST + id))
    assert (response.message_class, response.transaction_id) == (MessageClass.SUCCESS, id)
    assert response.get(XOR_MAPPED_ADDRESS) == source


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
def test_the_answer_from_memory_is_the_same(host):
    answers = PlainAnswers()
    request = PLAIN_REQUEST + bytes(range(12))
    assert answers.answer(Address(host, 5), request) == answers.answer(Address(host, 5), request)


def test_hosts_remembered_are_bounded():
    answers = PlainAnswers()
    for number in range(3000):
        answers.answer(Address(f"10.1.{number >> 8}.{number & 255}", 5), PLAIN_REQUEST + bytes(12))
    assert len(answers._hosts) <= 1024
