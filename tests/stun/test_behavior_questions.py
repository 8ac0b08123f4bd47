"""Questions and replies as values."""

import pytest

from sansice.machine import Address
from sansice.stun import (
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    XOR_MAPPED_ADDRESS,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.stun._behavior._questions import Outcome, Port, Question, Reply, Server, answer

LOCAL, SEEN, OTHER = Address("10.0.0.2", 1), Address("203.0.113.1", 2), Address("10.0.0.2", 3)
PRIMARY = Address("192.0.2.10", 3478)


def response(*attributes):
    return decode_untrusted(encode(Method.BINDING, MessageClass.SUCCESS, TransactionId(bytes(12)), attributes))


def read(message, mapped, **question):
    return answer(message, mapped, Question(Port.FIRST, PRIMARY, **question), asked=0.0, ended=1.0, local=LOCAL)


def test_a_server_has_four_corners():
    server = Server(PRIMARY, Address("192.0.2.20", 3479))
    assert server.other_host == Address("192.0.2.20", 3478)
    assert server.other_port == Address("192.0.2.10", 3479)


@pytest.mark.req("RFC5780-001", "RFC5780-006")
def test_both_mapped_addresses_are_kept_only_where_there_are_both():
    both = response((MAPPED_ADDRESS, OTHER), (XOR_MAPPED_ADDRESS, SEEN))
    assert (read(both, SEEN).mapped, read(both, SEEN).plain) == (SEEN, OTHER)
    old = response((MAPPED_ADDRESS, OTHER))
    assert (read(old, OTHER).mapped, read(old, OTHER).plain) == (OTHER, None)
    classic = read(both, SEEN, classic=True)
    assert (classic.mapped, classic.plain) == (OTHER, None)


def test_a_mapped_address_of_the_other_family_cannot_be_used():
    reply = read(response(), Address("2001:db8::1", 1))
    assert (reply.outcome, reply.text) == (Outcome.UNUSABLE, "mapped address [2001:db8::1]:1")


def test_a_classic_answer_without_a_mapped_address_cannot_be_used():
    assert read(response((XOR_MAPPED_ADDRESS, SEEN)), SEEN, classic=True).outcome is Outcome.UNUSABLE


def test_a_malformed_optional_attribute_is_as_good_as_none():
    data = bytearray(encode(Method.BINDING, MessageClass.SUCCESS, TransactionId(bytes(12)), [(OTHER_ADDRESS, OTHER)]))
    data[25] = 9  # the family
    assert read(decode_untrusted(bytes(data)), SEEN).other is None


def test_a_complaint_names_who_and_why():
    question = Question(Port.FIRST, PRIMARY)
    assert Reply(Outcome.SILENT, 0.0, 1.0).complaint(question) == "192.0.2.10:3478 did not answer"
    refused = Reply(Outcome.REFUSED, 0.0, 1.0, text="401 Unauthenticated")
    assert refused.complaint(question) == "192.0.2.10:3478 answered with an error (401 Unauthenticated)"
