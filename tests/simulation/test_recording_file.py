"""`RecordingFile`: what is on the disk when, where it ends, and that the machine never notices."""

import errno
import itertools
import math

import pytest

from sansice import LocalProtocolError
from sansice.ice import IceAgent
from sansice.machine import Address, Machine, SendDatagram, SocketId
from sansice.simulation import Recorded, RecordingFile, read_recording
from sansice.simulation._recording._stored import read_recording_untrusted

ONE, HERE = SocketId(1), Address("192.0.2.1", 1)


class Echo(Machine):
    """Sends back what it gets, with a drawn byte."""

    def __init__(self, entropy=None):
        super().__init__()
        self.entropy = entropy

    def handle_datagrams(self, socket, batch, *, now):
        self._outputs += [SendDatagram(socket, source, data + self.entropy(1)) for source, data in batch]

    def handle_stream_sent(self, socket, unsent, *, now):
        raise RuntimeError("a bug")

    def say(self, text, *, now):
        return text


class Disk:
    """A file in memory, that takes only some bytes at a time and is full at some size."""

    def __init__(self, size=math.inf, at_a_time=7):
        self.data = b""
        self.size = size
        self.at_a_time = at_a_time
        self.is_closed = False

    def write(self, data):
        taken = bytes(data[: self.at_a_time])
        if len(self.data) + len(taken) > self.size:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += taken
        return len(taken) or None

    def close(self):
        self.is_closed = True

    @property
    def steps(self):
        return len(read_recording_untrusted(self.data).steps) if self.data else None


def echo_on(disk, **options):
    file = RecordingFile(disk, entropy=lambda count: b"!" * count, **options)
    return file, file.make(Echo)


def test_a_file_is_read_back_with_who_recorded_what(tmp_path):
    file = RecordingFile(tmp_path / "call.sansice")
    agent = file.make(IceAgent, controlling=True)
    agent.gather(["192.0.2.1"], now=1.0)
    file.close()
    stored = read_recording(tmp_path / "call.sansice")
    assert [step.method for step in stored.steps] == ["", "gather"]
    assert stored.made.machine == "sansice.ice:IceAgent"
    assert stored.made.keywords == {"controlling": True}
    assert (stored.ending, stored.is_cut) == ("closed", False)
    assert stored.size == file.written == (tmp_path / "call.sansice").stat().st_size


def test_a_name_may_be_text(tmp_path):
    RecordingFile(str(tmp_path / "x")).close()
    assert read_recording(str(tmp_path / "x")).ending == "closed"


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        RecordingFile(tmp_path / "nowhere" / "x")


def test_rare_steps_are_on_the_disk_at_once_and_packets_soon():
    disk = Disk()
    file, echo = echo_on(disk, flush_bytes=700, flush_after=1.0)
    assert disk.steps == 1
    echo.handle_datagrams(ONE, [(HERE, b"x" * 100)], now=0.0)
    assert disk.steps == 2  # nothing was flushed before it
    echo.handle_datagrams(ONE, [(HERE, b"x" * 100)], now=0.5)
    echo.handle_timer(now=0.75)
    assert disk.steps == 2
    echo.handle_timer(now=1.0)
    assert disk.steps == 5  # a second after the last flush
    echo.say("hello", now=1.5)
    assert disk.steps == 6
    for _ in range(2):
        echo.handle_datagrams(ONE, [(HERE, b"x" * 100)], now=1.6)
    assert disk.steps == 6
    echo.handle_datagrams(ONE, [(HERE, b"x" * 100)], now=1.6)
    assert disk.steps == 9  # 700 bytes
    with pytest.raises(RuntimeError):
        echo.handle_stream_sent(ONE, 5, now=1.7)
    assert disk.steps == 10
    file.close()


def test_a_packet_at_which_the_machine_raises_is_on_the_disk_at_once():
    def broken(count):
        raise OSError("no entropy")

    disk = Disk()
    echo = RecordingFile(disk, entropy=broken, flush_after=1000.0).make(Echo)
    echo.handle_timer(now=0.0)
    echo.handle_timer(now=1.0)
    assert disk.steps == 2
    with pytest.raises(OSError, match="no entropy"):
        echo.handle_datagrams(ONE, [(HERE, b"x")], now=2.0)
    assert disk.steps == 4


def test_a_process_that_is_killed_leaves_what_it_wrote():
    disk = Disk()
    _, echo = echo_on(disk)
    echo.say("hello", now=1.0)
    stored = read_recording_untrusted(disk.data)
    assert (stored.ending, stored.is_cut) == ("cut after step 1", True)


def test_at_the_limit_the_recording_ends_with_a_mark_and_the_machine_goes_on():
    disk = Disk()
    file, echo = echo_on(disk, max_bytes=2000)
    for _ in range(100):
        echo.handle_datagrams(ONE, [(HERE, b"x" * 50)], now=1.0)
        assert echo.take_outputs() == [SendDatagram(ONE, HERE, b"x" * 50 + b"!")]
    assert file.stopped
    assert len(disk.data) <= 2000
    stored = read_recording_untrusted(disk.data)
    assert (stored.ending, stored.is_cut) == ("the limit of 2000 bytes is reached", False)
    assert 2 < len(stored.steps) < 50
    size = len(disk.data)
    file.close()
    assert (len(disk.data), disk.is_closed) == (size, True)


