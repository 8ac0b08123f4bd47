"""The other process ends, whatever happens, and how it ended is told."""

import contextlib
import os
import signal
import sys

import pytest

from sansice_cli.demo import _other
from sansice_cli.demo._other import OtherProcess


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """Replaces the interpreter that the other process is started with by a shell script."""

    def replace(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return replace


def test_process_that_ends_with_its_input_is_not_worth_a_word(monkeypatch):
    monkeypatch.setattr(_other, "GRACE", 60.0)  # it may still be starting, on a busy machine
    with OtherProcess() as other:
        assert other.end() == ""


def test_process_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr(_other, "GRACE", 0.01)
    with OtherProcess() as other:
        os.kill(other.pid, signal.SIGSTOP)
        assert other.end() == "it had to be killed"
    with pytest.raises(ProcessLookupError):
        os.kill(other.pid, 0)


def test_signal_that_ended_it_is_named(interpreter):
    interpreter("kill -SEGV $$")
    with OtherProcess() as other:
        assert other.end() == "it was ended by SIGSEGV"


def test_last_words_of_a_process_that_failed_are_told(interpreter):
    interpreter("echo Traceback >&2; echo 'ValueError: it rained' >&2; exit 3")
    with OtherProcess() as other:
        assert other.end() == "exit code 3: ValueError: it rained"


def test_process_that_failed_in_silence_is_told_too(interpreter):
    interpreter("exit 3")
    with OtherProcess() as other:
        assert other.end() == "exit code 3: it said nothing"


def test_interpreter_that_cannot_be_started_leaves_nothing_open(monkeypatch, nothing_left_open):
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    with nothing_left_open():
        with pytest.raises(FileNotFoundError):
            OtherProcess()


def test_block_that_fails_ends_the_process(nothing_left_open):
    with nothing_left_open():
        with pytest.raises(ZeroDivisionError):
            with OtherProcess() as other:
                raise ZeroDivisionError
    with pytest.raises(ProcessLookupError):
        os.kill(other.pid, 0)


@pytest.fixture
def nothing_left_open():
    """A context manager: as many descriptors are open after it as before."""

    @contextlib.contextmanager
    def check():
        before = os.listdir("/proc/self/fd")
        yield
        assert os.listdir("/proc/self/fd") == before

    return check
