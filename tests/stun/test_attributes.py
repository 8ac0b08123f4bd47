import pytest
from hypothesis import given, strategies as st

import sansice.stun
from sansice.machine import Address, DecodeError, DropReason, LocalProtocolError
from sansice.stun import (
    ALTERNATE_DOMAIN,
    ALTERNATE_SERVER,
    FINGERPRINT,
    MAPPED_ADDRESS,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    PASSWORD_ALGORITHM,
    PASSWORD_ALGORITHMS,
    PRIORITY,
    REALM,
    SOFTWARE,
    UNKNOWN_ATTRIBUTES,
    USERHASH,
    USERNAME,
    Attribute,
    MessageClass,
    Method,
    PasswordAlgorithm,
    decode_untrusted,
    encode,
    register,
    shapes,
)
from sansice.stun._attributes import REGISTRY

TID = bytes(range(12))


def build(*attributes):
    return encode(Method.BINDING, MessageClass.REQUEST, TID, attributes)


def value_of(attribute, raw):
    """What `get` makes of an attribute whose bytes somebody else chose."""
    return decode_untrusted(build((Attribute(attribute.code, "raw", shapes.OPAQUE), raw))).get(attribute)


def refuses(attribute, raw):
    try:
        value_of(attribute, raw)
    except DecodeError as error:
        return error.reason is DropReason.BAD_ATTRIBUTE and attribute.name in str(error)
    return False


# ------------------------------------------------------------------- the registry

# code and name, as RFC 8489 18.3, RFC 8445 16.1, RFC 8656 18, RFC 5780 7, RFC 6062 6.2, RFC 7635 6, RFC 7982 3.1,
# RFC 8016 3.3, and the drafts and old RFCs that IANA lists
EXPECTED = """
0001 MAPPED-ADDRESS        0002 RESPONSE-ADDRESS         0003 CHANGE-REQUEST       0004 SOURCE-ADDRESS
0005 CHANGED-ADDRESS       0006 USERNAME                 0008 MESSAGE-INTEGRITY    0009 ERROR-CODE
000a UNKNOWN-ATTRIBUTES    000b REFLECTED-FROM           000c CHANNEL-NUMBER       000d LIFETIME
0012 XOR-PEER-ADDRESS      0013 DATA                     0014 REALM                0015 NONCE
0016 XOR-RELAYED-ADDRESS   0017 REQUESTED-ADDRESS-FAMILY 0018 EVEN-PORT            0019 REQUESTED-TRANSPORT
001a DONT-FRAGMENT         001b ACCESS-TOKEN             001c MESSAGE-INTEGRITY-SHA256
001d PASSWORD-ALGORITHM    001e USERHASH                 0020 XOR-MAPPED-ADDRESS   0022 RESERVATION-TOKEN
0024 PRIORITY              0025 USE-CANDIDATE            0026 PADDING              0027 RESPONSE-PORT
002a CONNECTION-ID         8000 ADDITIONAL-ADDRESS-FAMILY 8001 ADDRESS-ERROR-CODE  8002 PASSWORD-ALGORITHMS
8003 ALTERNATE-DOMAIN      8004 ICMP                     8022 SOFTWARE             8023 ALTERNATE-SERVER
8025 TRANSACTION-TRANSMIT-COUNTER 8027 CACHE-TIMEOUT     8028 FINGERPRINT          8029 ICE-CONTROLLED
802a ICE-CONTROLLING       802b RESPONSE-ORIGIN          802c OTHER-ADDRESS        802d ECN-CHECK-STUN
802e THIRD-PARTY-AUTHORIZATION 802f ORIGIN               8030 MOBILITY-TICKET      8032 SSODA-ADDRESS-FAMILY
"""


def test_the_registry_holds_the_code_points_of_the_rfcs_and_no_others():
    words = EXPECTED.split()
    expected = {int(code, 16): name for code, name in zip(words[::2], words[1::2], strict=True)}
    assert {code: attribute.name.replace(" ", "-") for code, attribute in REGISTRY.items()} == expected


