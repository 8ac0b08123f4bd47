"""Messages of multicast DNS, byte for byte and against the worst that can be sent."""

import struct

import pytest
from hypothesis import given, strategies as st

from ice._mdns import NAME, OTHER_NAME
from sansice.ice._mdns._message import (
    AAAA,
    ANY,
    MAX_ENTRIES,
    MAX_MESSAGE,
    MAX_POINTERS,
    NSEC,
    A,
    HostRecord,
    Question,
    decode_untrusted,
    encode_legacy_response,
    encode_query,
    encode_response,
)
from sansice.machine import DecodeError, DropReason

WIRE_NAME = b"\x24" + NAME.partition(".")[0].encode() + b"\x05local\0"
NAMES = st.uuids(version=4).map(lambda one: f"{one}.local")
HOSTS = st.ip_addresses().map(str)
RECORDS = st.builds(HostRecord, NAMES, HOSTS, st.integers(0, 2**31 - 1), st.booleans())
QUESTIONS = st.builds(Question, NAMES, st.sampled_from([A, AAAA, NSEC, ANY]), st.booleans())


def message(questions=0, answers=0, authority=0, additional=0, body=b"", flags=0, id=0):
    return struct.pack("!6H", id, flags, questions, answers, authority, additional) + body


def record(name=WIRE_NAME, type=A, kind=1, ttl=120, data=b"\xc0\x00\x02\x01"):
    return name + struct.pack("!HHIH", type, kind, ttl, len(data)) + data


def reason_of(call):
    with pytest.raises(DecodeError) as caught:
        call()
    return caught.value.reason


def test_a_query_is_these_bytes():
    asked = encode_query([Question(NAME, A, unicast=True), Question(NAME, AAAA)])
    assert asked == message(2, body=WIRE_NAME + b"\0\x01\x80\x01" + b"\xc0\x0c" + b"\0\x1c\0\x01")


def test_a_response_is_these_bytes():
    told = encode_response([HostRecord(NAME, "192.0.2.1", 120)])
    answer = record(kind=0x8001)
    nothing_else = b"\xc0\x0c\0\x2f\x80\x01\0\0\0\x78\0\x05\xc0\x0c\0\x01\x40"
    assert told == message(0, 1, 0, 1, answer + nothing_else, 0x8400)


def test_a_response_of_ipv6_says_that_there_is_nothing_else():
    told = encode_response([HostRecord(NAME, "2001:db8::1", 0)])
    assert told.endswith(b"\xc0\x0c\0\x2f\x80\x01\0\0\0\0\0\x08\xc0\x0c\0\x04\0\0\0\x08")


def test_a_legacy_response_repeats_the_question_and_flushes_nothing():
    told = encode_legacy_response(7, [Question(NAME, A, unicast=True)], [HostRecord(NAME, "192.0.2.1", 10)])
    assert told == message(1, 1, body=WIRE_NAME + b"\0\x01\0\x01" + record(b"\xc0\x0c", ttl=10), flags=0x8400, id=7)


def test_endings_of_names_are_shared():
    assert encode_query([Question(NAME, A), Question(OTHER_NAME, A)]).count(b"local") == 1


@given(st.lists(QUESTIONS, max_size=8), st.lists(RECORDS, max_size=8), st.integers(0, 65535))
def test_queries_are_read_as_they_were_written(questions, known, id):
    read = decode_untrusted(encode_query(questions, known, id=id))
    assert (read.questions_untrusted(), read.answers_untrusted(), read.id) == (questions, known, id)
    assert (read.is_response, read.is_truncated, read.asks) == (False, False, bool(questions))


@given(st.lists(RECORDS, max_size=8))
def test_responses_are_read_as_they_were_written(records):
    read = decode_untrusted(encode_response(records))
    assert (read.answers_untrusted(), read.hosts_untrusted(), read.is_response) == (records, records, True)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda counts, rest: struct.pack("!2H4H", 0, 0, *counts) + rest,
            st.tuples(*[st.integers(0, 3)] * 4),
            st.binary(max_size=120),
        ),
    )
)
def test_nothing_but_decode_errors_comes_of_noise(data):
    try:
        read = decode_untrusted(data)
        read.questions_untrusted()
        read.hosts_untrusted()
    except DecodeError:
        pass


