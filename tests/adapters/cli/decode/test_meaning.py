import pytest

from sansice import Address, stun
from sansice.stun import AddressErrorCode, ChangeRequest, ErrorCode, Icmp, PasswordAlgorithm, TransmitCounter
from sansice_cli.decode._meaning import KNOWN, meaning, name_of

MESSAGE = stun.encode(stun.Method.BINDING, stun.MessageClass.REQUEST, stun.TransactionId(bytes(12)))


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        (stun.XOR_MAPPED_ADDRESS, Address("2001:db8::1", 5), "[2001:db8::1]:5"),
        (stun.SOFTWARE, "a\x1b[2J\\\u202e\U000e0001\n", r'"a\x1b[2J\\\u202e\U000e0001\n"'),
        (stun.REALM, "Zoë", '"Zoë"'),
        (stun.DATA, b"abc", ""),
        (stun.DATA, MESSAGE, "carries STUN, 20 bytes"),
        (stun.USE_CANDIDATE, None, ""),
        (stun.UNKNOWN_ATTRIBUTES, (0x8022, 0x7FFF), "SOFTWARE, unknown attribute 0x7fff"),
        (stun.UNKNOWN_ATTRIBUTES, (), "none"),
        (stun.PASSWORD_ALGORITHMS, (PasswordAlgorithm(2), PasswordAlgorithm(1)), "SHA-256, MD5"),
        (stun.PASSWORD_ALGORITHM, PasswordAlgorithm(9, b"\x01"), "unknown algorithm 0x0009 with parameters 01"),
        (stun.ERROR_CODE, ErrorCode(401, "Unauthenticated"), '401 "Unauthenticated"'),
        (stun.ADDRESS_ERROR_CODE, AddressErrorCode(2, 440, "no"), 'IPv6: 440 "no"'),
        (stun.ADDRESS_ERROR_CODE, AddressErrorCode(7, 440, ""), 'family 7: 440 ""'),
        (stun.CHANGE_REQUEST, ChangeRequest(True, True), "answer from another address and port"),
        (stun.CHANGE_REQUEST, ChangeRequest(False, True), "answer from another port"),
        (stun.CHANGE_REQUEST, ChangeRequest(), "answer from here"),
        (stun.ICMP, Icmp(3, 4, 1280), "type 3, code 4, data 1280"),
        (stun.TRANSACTION_TRANSMIT_COUNTER, TransmitCounter(2, 1), "request 2, response 1"),
        (stun.LIFETIME, 600, "600 seconds"),
        (stun.CACHE_TIMEOUT, 1, "1 second"),
        (stun.CHANNEL_NUMBER, 0x4000, "0x4000"),
        (stun.CONNECTION_ID, 7, "0x00000007"),
        (stun.PRIORITY, 2130706431, "2130706431 (type preference 126, local preference 65535, component 1)"),
        (stun.ICE_CONTROLLING, 5, "tie-breaker 0x0000000000000005"),
        (stun.ICE_CONTROLLED, 5, "tie-breaker 0x0000000000000005"),
        (stun.REQUESTED_TRANSPORT, 17, "UDP"),
        (stun.REQUESTED_TRANSPORT, 9, "protocol 9"),
        (stun.REQUESTED_ADDRESS_FAMILY, 2, "IPv6"),
        (stun.ADDITIONAL_ADDRESS_FAMILY, 9, "family 9"),
        (stun.EVEN_PORT, True, "and reserve the next port"),
        (stun.EVEN_PORT, False, ""),
        (stun.RESPONSE_PORT, 3478, "3478"),
    ],
)
def test_values_are_put_into_words(attribute, value, words):
    assert meaning(attribute, value) == words


def test_every_attribute_of_the_library_has_its_name():
    assert len(KNOWN) > 45
    assert name_of(0x0020) == "XOR-MAPPED-ADDRESS"
    assert name_of(0x7FFE) == "unknown attribute 0x7ffe"
