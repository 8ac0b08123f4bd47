"""Frames: what a killed process leaves is whole up to its last frame, and what was changed is found where it was changed."""

import itertools

import pytest
from hypothesis import given, strategies as st

from sansice.simulation import RecordingError
from sansice.simulation._recording._format import MAGIC, VERSION, Cut, Frame, FrameWriter, read_frames_untrusted

BODIES = [b"Hheader", b"a", b"second" * 50, b"\0\0\0"]


def file_of(bodies):
    writer = FrameWriter()
    return b"".join([writer.start(), *map(writer.frame, bodies)])


def bodies_in(data):
    return [data[one.start : one.end] if isinstance(one, Frame) else one for one in read_frames_untrusted(data)]


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_what_was_written_is_read(bodies):
    assert bodies_in(file_of(bodies)) == bodies


@pytest.mark.parametrize("size", [65_520, 65_521, 65_535, 65_536, 70_000])
def test_a_frame_may_be_longer_than_its_check_can_say(size):
    assert bodies_in(file_of([bytes([7]) * size, b"next"])) == [bytes([7]) * size, b"next"]


def test_a_file_that_is_cut_at_any_byte_has_all_whole_frames_before_it():
    data = file_of(BODIES)
    ends = [len(file_of(BODIES[:count])) for count in range(len(BODIES) + 1)]
    for size in range(ends[0], len(data)):
        whole = max(count for count, end in enumerate(ends) if end <= size)
        rest = [] if size in ends else [Cut(ends[whole])]
        assert bodies_in(data[:size]) == [*BODIES[:whole], *rest]


@pytest.mark.parametrize("count", [1, 9, 10, 100, 5000])
def test_zeros_that_a_dead_computer_left_at_the_end_are_a_cut(count):
    data = file_of(BODIES)
    assert bodies_in(data + bytes(count)) == [*BODIES, Cut(len(data))]


@pytest.mark.parametrize("rest", [bytes(64) + b"x", bytes(5000) + b"x", bytes(4) + b"\0\0" + bytes(4) + b"x", bytes(9) + b"\1"])
def test_zeros_before_something_else_are_no_cut(rest):
    data = file_of(BODIES)
    with pytest.raises(RecordingError, match="a frame has no length") as found:
        bodies_in(data + rest)
    assert (found.value.offset, found.value.step) == (len(data), 3)


def test_a_byte_that_was_changed_is_found_in_its_frame():
    data = file_of(BODIES)
    starts = [len(file_of(BODIES[:count])) for count in range(len(BODIES))]
    for at in range(starts[0], len(data)):
        for bits in (1, 0x80, 0xFF):
            changed = bytearray(data)
            changed[at] ^= bits
            with pytest.raises(RecordingError, match="the recording is damaged") as found:
                bodies_in(bytes(changed))
            frame = max(number for number, start in enumerate(starts) if start <= at)
            assert (found.value.offset, found.value.step) == (starts[frame], max(frame - 1, 0))


@pytest.mark.parametrize("order", [[0, 2, 1, 3], [0, 1, 1, 2, 3], [0, 2, 3], [1, 2, 3]])
def test_frames_that_were_moved_repeated_or_taken_out_are_noticed(order):
    data = file_of(BODIES)
    ends = [len(file_of(BODIES[:count])) for count in range(len(BODIES) + 1)]
    pieces = [data[start:end] for start, end in itertools.pairwise(ends)]
    with pytest.raises(RecordingError, match="a checksum is wrong"):
        bodies_in(data[: ends[0]] + b"".join(pieces[number] for number in order))


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"", "the file is empty: nothing was recorded", 0),
        (b"GIF89a", "not a recording of sansice", 0),
        (MAGIC.replace(b"\r\n", b"\n") + bytes(8), "not a recording of sansice", 0),
        (MAGIC[:5], "the recording is cut before its first step", 5),
        (MAGIC + b"\0", "the recording is cut before its first step", 13),
        (MAGIC + bytes((0, VERSION + 1, 0, 0)), "version 2 is newer than version 1, .*: install a newer sansice", 12),
        (MAGIC + bytes(4), "there is no such version", 12),
        (MAGIC + bytes((0, VERSION, 0, 1)), "there is no such version", 12),
    ],
)
def test_what_is_no_recording_of_this_version_is_named(data, message, offset):
    with pytest.raises(RecordingError, match=message) as found:
        bodies_in(data)
    assert found.value.offset == offset
    assert str(found.value).endswith(f"(at byte {offset}, after 0 whole steps)")


def test_an_error_counts_one_step_in_the_singular():
    assert str(RecordingError("broken", 7, 1)) == "broken (at byte 7, after 1 whole step)"


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_else(data):
    for start in (b"", file_of([]), file_of([b"H{}"])):
        try:
            list(read_frames_untrusted(start + data))
        except RecordingError:
            pass