def test_the_limit_has_room_for_the_mark_wherever_it_falls():
    for length in range(1, 300, 23):
        disk = Disk(at_a_time=4096)
        file, echo = echo_on(disk, max_bytes=1000)
        while not file.stopped:
            echo.handle_datagrams(ONE, [(HERE, b"x" * length)], now=1.0)
        assert len(disk.data) == file.written <= 1000


def test_a_file_that_takes_nothing_for_a_while_gets_everything_in_the_end():
    disk = Disk()
    write, turns = disk.write, itertools.count()
    disk.write = lambda data: write(data) if next(turns) % 2 else None
    file, echo = echo_on(disk)
    echo.say("hello", now=1.0)
    file.close()
    assert [step.method for step in read_recording_untrusted(disk.data).steps] == ["", "say"]


def test_an_unrecorded_machine_raises_and_returns_as_before():
    _, echo = echo_on(Disk(), max_bytes=256)
    assert echo.say("hello", now=1.0) == "hello"
    with pytest.raises(RuntimeError, match="a bug"):
        echo.handle_stream_sent(ONE, 5, now=1.7)
    tap = echo._sink.tap
    assert tap(3) == b"!!!"
    assert tap.policy("allows", lambda: True)()
    assert echo._sink._take_drawn() == ([], [])  # a recording that has ended grows no more


def test_a_full_disk_ends_the_recording_and_not_the_program():
    disk = Disk(size=400)
    file, echo = echo_on(disk, flush_bytes=0)
    for _ in range(20):
        echo.handle_datagrams(ONE, [(HERE, b"x" * 50)], now=1.0)
        assert len(echo.take_outputs()) == 1
    assert file.stopped
    assert file.error.errno == errno.ENOSPC
    assert read_recording_untrusted(disk.data).is_cut
    file.close()
    assert disk.is_closed


def test_what_cannot_be_recorded_ends_the_recording_and_not_the_program():
    disk = Disk()
    _, echo = echo_on(disk)
    thing = object()
    assert echo.say(thing, now=1.0) is thing
    stored = read_recording_untrusted(disk.data)
    assert stored.ending == "say() cannot be recorded: builtins:object is not a value that can be recorded"
    assert not stored.is_cut


def test_an_answer_that_cannot_be_recorded_ends_the_recording_and_not_the_program():
    disk = Disk()
    file = RecordingFile(disk)
    allows = file.tap.policy("allows", object)
    assert type(allows()) is object
    assert read_recording_untrusted(disk.data).ending.startswith("what allows answers cannot be recorded: ")


def test_a_machine_that_is_made_for_a_recording_that_has_ended_is_not_recorded():
    disk = Disk()
    file = RecordingFile(disk)
    file.close()
    data = disk.data
    echo = Recorded(Echo(), file)
    assert echo.say("hello", now=1.0) == "hello"
    assert disk.data == data


def test_closing_twice_is_closing_once():
    disk = Disk()
    file, _ = echo_on(disk)
    file.close()
    data = disk.data
    file.close()
    assert disk.data == data


def test_a_machine_that_closes_its_own_recording_goes_on():
    disk = Disk()
    file = RecordingFile(disk)

    class Suicidal(Echo):
        def say(self, text, *, now):
            file.close()
            return text

    assert file.make(Suicidal).say("bye", now=1.0) == "bye"
    assert read_recording_untrusted(disk.data).ending == "closed"


def test_a_recording_holds_one_machine():
    file, _ = echo_on(Disk())
    with pytest.raises(LocalProtocolError, match="a recording holds one machine"):
        file.make(Echo)


def test_a_machine_that_was_constructed_elsewhere_is_recorded_without_how():
    disk = Disk()
    file = RecordingFile(disk, entropy=lambda count: b"!" * count)
    echo = Recorded(Echo(entropy=file.tap), file)
    echo.handle_datagrams(ONE, [(HERE, b"x")], now=1.0)
    file.close()
    stored = read_recording_untrusted(disk.data)
    assert stored.made is None
    assert [step.drawn for step in stored.steps] == [[], ["21"]]


def test_a_recording_of_nothing_says_so():
    disk = Disk()
    RecordingFile(disk).close()
    stored = read_recording_untrusted(disk.data)
    assert (len(stored.steps), stored.ending) == (0, "closed")


@pytest.mark.parametrize("options", [{"max_bytes": 255}, {"flush_bytes": -1}, {"flush_after": -1}, {"flush_after": math.nan}])
def test_a_limit_that_makes_no_sense_is_refused_before_anything_is_overwritten(tmp_path, options):
    (tmp_path / "x").write_bytes(b"precious")
    with pytest.raises(ValueError, match="max_bytes is at least 256"):
        RecordingFile(tmp_path / "x", **options)
    assert (tmp_path / "x").read_bytes() == b"precious"
