"""What NATs and firewalls answer, and what they must never answer."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Packet
from sansice.simulation._nat._refusals import PORT_UNREACHABLE, PROHIBITED, icmp_about, reset_about
from sansice.simulation._world._packets import Fragment
from simulation._wires import ACK, FIN, INNER, RST, SERVER, SYN, tcp, udp


def test_an_error_quotes_what_it_is_about():
    assert icmp_about(udp(INNER, SERVER), PORT_UNREACHABLE[False]) == Packet(
        Address(SERVER.host, 0), INNER, b"", IcmpError(3, 3), SERVER
    )
    segment = tcp(INNER, SERVER, SYN)
    error = icmp_about(segment, PROHIBITED[False], "192.0.2.9")
    assert (error.source, error.tcp, error.icmp) == (Address("192.0.2.9", 0), segment.tcp, IcmpError(3, 13))


def test_there_is_no_error_about_an_error_nor_about_a_later_fragment():
    error = icmp_about(udp(INNER, SERVER), PORT_UNREACHABLE[False])
    assert icmp_about(error, PORT_UNREACHABLE[False]) is None
    later = udp(INNER, SERVER)._replace(fragment=Fragment(1, 8, False, 16))
    assert icmp_about(later, PORT_UNREACHABLE[False]) is None
    assert icmp_about(later._replace(fragment=Fragment(1, 0, True, 16)), PORT_UNREACHABLE[False]) is not None


@pytest.mark.parametrize(
    ("flags", "data", "seq", "ack", "answered"),
    [
        (SYN, b"", 0, 1001, RST | ACK),
        (SYN | FIN, b"abc", 0, 1005, RST | ACK),
        (ACK, b"abc", 2000, 0, RST),
        (SYN | ACK, b"", 2000, 0, RST),
    ],
)
def test_a_reset_fits_the_segment_that_it_answers(flags, data, seq, ack, answered):
    reset = reset_about(tcp(INNER, SERVER, flags, data))
    assert (reset.source, reset.destination) == (SERVER, INNER)
    assert (reset.tcp.flags, reset.tcp.seq, reset.tcp.ack) == (answered, seq, ack)


def test_sequence_numbers_wrap():
    assert reset_about(tcp(INNER, SERVER, SYN, seq=2**32 - 1)).tcp.ack == 0


def test_an_rst_an_error_a_fragment_and_a_datagram_get_no_reset():
    segment = tcp(INNER, SERVER, SYN)
    assert reset_about(tcp(INNER, SERVER, RST)) is None
    assert reset_about(udp(INNER, SERVER)) is None
    assert reset_about(segment._replace(icmp=IcmpError(3, 3))) is None
    assert reset_about(segment._replace(fragment=Fragment(1, 0, True, 40))) is None
