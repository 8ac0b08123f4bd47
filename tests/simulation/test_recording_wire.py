"""Steps as bytes: the packed forms are one with the JSON forms, for whoever reads."""

import enum
import math

import pytest
from hypothesis import given, strategies as st

from sansice.ice import DataReceived
from sansice.machine import Address, CloseSocket, OpenSocket, SendDatagram, SendDatagrams, SendStream, SocketId, Transport
from sansice.simulation import Recording, Step
from sansice.simulation._recording._wire import read_step_untrusted, write_call, write_step

HERE = Address("192.0.2.1", 1)
NOW = st.floats(allow_nan=False)
DATA = st.binary(max_size=40)
ADDRESSES = st.builds(Address, st.sampled_from(["192.0.2.1", "2001:db8::1", "fe80::1%eth0"]), st.integers(0, 65535))
PEERS = ADDRESSES | ADDRESSES.map(tuple)
IDS = st.integers(-(2**63), 2**63 - 1)

CALLS = st.one_of(
    st.tuples(st.just("handle_datagrams"), st.tuples(IDS, st.lists(st.tuples(PEERS, DATA))), st.fixed_dictionaries({"now": NOW})),
    st.tuples(st.just("handle_timer"), st.just(()), st.fixed_dictionaries({"now": NOW})),
    st.tuples(st.just("handle_stream_data"), st.tuples(IDS, DATA), st.fixed_dictionaries({"now": NOW})),
    st.tuples(
        st.just("send"),
        st.tuples(DATA),
        st.fixed_dictionaries({"stream": st.integers(0, 256), "component": st.integers(1, 256), "now": NOW}),
    ),
    st.tuples(st.just("greet"), st.tuples(PEERS, st.text()), st.fixed_dictionaries({"now": NOW})),
    st.just(("", (), {})),
)
OUTPUTS = st.one_of(
    st.builds(SendDatagram, IDS, PEERS, DATA),
    st.builds(SendDatagrams, IDS, st.lists(st.tuples(PEERS, DATA)).map(tuple)),
    st.builds(SendStream, IDS, DATA),
    st.builds(DataReceived, st.integers(0, 256), st.integers(1, 256), DATA),
    st.builds(OpenSocket, IDS, st.sampled_from(Transport), ADDRESSES),
    st.builds(CloseSocket, IDS),
)


def written(call, drawn=(), answers=(), result=None, raised="", outputs=(), deadline=math.inf):
    return write_step(write_call(*call), drawn, list(answers), result, raised, outputs, deadline)


def in_memory(call, drawn, answers, result, raised, outputs, deadline):
    """The step that a recording in memory has of the same."""
    recording = Recording()
    for one in drawn:
        recording.note(one)
    for name, answer in answers:
        recording.answer(name, answer)
    recording.end(recording.begin(*call), result, raised, outputs, deadline)
    return recording.steps[0]


@given(
    CALLS,
    st.lists(DATA, max_size=3),
    st.lists(st.tuples(st.text(), st.booleans()).map(list), max_size=2),
    st.none() | st.integers() | st.text(),
    st.text(max_size=5),
    st.lists(OUTPUTS, max_size=4),
    st.floats(allow_nan=False),
)
def test_what_is_read_is_what_a_recording_in_memory_holds(call, drawn, answers, result, raised, outputs, deadline):
    body = written(call, drawn, answers, result, raised, outputs, deadline)
    assert read_step_untrusted(body) == in_memory(call, drawn, answers, result, raised, outputs, deadline)


