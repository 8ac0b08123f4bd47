import re

import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address, LocalProtocolError
from sansice.stun import (
    DATA,
    EVEN_PORT,
    ICE_CONTROLLING,
    PRIORITY,
    REALM,
    SOFTWARE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    Template,
    decode_untrusted,
    encode,
    shapes,
    short_term_key,
)
from sansice.stun._header import CLASSES, split_type

TID = bytes(range(12))
KEY = short_term_key("password")
CHECK = ((USERNAME, "abcd:efgh"), (PRIORITY, 1862270975), (ICE_CONTROLLING, 2**63 + 1))
ALGORITHMS = st.sampled_from(IntegrityAlgorithm)


@pytest.mark.req("RFC8489-001", "RFC8489-010", "RFC8489-118")
def test_a_message_has_exactly_these_bytes():
    data = encode(Method.ALLOCATE, MessageClass.ERROR, TID, [(SOFTWARE, "abcde"), (PRIORITY, 0x01020304)])
    assert data.hex() == (
        "0113" + "0014" + "2112a442" + "000102030405060708090a0b" + "80220005" + "6162636465000000" + "00240004" + "01020304"
    )


@pytest.mark.req("RFC8489-012")
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("message_class", MessageClass)
def test_only_classes_that_the_method_permits_are_built(method, message_class):
    if message_class in CLASSES[method]:
        data = encode(method, message_class, TID)
        assert split_type(int.from_bytes(data[:2], "big")) == (method, message_class)
    else:
        with pytest.raises(LocalProtocolError, match=f"{method.name}.* does not permit class .*{message_class.name}"):
            encode(method, message_class, TID)
        with pytest.raises(LocalProtocolError, match="does not permit"):
            Template(method, message_class)


@pytest.mark.parametrize("size", [0, 11, 13, 16])
def test_a_transaction_id_of_another_length_is_refused(size):
    with pytest.raises(LocalProtocolError, match=f"12 bytes, not {size}"):
        encode(Method.BINDING, MessageClass.REQUEST, bytes(size))
    with pytest.raises(LocalProtocolError, match=f"12 bytes, not {size}"):
        Template(Method.BINDING, MessageClass.REQUEST).stamp(bytes(size))


@pytest.mark.parametrize("value", ["0123456789ab", None, 7, bytearray(12)])
def test_a_transaction_id_that_is_not_bytes_is_refused_whatever_the_attributes(value):
    attributes = [(XOR_MAPPED_ADDRESS, Address("2001:db8::1", 1))]
    match = rf"^a transaction id has 12 bytes, not {re.escape(f'{value!r:.60}')}, which is of type {type(value).__name__}$"
    with pytest.raises(LocalProtocolError, match=match):
        encode(Method.BINDING, MessageClass.SUCCESS, value, attributes)
    with pytest.raises(LocalProtocolError, match=match):
        Template(Method.BINDING, MessageClass.SUCCESS, attributes).stamp(value)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (PRIORITY, -1),
        (USERNAME, None),
        (USERNAME, "\ud800"),
        (XOR_MAPPED_ADDRESS, ("example.org", 1)),
        (REALM, "x" * 128),
        (DATA, 7),
        (DATA, "text"),
        (EVEN_PORT, 1),
    ],
)
def test_a_value_that_cannot_be_written_is_refused_by_the_name_of_its_attribute(attribute, value):
    with pytest.raises(LocalProtocolError, match=f"^{attribute.name}: "):
        encode(Method.BINDING, MessageClass.REQUEST, TID, [(SOFTWARE, "x"), (attribute, value)])
    with pytest.raises(LocalProtocolError, match=f"^{attribute.name}: "):
        Template(Method.BINDING, MessageClass.REQUEST, [(attribute, value)])


def test_what_is_no_attribute_is_named_too():
    with pytest.raises(LocalProtocolError, match=r"^PRIORITY-BY-MISTAKE: "):
        encode(Method.BINDING, MessageClass.REQUEST, TID, [("PRIORITY-BY-MISTAKE", 1)])


@pytest.mark.parametrize("options", [{}, {"key": KEY}, {"key": KEY, "algorithm": IntegrityAlgorithm.BOTH}, {"fingerprint": True}])
def test_a_message_above_65535_bytes_is_refused(options):
    with pytest.raises(LocalProtocolError, match="does not fit"):
        encode(Method.BINDING, MessageClass.REQUEST, TID, [(DATA, bytes(65532))], **options)
    with pytest.raises(LocalProtocolError, match="DATA"):
        encode(Method.BINDING, MessageClass.REQUEST, TID, [(DATA, bytes(65536))], **options)


