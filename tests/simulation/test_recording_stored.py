"""`read_recording`: a file is opened up to its last whole step, or the error names the place."""

import json

import pytest
from hypothesis import given, strategies as st

from sansice.simulation import RecordingError, RecordingFile, StoredRecording
from sansice.simulation._recording._format import FrameWriter
from sansice.simulation._recording._stored import read_recording_untrusted
from sansice.stun import BindingLookup

HEADER = b"H" + json.dumps({"sansice": "0.1.0", "python": "3.11.7", "made": None}).encode()
STEP = b"N\x10"
END = b'E{"why": "closed"}'


def file_of(*bodies):
    writer = FrameWriter()
    return b"".join([writer.start(), *map(writer.frame, bodies)])


class Memory:
    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data
        return len(data)

    def close(self):
        pass


@pytest.fixture(scope="module")
def recorded():
    memory = Memory()
    file = RecordingFile(memory, entropy=bytes)
    lookup = file.make(BindingLookup, "stun:192.0.2.1")
    lookup.start(now=0.0)
    for number in range(5):
        lookup.handle_timer(now=number / 100)
    file.close()
    return memory.data


def test_a_process_killed_at_any_byte_leaves_all_steps_before_it(recorded):
    whole = read_recording_untrusted(recorded)
    assert (len(whole.steps), whole.ending) == (7, "closed")
    seen = set()
    for size in range(16, len(recorded)):
        try:
            cut = read_recording_untrusted(recorded[:size])
        except RecordingError as error:
            assert "cut before its first step" in str(error)  # noqa: PT017 - within the header there is nothing yet
            assert not seen
            continue
        count = len(cut.steps)
        seen.add(count)
        assert cut.is_cut
        assert cut.ending == (f"cut after step {count - 1}" if count else "cut before the first step")
        assert list(cut.steps) == list(whole.steps)[:count]
    assert seen == set(range(8))


def test_an_edited_byte_is_an_error_that_names_the_step(recorded):
    for at in range(16, len(recorded)):
        edited = bytearray(recorded)
        edited[at] ^= 0x20
        with pytest.raises(RecordingError, match=r"the recording is damaged: .* \(at byte \d+, after \d whole steps?\)"):
            read_recording_untrusted(bytes(edited))


def test_steps_are_a_sequence(recorded):
    steps = read_recording_untrusted(recorded).steps
    assert steps[-1] == steps[6]
    assert steps[1].method == "start"
    assert [step.method for step in steps[:2]] == ["", "start"]
    with pytest.raises(IndexError):
        steps[7]


def test_what_is_shown_of_a_recording_has_no_step_in_it(recorded):
    assert "start" not in repr(read_recording_untrusted(recorded))


@pytest.mark.parametrize(
    ("bodies", "message"),
    [
        ((STEP,), "a frame is out of its place"),
        ((HEADER, HEADER), "a frame is out of its place"),
        ((HEADER, STEP, END, STEP), "a frame is out of its place"),
        ((HEADER, STEP, END, END), "a frame is out of its place"),
        ((HEADER, b"?"), "a frame is out of its place"),
        ((), "the recording is cut before its first step"),
        ((b"H{",), "the recording is damaged: "),
        ((b"H" + b"[" * 100_000,), "the recording is damaged: "),
        ((b"H\xff",), "the recording is damaged: "),
        ((b"H[]",), "its header is another one"),
        ((b"H{}",), "its header is another one"),
        ((b'H{"made": 5}',), "its header is another one"),
        ((b'H{"made": {"class": "a:B", "arguments": 5, "keywords": {}}}',), "its header is another one"),
        ((b'H{"made": {"class": "a:B", "arguments": [], "keywords": []}}',), "its header is another one"),
        ((b'H{"sansice": "0", "python": "3", "made": 0}',), "its header is another one"),
        ((b'H{"sansice": "0", "python": "3", "made": {"class": 5, "arguments": [], "keywords": {}}}',), "its header is another"),
        ((HEADER, b"E5"), "its header is another one"),
    ],
)
def test_frames_that_sansice_never_writes_are_refused(bodies, message):
    with pytest.raises(RecordingError, match=message):
        read_recording_untrusted(file_of(*bodies))


def test_a_step_that_makes_no_sense_is_an_error_when_it_is_asked_for():
    stored = read_recording_untrusted(file_of(HEADER, STEP, STEP, b"NX", END))
    assert stored.steps[0].method == ""
    for index in (2, -1):
        with pytest.raises(RecordingError, match="the recording is damaged: ") as found:
            stored.steps[index]
        assert found.value.step == 2


def test_a_call_of_another_shape_is_an_error_when_it_is_asked_for():
    call = b'{"method":5,"arguments":[],"keywords":{}}'
    stored = read_recording_untrusted(file_of(HEADER, STEP, b"C" + len(call).to_bytes(4, "big") + call + b"\x10"))
    with pytest.raises(RecordingError, match="the recording is damaged: method: not a text"):
        stored.steps[1]


@given(st.lists(st.sampled_from([HEADER, STEP, END, b"H{}", b"?"]) | st.binary(min_size=1, max_size=30), max_size=4))
def test_no_bytes_do_anything_else(bodies):
    try:
        stored = read_recording_untrusted(file_of(*bodies))
        assert isinstance(stored, StoredRecording)
        list(stored.steps)
    except RecordingError:
        pass
