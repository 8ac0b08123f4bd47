"""The command as a person or a program runs it: a process of its own, real sockets, real signals."""

import contextlib
import importlib.metadata
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys

import pytest

SANSICE = [sys.executable, "-W", "error", "-m", "sansice_cli"]
ENV = {**os.environ, "PYTHONWARNINGS": "error", "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
HANG = 60  # seconds; a run takes less than one
LONG = "1000000"  # datagrams: far more than are sent before a test interferes

# A network with nothing but a loopback interface, and one with nothing at all; root may make them.
LOOPBACK = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
NOTHING = ["unshare", "-n"]


def can_unshare():
    with contextlib.suppress(OSError):
        return subprocess.run([*LOOPBACK, "true"], capture_output=True, check=False).returncode == 0
    return False


IS_ROOT = can_unshare()


def sansice(*arguments, prefix=()):
    return subprocess.run([*prefix, *SANSICE, *arguments], capture_output=True, text=True, env=ENV, timeout=HANG, check=False)


@contextlib.contextmanager
def running(*arguments, **options):
    """A demonstration that goes on and on, connected; the process and the pid of its other end."""
    command = [*SANSICE, "demo", "--count", LONG, *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen(command, text=True, env=ENV, **options) as process:
        try:
            lines = process.stderr if "--json" in arguments else process.stdout
            other = int(re.search(r"B is the other process \(pid (\d+)", lines.readline())[1])
            selected = 0
            while selected < 2:
                selected += lines.readline().endswith(" selected\n")
            yield process, other
        finally:
            process.kill()


def wait_until_gone(pidfd):
    """Whether the process ends in time. A pidfd is readable once it has."""
    return bool(select.select([pidfd], [], [], HANG)[0])


@contextlib.contextmanager
def watched(pid):
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("prefix", [[], LOOPBACK] if IS_ROOT else [[]], ids=lambda prefix: "loopback" if prefix else "here")
def test_json_is_the_last_line_of_stdout_and_everything_came_back(prefix):
    done = sansice("demo", "--json", prefix=prefix)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.stdout.count("\n") == 1
    assert set(result) == {"connected", "sent", "echoed", "setup_ms", "first_byte_ms", "round_trip_ms", "pair"}
    assert (result["connected"], result["sent"], result["echoed"]) == (True, 1000, 1000)
    assert 0 < result["first_byte_ms"] <= result["setup_ms"]
    assert 0 < result["round_trip_ms"]["p50"] <= result["round_trip_ms"]["p99"]
    assert [*result["pair"]] == ["local", "remote"]
    assert all([*side] == ["type", "address"] for side in result["pair"].values())
    if prefix:
        assert result["pair"]["local"]["address"].startswith(("127.0.0.1:", "[::1]:"))
    assert "1000 of 1000 datagrams" in done.stderr
    assert "Traceback" not in done.stderr


def test_lines_without_control_codes_where_no_terminal_is():
    done = sansice("demo", "--count", "10")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace("\n", "").isprintable()
    for words in ("A  candidate A1: host", "B1 -> A1 selected", "A1 -> B1 selected", " won (", "10 of 10 datagrams of 200 bytes"):
        assert words in done.stdout


@pytest.mark.parametrize("size", [16, 65507])
def test_smallest_and_largest_datagrams_come_back(size):
    done = sansice("demo", "--count", "3", "--size", str(size))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"3 of 3 datagrams of {size} bytes" in done.stdout


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--size", "15"], ["--size", "65508"], ["--nonsense"], ["extra"]])
def test_wrong_usage_is_2(arguments):
    done = sansice("demo", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: sansice demo")


def test_unknown_command_is_2():
    assert sansice("dance").returncode == 2


def test_version_is_that_of_the_distribution():
    done = sansice("--version")
    assert (done.returncode, done.stdout) == (0, f"sansice, version {importlib.metadata.version('sansice')}\n")


def test_help_names_every_command_and_none_of_the_exit_codes_is_a_secret():
    names = re.findall(r"^  (\w+) +\S", sansice("--help").stdout.partition("Commands:")[2], re.MULTILINE)
    assert names == ["credentials", "decode", "demo", "gather", "nat", "replay", "serve", "simulate", "stun", "turn"]
    for name in names:
        words = " ".join(sansice(name, "--help").stdout.split())
        assert re.search(r"Exit codes: 0 .+; 1 .+; 2 usage; 130 interrupted\.", words)


def test_command_is_imported_only_when_it_is_asked_for():
    program = (
        "import sys; sys.argv = ['sansice', 'demo', '--help']; from sansice_cli import main\n"
        "try: main()\nfinally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENV, check=False)
    modules = done.stdout.split()
    assert "sansice_cli.demo._command" in modules
    assert not {"trio", "rich", "prometheus_client", "sansice_cli.serve._command"} & {*modules}


def test_help_says_what_the_demonstration_measures():
    words = " ".join(sansice("demo", "--help").stdout.split())
    assert "setup_ms until both have selected a pair" in words
    assert "first_byte_ms until the first datagram was delivered" in words


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_run_ends_both_processes_without_a_traceback(number, code):
    with running() as (process, other), watched(other) as pidfd:
        process.send_signal(number)
        output, errors = process.communicate(timeout=HANG)
        assert process.returncode == code
        assert wait_until_gone(pidfd)
    assert "Traceback" not in output + errors
    assert errors in ("Interrupted.\n", "Ended by SIGTERM.\n")


def test_other_process_killed_in_the_middle_is_the_reason():
    with running("--json") as (process, other):
        os.kill(other, signal.SIGKILL)
        output, errors = process.communicate(timeout=HANG)
        assert process.returncode == 1
    result = json.loads(output)
    assert result["error"] == "The other process ended before the work was done: it was ended by SIGKILL."
    assert result["connected"] is True
    assert 0 < result["echoed"] < int(LONG)
    assert result["error"] in errors


def test_other_process_ends_with_this_one_however_that_ends():
    with running() as (process, other), watched(other) as pidfd:
        process.kill()
        assert wait_until_gone(pidfd)


def test_reader_that_leaves_ends_the_run_quietly():
    with subprocess.Popen([*SANSICE, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(HANG) == 1


# Makes the terminal the one that Ctrl-C comes from.
ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A pseudo-terminal with the command in it."""

    def __init__(self, *arguments):
        self.file, other_side = pty.openpty()
        files = dict.fromkeys(("stdin", "stdout", "stderr"), other_side)
        command = [sys.executable, "-c", ON_TERMINAL, *SANSICE, *arguments]
        self.process = subprocess.Popen(command, env=ENV, start_new_session=True, **files)
        os.close(other_side)
        self.seen = ""

    def read_until(self, words):
        while words not in self.seen:
            if not self._read():
                raise AssertionError(f"{words!r} never came: {self.seen!r}")

    def _read(self):
        try:
            data = os.read(self.file, 65536)
        except OSError:  # how Linux says that nobody holds the other side any more
            return False
        self.seen += data.decode(errors="replace").replace("\N{NO-BREAK SPACE}", " ")
        return bool(data)

    def finish(self):
        """The exit code, after everything was read."""
        while self._read():
            pass
        os.close(self.file)
        return self.process.wait(HANG)


def test_person_at_a_terminal_sees_pairs_change_and_then_the_result():
    terminal = Terminal("demo")
    assert terminal.finish() == 0
    assert "\x1b[?25l" in terminal.seen
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")
    for words in ("this process", "the other process", "selected", "1000 of 1000", " won (", "round trip p50"):
        assert words in terminal.seen


def test_ctrl_c_at_a_terminal_gives_the_cursor_back():
    terminal = Terminal("demo", "--count", LONG)
    terminal.read_until("selected")
    os.write(terminal.file, b"\x03")
    assert terminal.finish() == 130
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")
    assert "Interrupted." in terminal.seen
    assert "Traceback" not in terminal.seen


def test_missing_extra_is_named_with_the_way_to_install_it():
    program = "import sys; sys.modules['click'] = None; from sansice_cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENV, check=False)
    assert done.returncode == 1
    assert done.stderr == "sansice: the command needs click; install it with: pip install 'sansice[cli]'\n"


def test_missing_module_of_our_own_is_no_missing_extra():
    program = "import sys; sys.modules['sansice_cli._main'] = None; from sansice_cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENV, check=False)
    assert "ModuleNotFoundError" in done.stderr


if IS_ROOT:

    def test_machine_without_any_address_is_told_so():
        done = sansice("demo", "--json", prefix=NOTHING)
        assert done.returncode == 1
        assert json.loads(done.stdout)["error"] == "This machine has no usable network address, not even a loopback one."
        assert "no local candidate" in done.stderr


def test_the_other_end_may_be_lite():
    done = sansice("demo", "--lite", "--count", "10", "--json")
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert (said["connected"], said["echoed"]) == (True, 10)


def test_the_ends_may_connect_over_a_relay_of_the_demonstrations_own():
    done = sansice("demo", "--relay", "--count", "10", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["connected"], said["echoed"]) == (True, 10)
    assert said["pair"]["local"]["type"] == said["pair"]["remote"]["type"] == "relay"


@pytest.mark.parametrize("arguments", [("--relay", "--lite"), ("--server", "http://a.example"), ("--user", "alice")])
def test_settings_that_make_no_sense_are_usage_errors(arguments):
    done = sansice("demo", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