@pytest.mark.req("RFC8489-126")
@pytest.mark.parametrize("size", [0, 12, 14, 15, 16, 20, 30, 32, 33, 36])
def test_sha256_is_sent_in_16_to_32_bytes_in_steps_of_four(size):
    options = {"key": KEY, "algorithm": IntegrityAlgorithm.SHA256, "truncate_sha256": size}
    if size in (16, 20, 24, 28, 32):
        data = encode(Method.BINDING, MessageClass.REQUEST, TID, **options)
        assert len(data) == 24 + size
        assert Template(Method.BINDING, MessageClass.REQUEST, **options).stamp(TID) == data
    else:
        with pytest.raises(LocalProtocolError, match=f"SHA256 of {size} bytes"):
            encode(Method.BINDING, MessageClass.REQUEST, TID, **options)
        with pytest.raises(LocalProtocolError, match=f"SHA256 of {size} bytes"):
            Template(Method.BINDING, MessageClass.REQUEST, **options)


@pytest.mark.req("RFC8489-127")
def test_sha256_is_sent_whole_unless_asked_otherwise():
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, key=KEY, algorithm=IntegrityAlgorithm.SHA256)
    assert data[20:24].hex() == "001c0020"
    assert len(data) == 20 + 36


@pytest.mark.req("RFC8489-118")
def test_padding_is_zeros_unless_another_implementation_is_imitated():
    attributes = [(SOFTWARE, "a"), (SOFTWARE, "ab"), (SOFTWARE, "abc"), (SOFTWARE, "abcd")]
    zeros = encode(Method.BINDING, MessageClass.REQUEST, TID, attributes)
    assert (
        zeros[20:].hex() == "80220001" + "61000000" + "80220002" + "61620000" + "80220003" + "61626300" + "80220004" + "61626364"
    )
    spaces = encode(Method.BINDING, MessageClass.REQUEST, TID, attributes, padding=0x20)
    assert (
        spaces[20:].hex() == "80220001" + "61202020" + "80220002" + "61622020" + "80220003" + "61626320" + "80220004" + "61626364"
    )


@given(
    values=st.lists(st.tuples(st.integers(0x8031, 0xBFFF), st.binary(max_size=30)), max_size=20),
    tid=st.binary(min_size=12, max_size=12),
    algorithm=ALGORITHMS,
    protected=st.booleans(),
    fingerprint=st.booleans(),
)
def test_any_attributes_survive_encoding_and_decoding_in_order(values, tid, algorithm, protected, fingerprint):
    attributes = [(Attribute(code, "any", shapes.OPAQUE), value) for code, value in values]
    data = encode(
        Method.BINDING,
        MessageClass.INDICATION,
        tid,
        attributes,
        key=KEY if protected else None,
        algorithm=algorithm,
        fingerprint=fingerprint,
    )
    message = decode_untrusted(data, require_fingerprint=fingerprint)
    assert message.attributes()[: len(values)] == values
    assert (message.transaction_id, message.message_class) == (tid, MessageClass.INDICATION)
    assert message.verify(KEY) is protected
    assert message.integrity is (algorithm if protected else None)
    assert message.has_fingerprint is fingerprint


@given(
    tids=st.lists(st.binary(min_size=12, max_size=12), min_size=1, max_size=4),
    mapped=st.sampled_from([None, Address("192.0.2.1", 5000), Address("2001:db8::1", 5000)]),
    protected=st.booleans(),
    algorithm=ALGORITHMS,
    size=st.sampled_from([16, 32]),
    fingerprint=st.booleans(),
)
def test_a_stamped_template_is_what_encode_would_have_made(tids, mapped, protected, algorithm, size, fingerprint):
    attributes = [*CHECK, *([(XOR_MAPPED_ADDRESS, mapped)] if mapped else [])]
    options = {"key": KEY if protected else None, "algorithm": algorithm, "truncate_sha256": size, "fingerprint": fingerprint}
    template = Template(Method.BINDING, MessageClass.SUCCESS, attributes, **options)
    for tid in tids:
        data = template.stamp(tid)
        assert data == encode(Method.BINDING, MessageClass.SUCCESS, tid, attributes, **options)
        assert decode_untrusted(data).get(XOR_MAPPED_ADDRESS) == mapped


def test_a_template_keeps_what_it_was_given_although_the_list_changes():
    for mapped in (Address("192.0.2.1", 5000), Address("2001:db8::1", 5000)):
        attributes = [(XOR_MAPPED_ADDRESS, mapped)]
        template = Template(Method.BINDING, MessageClass.SUCCESS, attributes)
        attributes.clear()
        assert decode_untrusted(template.stamp(TID)).get(XOR_MAPPED_ADDRESS) == mapped


@pytest.mark.parametrize("address", [Address("192.0.2.1", 5000), Address("2001:db8::1", 5000)])
def test_generators_of_attributes_serve_a_template_as_well_as_lists(address):
    template = Template(Method.BINDING, MessageClass.SUCCESS, iter([(XOR_MAPPED_ADDRESS, address)]))
    assert decode_untrusted(template.stamp(TID)).get(XOR_MAPPED_ADDRESS) == address