def test_every_registered_attribute_is_a_public_constant_of_its_name():
    public = {value for value in vars(sansice.stun).values() if isinstance(value, Attribute)}
    assert public == set(REGISTRY.values())
    for attribute in public - {sansice.stun.ECN_CHECK}:
        assert getattr(sansice.stun, attribute.name.replace("-", "_")) is attribute


@pytest.mark.req("RFC8489-120")
def test_a_receiver_must_understand_codes_up_to_0x7fff():
    assert Attribute(0x7FFF, "a", shapes.FLAG).comprehension_required
    assert not Attribute(0x8000, "b", shapes.FLAG).comprehension_required


@pytest.fixture
def registry():
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def test_an_attribute_of_the_users_own_is_written_read_and_understood(registry):
    hops = Attribute(0x7F01, "EXAMPLE-HOPS", shapes.UINT32)
    data = build((hops, 7))
    message = decode_untrusted(data)
    assert message.get(hops) == 7
    assert message.unknown_required() == (0x7F01,)
    assert register(hops) is hops
    assert register(hops) is hops
    assert message.unknown_required() == ()
    assert "EXAMPLE-HOPS" in repr(message)


@pytest.mark.parametrize(("code", "name"), [(0x0024, "MINE"), (0x7F01, "PRIORITY"), (0x0024, "PRIORITY")])
def test_registration_refuses_a_code_or_a_name_that_is_taken(registry, code, name):
    before = dict(registry)
    with pytest.raises(ValueError, match=r"clashes with Attribute\(0x0024, 'PRIORITY'\)"):
        register(Attribute(code, name, shapes.UINT32))
    assert registry == before


@pytest.mark.parametrize(("code", "name"), [(-1, "A"), (0x10000, "A"), (1, "")])
def test_an_attribute_without_a_sound_code_and_name_is_refused(code, name):
    with pytest.raises(ValueError, match="attribute"):
        Attribute(code, name, shapes.FLAG)


@given(st.data())
@pytest.mark.parametrize("attribute", [a for a in REGISTRY.values() if a.shape.format], ids=lambda a: a.name)
def test_the_short_way_of_numbers_gives_what_pack_and_unpack_give(attribute, data):
    raw = data.draw(st.binary(min_size=attribute.size, max_size=attribute.size))
    value = attribute.shape.unpack(raw, TID)
    assert value_of(attribute, raw) == value
    written = build((attribute, value))[20:]
    assert written == attribute.code.to_bytes(2, "big") + attribute.size.to_bytes(2, "big") + attribute.shape.pack(value, TID)


# ------------------------------------------------------------------- limits of single attributes


@pytest.mark.req("RFC8489-123")
def test_username_is_up_to_508_bytes_sent_and_763_received():
    assert decode_untrusted(build((USERNAME, "x" * 508))).get(USERNAME) == "x" * 508
    assert decode_untrusted(build((USERNAME, "\u00e9" * 254))).get(USERNAME) == "\u00e9" * 254
    for name in ("x" * 509, "\u00e9" * 255):
        with pytest.raises(LocalProtocolError, match="USERNAME"):
            build((USERNAME, name))
    assert value_of(USERNAME, b"x" * 763) == "x" * 763
    assert refuses(USERNAME, b"x" * 764)
    assert refuses(USERNAME, b"\xff")


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param(REALM, marks=pytest.mark.req("RFC8489-133")),
        pytest.param(NONCE, marks=pytest.mark.req("RFC8489-134")),
        pytest.param(SOFTWARE, marks=pytest.mark.req("RFC8489-138")),
    ],
    ids=lambda attribute: attribute.name,
)
def test_text_has_up_to_127_characters_sent_and_763_bytes_received(attribute):
    for longest in ("x" * 127, "\U0001f9ca" * 127):
        assert decode_untrusted(build((attribute, longest))).get(attribute) == longest
    with pytest.raises(LocalProtocolError, match=attribute.name):
        build((attribute, "x" * 128))
    assert value_of(attribute, b"x" * 763) == "x" * 763
    assert refuses(attribute, b"x" * 764)
    assert refuses(attribute, b"\xc3")


