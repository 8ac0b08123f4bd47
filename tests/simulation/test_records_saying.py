"""What packets say."""

import pytest

from sansice import Address, IcmpError
from sansice.simulation import Fragment, Packet, TcpFlags, TcpSegment
from sansice.simulation._records._saying import saying
from sansice.stun import (
    ERROR_CODE,
    MAPPED_ADDRESS,
    PRIORITY,
    USE_CANDIDATE,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    encode,
)

A, B = Address("192.0.2.1", 5000), Address("192.0.2.2", 3478)
ID = TransactionId(bytes(12))
REQUEST, INDICATION, SUCCESS, ERROR = MessageClass


def said(data=b"", **fields):
    return saying(Packet(A, B, data, **fields))


def stun(kind, *attributes, method=Method.BINDING):
    return said(encode(method, kind, ID, list(attributes)))


MAPPED = Address("203.0.113.1", 1024)


@pytest.mark.parametrize(
    ("one", "sentence", "label"),
    [
        (stun(REQUEST), "a asks b for its address", "question"),
        (stun(REQUEST, (PRIORITY, 1)), "a checks b", "check"),
        (stun(REQUEST, (PRIORITY, 1), (USE_CANDIDATE, None)), "a checks b, nominating", "check, nominating"),
        (stun(SUCCESS, (XOR_MAPPED_ADDRESS, MAPPED)), "a answers b: 203.0.113.1:1024", "answer 203.0.113.1:1024"),
        (stun(SUCCESS, (MAPPED_ADDRESS, MAPPED)), "a answers b: 203.0.113.1:1024", "answer 203.0.113.1:1024"),
        (stun(SUCCESS), "a answers b: no address", "answer no address"),
        (stun(ERROR, (ERROR_CODE, ErrorCode(487, "Role Conflict"))), "a refuses b: 487 Role Conflict", "error 487 Role Conflict"),
        (stun(ERROR), "a refuses b: without a code", "error without a code"),
        (stun(INDICATION), "a keeps b alive", "keep-alive"),
        (stun(REQUEST, method=Method.CREATE_PERMISSION), "a sends b create permission request", "create permission request"),
        (said(b"\x80" * 160), "a sends b 160 bytes", "160 bytes"),
        (said(b"x"), "a sends b 1 byte", "1 byte"),
        (said(b"\x80" * 64, fragment=Fragment(1, 0, True, 1208)), "a sends b 1200 bytes", "1200 bytes"),
        (said(tcp=TcpSegment(TcpFlags.SYN | TcpFlags.ACK, 1, 2, 3)), "a sends b TCP SYN ACK", "TCP SYN ACK"),
        (
            said(encode(Method.BINDING, REQUEST, ID, []), tcp=TcpSegment(TcpFlags.ACK, 1, 2, 3)),
            "a asks b for its address, over TCP",
            "question, over TCP",
        ),
        (
            said(encode(Method.BINDING, REQUEST, ID, []) * 2, tcp=TcpSegment(TcpFlags.ACK, 1, 2, 3)),
            "a sends b TCP ACK, 40 bytes",
            "TCP ACK, 40 bytes",
        ),
        (said(b"abc", tcp=TcpSegment(TcpFlags.ACK, 1, 2, 3)), "a sends b TCP ACK, 3 bytes", "TCP ACK, 3 bytes"),
        (
            said(icmp=IcmpError(3, 3), quoted=MAPPED),
            "a tells b about 203.0.113.1:1024: port unreachable",
            "ICMP: port unreachable",
        ),
        (
            said(icmp=IcmpError(2, 0, ipv6=True, mtu=1280), quoted=MAPPED),
            "a tells b about 203.0.113.1:1024: too big for an MTU of 1280",
            "ICMP: too big for an MTU of 1280",
        ),
        (said(icmp=IcmpError(3, 9), quoted=MAPPED), "a tells b about 203.0.113.1:1024: ICMP 3/9", "ICMP: ICMP 3/9"),
    ],
)
def test_packet_in_words(one, sentence, label):
    assert (one.sentence("a", "b"), one.label()) == (sentence, label)


def test_repetition_is_said_after_the_receiver():
    check = stun(REQUEST, (PRIORITY, 1), (USE_CANDIDATE, None))
    assert check.transaction == ID
    assert check.sentence("a", "b", again=True) == "a checks b again, nominating"
    assert check.label(again=True) == "check, nominating again"


@pytest.mark.parametrize("cut", [1, 4])
def test_broken_stun_is_called_so(cut):
    data = encode(Method.BINDING, SUCCESS, ID, [(XOR_MAPPED_ADDRESS, MAPPED)])
    assert said(data[:-cut]).sentence("a", "b") == "a sends b broken STUN"


def test_attribute_that_says_nothing_sensible_makes_the_message_broken():
    data = bytearray(encode(Method.BINDING, SUCCESS, ID, [(XOR_MAPPED_ADDRESS, MAPPED)]))
    data[25] = 9  # of a family that there is not
    assert said(bytes(data)).label() == "broken STUN"