@given(st.lists(RECORDS, min_size=1, max_size=3), st.data())
def test_nothing_but_decode_errors_comes_of_damage(records, data):
    whole = bytearray(encode_response(records))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        decode_untrusted(cut).hosts_untrusted()
    except DecodeError:
        pass


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.TOO_SHORT),
        (bytes(11), DropReason.TOO_SHORT),
        (bytes(MAX_MESSAGE + 1), DropReason.NOT_MDNS),
        (message(flags=0x0800), DropReason.NOT_MDNS),
        (message(flags=0x8003), DropReason.NOT_MDNS),
        (message(65535), DropReason.LIMIT),
        (message(MAX_ENTRIES, 1), DropReason.LIMIT),
        (message(1), DropReason.NOT_MDNS),
        (message(1, body=b"\x05abc"), DropReason.NOT_MDNS),
        (message(1, body=b"\0"), DropReason.TOO_SHORT),
        (message(1, body=b"\x40" + bytes(70)), DropReason.NOT_MDNS),
        (message(1, body=b"\x3f" + bytes(63) + (b"\x3f" + b"x" * 63) * 4 + b"\0"), DropReason.NOT_MDNS),
        (message(0, 1, body=b"\0\0\x01"), DropReason.TOO_SHORT),
        (message(0, 1, body=record()[:-1]), DropReason.BAD_LENGTH),
        (message(0, 0, 1, body=record()[:-1]), DropReason.BAD_LENGTH),
    ],
    ids=[
        *("empty", "short", "long", "opcode", "rcode", "65535", "one too many"),
        *("no name", "cut label", "no type", "label kind", "long name"),
        *("cut record", "cut data", "cut authority"),
    ],
)
def test_a_frame_that_is_none_is_dropped(data, reason):
    assert reason_of(lambda: decode_untrusted(data)) is reason


