"""Values as JSON and back."""

import enum
import json
import math
from typing import NamedTuple

import attrs
import pytest

from sansice.ice import Candidate
from sansice.machine import (
    DEFAULT_OPTIONS,
    Address,
    AddressRecord,
    IcmpError,
    OpenSocket,
    ProxyOptions,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.simulation._recording._values import MAX_NESTING, Opaque, class_name, from_json, parse_untrusted, to_json
from sansice.stun import (
    ERROR_CODE,
    PRIORITY,
    XOR_MAPPED_ADDRESS,
    Attribute,
    MessageClass,
    Method,
    StunServerConfig,
    TransactionId,
    decode_untrusted,
    encode,
    shapes,
)


class Pair(NamedTuple):
    left: object
    right: object = 0


class Level(enum.IntEnum):
    LOW = 1


@attrs.frozen
class Private:
    _hidden: int
    made: list = attrs.field(init=False)

    def __attrs_post_init__(self):
        object.__setattr__(self, "made", [self._hidden])


VALUES = [
    None,
    True,
    7,
    0.1,
    math.inf,
    "text",
    b"\x00\xff",
    (1, (2.5, b"x")),
    [1, [2]],
    {"a": 1, 2: (3,)},
    frozenset({"b", "a"}),
    Level.LOW,
    Transport.UDP,
    ResolveError.TIMEOUT,
    Address("192.0.2.1", 5),
    SendDatagram(SocketId(1), Address("2001:db8::1", 5), b"data"),
    OpenSocket(SocketId(1), Transport.UDP, Address("192.0.2.1", 0)),
    SocketOptions(proxy=ProxyOptions(Address("192.0.2.1", 80), authority="turn.example.org:443")),
    DEFAULT_OPTIONS,
    SocketError(SocketErrorKind.REFUSED, "no"),
    IcmpError(3, 3),
    (AddressRecord("192.0.2.1", 60),),
    Pair(Pair(1), [2]),
    Private(5),
    Candidate.from_sdp("candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host generation 0"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_equal_and_of_its_class(value):
    form = json.loads(json.dumps(to_json(value, strict=True)))
    back = from_json(form)
    assert back == value
    assert type(back) is type(value)
    assert to_json(back, strict=True) == form


@pytest.mark.parametrize("value", [PRIORITY, XOR_MAPPED_ADDRESS, ERROR_CODE])
def test_an_attribute_of_stun_comes_back_as_itself(value):
    assert from_json(to_json(value, strict=True)) is value


def test_an_attribute_of_a_program_has_a_shape_that_cannot_be_recorded():
    with pytest.raises(Opaque):
        to_json(Attribute(0x8042, "MINE", shapes.TEXT), strict=True)
    with pytest.raises(ValueError, match="not a recorded value"):
        from_json({"attribute": "MINE"})
    with pytest.raises(ValueError, match="not a recorded value"):
        from_json({"attribute": "encode"})


class Number(int):
    pass


def test_a_number_or_text_of_a_class_of_its_own_is_recorded_as_what_it_is():
    assert json.dumps(to_json(Number(5), strict=True)) == "5"


def test_classes_of_sansice_are_named_by_where_they_are_public():
    assert to_json(Candidate.from_sdp("1 1 udp 1 192.0.2.1 5 typ host"), strict=True)["class"] == "sansice.ice:Candidate"
    assert class_name(StunServerConfig) == "sansice.stun:StunServerConfig"
    assert class_name(Opaque) == "sansice.simulation._recording._values:Opaque"


def test_a_value_whose_fields_are_others_than_its_class_has_is_refused():
    form = to_json(IcmpError(3, 3), strict=True)
    for fields in ({}, {**form["fields"], "colour": 5}):
        with pytest.raises(ValueError, match="not a recorded value"):
            from_json({**form, "fields": fields})


def test_a_member_that_an_enum_has_not_is_refused():
    with pytest.raises(ValueError, match="not a recorded value"):
        from_json({"enum": "sansice.machine:Transport", "name": "is_stream"})


def test_a_message_comes_back_from_its_bytes():
    message = decode_untrusted(encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12))))
    assert from_json(to_json(message, strict=True)).data == message.data


@pytest.mark.parametrize("buffer", [bytearray(b"x"), memoryview(b"x")])
def test_a_buffer_becomes_bytes(buffer):
    assert from_json(to_json(buffer, strict=True)) == b"x"


def test_a_set_has_one_form_whatever_its_order():
    one, other = {0, 8}, {8, 0}
    assert list(one) != list(other)
    assert to_json(one, strict=True) == to_json(other, strict=True)


def test_what_is_no_value_is_named_or_kept_as_its_class_alone():
    with pytest.raises(Opaque, match="builtins:object is not a value that can be recorded"):
        to_json((1, object()), strict=True)
    assert to_json((1, object()), strict=False) == {"tuple": [1, {"opaque": "builtins:object"}]}


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"opaque": "builtins:object"},
        {"enum": "builtins:int", "name": "real"},
        {"class": "builtins:tuple", "items": []},
        {"class": "builtins:int", "fields": {}},
        {"bytes": 5},
    ],
)
def test_what_was_never_made_by_to_json_is_refused(form):
    with pytest.raises(ValueError, match="not a recorded value"):
        from_json(form)


@pytest.mark.parametrize("name", ["antigravity:Fly", "os:system", "sansice.machine:Nothing.more", "enum"])
def test_a_recording_cannot_choose_what_is_imported_or_called(name):
    with pytest.raises(ValueError, match="not imported here"):
        from_json({"class": name, "items": []})


def test_json_is_read_up_to_a_depth_that_does_not_depend_on_the_stack():
    deep = MAX_NESTING * "[" + MAX_NESTING * "]"
    assert json.dumps(parse_untrusted(deep.encode())) == deep
    for text in (f"[{deep}]", "[" * 1_000_000, '{"a":' * 1_000_000):
        with pytest.raises(ValueError, match="a value is nested too deeply"):
            parse_untrusted(text.encode())
    with pytest.raises(ValueError, match="Expecting value"):
        parse_untrusted(b"")


def test_the_form_of_a_set_is_in_the_order_of_its_text():
    assert to_json(frozenset((2, 10, 1)), strict=True) == {"set": [1, 10, 2]}
    words = [f"word {number}" for number in range(50)]
    assert to_json(frozenset(words), strict=True) == {"set": sorted(words)}


def test_what_a_machine_only_hands_on_is_in_no_recording():
    form = to_json(ProxyOptions(Address("192.0.2.1", 80), "alice", "secret"), strict=True)
    assert "alice" not in str(form)
    assert "secret" not in str(form)
    assert from_json(form) == ProxyOptions(Address("192.0.2.1", 80))