@pytest.mark.req("RFC8489-140")
def test_alternate_domain_has_up_to_255_ascii_characters():
    name = "x" * 251 + ".org"
    assert decode_untrusted(build((ALTERNATE_DOMAIN, name))).get(ALTERNATE_DOMAIN) == name
    for wrong in (name + ".", "b\u00fccher.example"):
        with pytest.raises(LocalProtocolError, match="ALTERNATE-DOMAIN"):
            build((ALTERNATE_DOMAIN, wrong))
    assert refuses(ALTERNATE_DOMAIN, b"x" * 256)
    assert refuses(ALTERNATE_DOMAIN, "b\u00fc".encode())


@pytest.mark.req("RFC8489-124")
@pytest.mark.parametrize("size", [0, 31, 33])
def test_userhash_has_32_bytes(size):
    with pytest.raises(LocalProtocolError, match="USERHASH"):
        build((USERHASH, bytes(size)))
    assert refuses(USERHASH, bytes(size))
    assert value_of(USERHASH, bytes(32)) == bytes(32)


@pytest.mark.req("RFC8489-139")
def test_alternate_server_is_written_in_clear():
    data = build((ALTERNATE_SERVER, Address("192.0.2.1", 3478)))
    assert data[20:].hex() == "8023000800010d96c0000201"
    assert build((MAPPED_ADDRESS, Address("192.0.2.1", 3478)))[24:] == data[24:]


@pytest.mark.req("RFC8489-135")
def test_password_algorithms_are_padded_each_for_itself():
    value = (PasswordAlgorithm(0x7777, b"abc"), PasswordAlgorithm(2))
    data = build((PASSWORD_ALGORITHMS, value))
    assert data[20:].hex() == "8002000c" + "7777000361626300" + "00020000"
    assert decode_untrusted(data).get(PASSWORD_ALGORITHMS) == value
    padded = bytes.fromhex("77770003616263ff00020000")
    assert value_of(PASSWORD_ALGORITHMS, padded) == value


@pytest.mark.req("RFC8489-136")
def test_password_algorithm_is_one_entry_and_its_padding_is_ignored():
    data = build((PASSWORD_ALGORITHM, PasswordAlgorithm(0x7777, b"abc")))
    assert data[20:].hex() == "001d0008" + "7777000361626300"
    assert value_of(PASSWORD_ALGORITHM, bytes.fromhex("77770003616263ff")) == PasswordAlgorithm(0x7777, b"abc")
    assert refuses(PASSWORD_ALGORITHM, bytes.fromhex("0001000000020000"))


@pytest.mark.req("RFC8489-137")
def test_unknown_attributes_is_padded_with_zeros_and_not_with_a_repeated_type():
    data = build((UNKNOWN_ATTRIBUTES, (0x7FF0, 0x7FF1, 0x7FF2)))
    assert data[20:].hex() == "000a0006" + "7ff07ff17ff2" + "0000"
    assert decode_untrusted(data).get(UNKNOWN_ATTRIBUTES) == (0x7FF0, 0x7FF1, 0x7FF2)


@pytest.mark.parametrize(
    ("attribute", "hint"), [(MESSAGE_INTEGRITY, "key"), (MESSAGE_INTEGRITY_SHA256, "key"), (FINGERPRINT, "fingerprint=True")]
)
def test_what_is_computed_is_not_given(attribute, hint):
    with pytest.raises(LocalProtocolError, match=f"{attribute.name}: it is computed: .*{hint}"):
        build((attribute, b""))


def test_a_number_that_does_not_fit_is_refused_by_name():
    for value in (2**32, -1, "1", None, 1.5):
        with pytest.raises(LocalProtocolError, match="PRIORITY"):
            build((PRIORITY, value))


@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_a_number_of_the_wrong_length_is_refused_when_asked_for(size):
    assert refuses(PRIORITY, bytes(size))