def test_a_name_has_255_bytes_at_most_and_a_message_9000():
    longest = (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"x" * 61 + b"\0"
    assert len(longest) == 255
    assert decode_untrusted(message(1, body=longest + b"\0\x01\0\x01")).asks
    longer = b"\x01x" + longest.replace(b"\x3d" + b"x" * 61, b"\x3c" + b"x" * 60)
    assert len(longer) == 256
    assert reason_of(lambda: decode_untrusted(message(1, body=longer + b"\0\x01\0\x01"))) is DropReason.NOT_MDNS
    assert decode_untrusted(message().ljust(MAX_MESSAGE, b"\0")).asks is False


def test_as_many_entries_as_the_bound_are_read():
    data = message(MAX_ENTRIES, body=(WIRE_NAME + b"\0\x01\0\x01") + (b"\xc0\x0c\0\x01\0\x01") * (MAX_ENTRIES - 1))
    assert len(decode_untrusted(data).questions_untrusted()) == MAX_ENTRIES


@pytest.mark.parametrize(
    "name",
    [b"\xc0\x0c", b"\xc0\x40", b"\xc0", b"\x01a\xc0\x0c", b"\x01a\xc0\xff"],
    ids=["itself", "ahead", "cut", "around", "outside"],
)
def test_a_pointer_that_does_not_lead_back_is_refused(name):
    tail = b"" if len(name) == 1 else b"\0\x01\0\x01"
    data = message(1, body=name + tail)
    assert reason_of(lambda: decode_untrusted(data).questions_untrusted()) in (DropReason.NOT_MDNS, DropReason.TOO_SHORT)


def chain(pointers):
    """A question whose name is found through so many pointers."""
    body, last = WIRE_NAME + b"\0\x01\0\x01", 12
    for _ in range(pointers):
        at = 12 + len(body)
        body += struct.pack("!H", 0xC000 | last) + b"\0\x01\0\x01"
        last = at
    return message(1 + pointers, body=body)


def test_pointers_to_pointers_have_an_end():
    assert len(decode_untrusted(chain(MAX_POINTERS)).questions_untrusted()) == MAX_POINTERS + 1
    assert reason_of(decode_untrusted(chain(MAX_POINTERS + 1)).questions_untrusted) is DropReason.NOT_MDNS


def test_a_name_that_leads_into_the_middle_of_something_is_refused():
    header = message(0, 1, flags=0x8400)
    # The pointer leads to the header, where 0x84 begins no label.
    assert reason_of(decode_untrusted(header + record(b"\xc0\x02")).hosts_untrusted) is DropReason.NOT_MDNS
    # And this one to 0x78 and its like, in the data of a record: labels that last beyond the end.
    text = record(b"\0", 16, data=b"\x3fab")
    cut = message(0, 2, body=text + record(struct.pack("!H", 0xC000 | 12 + len(text) - 3)))
    assert reason_of(decode_untrusted(cut).hosts_untrusted) is DropReason.NOT_MDNS


@pytest.mark.parametrize("size", [0, 3, 5, 16])
def test_an_address_of_the_wrong_length_is_refused(size):
    data = message(0, 1, body=record(data=bytes(size)))
    assert reason_of(decode_untrusted(data).hosts_untrusted) is DropReason.NOT_MDNS


@pytest.mark.parametrize(
    "body",
    [
        record(type=16, data=b"\x01x"),
        record(kind=3),
        record(b"\x01a\x01b\x05local\0"),
        record(b"\x05local\0"),
        record(b"\0"),
        record(b"\x01a\x07example\0"),
        record(b"\x03a b\x05local\0"),
        record(b"\x02\xc3\xa9\x05local\0"),
    ],
    ids=["text", "class", "service", "domain", "root", "elsewhere", "space", "not ascii"],
)
def test_what_is_no_address_of_a_name_under_local_is_passed_over(body):
    assert decode_untrusted(message(0, 1, body=body)).hosts_untrusted() == []


@pytest.mark.parametrize("tail", [b"\0\x10\0\x01", b"\0\x01\0\x03"], ids=["text", "class"])
def test_other_questions_are_passed_over(tail):
    read = decode_untrusted(message(1, body=WIRE_NAME + tail))
    assert (read.questions_untrusted(), read.asks) == ([], True)


def test_a_question_of_any_class_is_one():
    read = decode_untrusted(message(1, body=WIRE_NAME + b"\0\x01\0\xff"))
    assert read.questions_untrusted() == [Question(NAME, A)]


def test_a_pointer_that_leads_forward_is_refused_however_far_back_the_one_before_led():
    first = 12 + len(WIRE_NAME) + 4
    text = [(0xC000 | to).to_bytes(2, "big") + b"\0\x10\0\x01" for to in (first + 6, 12)]  # of no concern themselves
    body = WIRE_NAME + b"\0\x01\0\x01" + b"".join(text)
    for to, reason in ((first + 6, None), (first, DropReason.NOT_MDNS)):
        read = decode_untrusted(message(4, body=body + (0xC000 | to).to_bytes(2, "big") + b"\0\x01\0\x01"))
        if reason is None:
            assert read.questions_untrusted() == [Question(NAME, A)] * 2
        else:
            assert reason_of(read.questions_untrusted) is reason


def test_a_question_about_another_domain_is_passed_over():
    assert decode_untrusted(message(1, body=b"\x07example\0\0\x01\0\x01")).questions_untrusted() == []


def test_names_are_compared_in_lower_case():
    read = decode_untrusted(message(0, 1, body=record(WIRE_NAME.upper())))
    assert read.hosts_untrusted() == [HostRecord(NAME, "192.0.2.1", 120, flush=False)]


def test_what_a_probe_would_claim_is_not_believed_and_what_was_not_asked_for_is():
    read = decode_untrusted(message(0, 0, 1, 1, record() + record(data=b"\xc0\x00\x02\x09")))
    assert (read.answers_untrusted(), [one.host for one in read.hosts_untrusted()]) == ([], ["192.0.2.9"])


def test_a_time_to_live_beyond_any_is_a_number_of_31_bits():
    assert decode_untrusted(message(0, 1, body=record(ttl=0xFFFFFFFF))).hosts_untrusted()[0].ttl == 0x7FFFFFFF