def test_data_that_is_handed_on_untouched_is_written_once():
    batch = [(HERE, bytes([number]) * 1000) for number in range(3)]
    call = "handle_datagrams", (1, batch), {"now": 1.0}
    handed_on = [DataReceived(0, 1, batch[0][1]), SendDatagram(SocketId(1), HERE, batch[2][1])]
    step = read_step_untrusted(written(call, outputs=handed_on))
    assert [one["items"][-1]["bytes"][:2] for one in step.outputs] == ["00", "02"]
    assert len(written(call, outputs=handed_on)) < 3200
    batched = SendDatagrams(SocketId(1), ((HERE, batch[0][1]), (HERE, batch[1][1])))
    assert len(written(call, outputs=[batched, handed_on[1]])) < 3200
    backwards = read_step_untrusted(written(call, outputs=handed_on[::-1]))
    assert [one["items"][-1]["bytes"][:2] for one in backwards.outputs] == ["02", "00"]


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "call",
    [
        ("handle_datagrams", (2**63, [(HERE, b"x")]), {"now": 1.0}),
        ("handle_datagrams", (1, [(("x" * 128, 1), b"x")]), {"now": 1.0}),
        ("handle_datagrams", (1, [(HERE, "text")]), {"now": 1.0}),
        ("handle_datagrams", (1, [(("fe80::1", 1, 0, 2), b"x")]), {"now": 1.0}),
        ("handle_datagrams", (1, [(("192.0.2.1", 65536), b"x")]), {"now": 1.0}),
        ("handle_datagrams", (1, []), {"now": 1}),
        ("handle_timer", (), {"now": Number.ONE}),
        ("send", ("text",), {"stream": 0, "component": 1, "now": 1.0}),
        ("send", (b"x",), {"now": 1.0}),
        ("send", (b"x",), {"stream": 65536, "component": 1, "now": 1.0}),
    ],
)
def test_what_does_not_fit_the_packed_forms_is_written_all_the_same(call):
    begun = write_call(*call)
    assert not begun.is_frequent
    assert read_step_untrusted(written(call)) == in_memory(call, (), (), None, "", (), math.inf)
    assert begun.now == (1.0 if call[2]["now"] == 1.0 and type(call[2]["now"]) is float else -math.inf)


@pytest.mark.parametrize(
    "output",
    [
        SendDatagram(SocketId(2**63), HERE, b"x"),
        SendDatagram(SocketId(1), None, b"x"),
        DataReceived(-1, 1, b"x"),
        DataReceived(0, 1, "text"),
        SendDatagrams(SocketId(1), ((HERE, b"x"), (HERE, "text"))),
        SendStream("one", b"x"),
    ],
)
def test_an_output_that_does_not_fit_is_written_all_the_same(output):
    call = "handle_timer", (), {"now": 1.0}
    good = SendDatagram(SocketId(1), HERE, b"good")
    outputs = [good, output, good]
    assert read_step_untrusted(written(call, outputs=outputs)) == in_memory(call, (), (), None, "", outputs, math.inf)


def test_an_argument_that_is_no_value_is_refused():
    with pytest.raises(TypeError, match="not a value that can be recorded"):
        write_call("greet", (object(),), {})


BODY = written(
    ("handle_datagrams", (1, [(HERE, b"hello")]), {"now": 1.0}),
    [b"drawn"],
    [["allows", True]],
    5,
    "ValueError: no",
    [SendDatagram(SocketId(1), HERE, b"hi"), OpenSocket(SocketId(1), Transport.UDP, HERE), SendStream(SocketId(1), b"s")],
    2.0,
)


def test_a_step_that_is_shorter_than_it_says_is_refused():
    for size in range(len(BODY)):
        try:
            step = read_step_untrusted(BODY[:size])
        except ValueError:
            continue
        assert len(step.outputs) < 3  # it was cut between two outputs


def test_data_that_repeats_an_input_which_is_not_there_is_refused():
    data = b"hello"
    call = "send", (data,), {"stream": 0, "component": 1, "now": 1.0}
    body = bytearray(written(call, outputs=[DataReceived(0, 1, data)]))
    assert read_step_untrusted(bytes(body)).outputs[0]["items"][2] == {"bytes": data.hex()}
    body[-1] = 1
    with pytest.raises(ValueError, match="there is no input 1"):
        read_step_untrusted(bytes(body))


def test_a_value_that_is_nested_without_end_is_refused():
    text = b"[" * 100_000
    with pytest.raises(ValueError, match="nested too deeply"):
        read_step_untrusted(b"C" + len(text).to_bytes(4, "big") + text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "a step of another shape"),
        (b"X", "a step of another shape"),
        (b"N", "a step of another shape"),
        (b"C\0\0\0\2{}", "a step of another shape: 'method'"),
        (b"C\0\0\0\1{", "Expecting property name"),
        (b"N\x10q", "no output begins with 113"),
    ],
)
def test_bytes_that_were_never_a_step_are_refused(body, message):
    with pytest.raises(ValueError, match=message):
        read_step_untrusted(body)


@given(st.binary(max_size=60), st.integers(0, len(BODY)))
def test_no_bytes_do_anything_else(data, place):
    try:
        assert isinstance(read_step_untrusted(BODY[:place] + data), Step)
    except ValueError:
        pass
