"""The marker and the command, tried on a small planted suite in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("requirements_command", FOLDER / "__main__.py")

SUITE = """
import unittest
import pytest

@pytest.mark.req("RFC8445-001", "RFC8445-002")
def test_passes(): assert sum((1, 1)) == 2

@pytest.mark.req("RFC8445-002", "RFC8445-003")
def test_fails(): assert False

@pytest.fixture
def broken():
    yield
    raise RuntimeError

@pytest.mark.req("RFC8445-004")
def test_fails_in_teardown(broken): assert broken is None

@pytest.mark.req("RFC8445-005")
def test_never_runs(no_such_fixture): assert no_such_fixture

@pytest.mark.req("RFC8445-006")
def test_is_skipped(): raise unittest.SkipTest

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.req("RFC8445-007")), 2])
def test_with_parameters(x): assert x == 1
"""


@pytest.fixture
def planted(tmp_path):
    """A folder with a suite of its own that uses the marker; returns a function that runs it."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "conftest.py").write_text('pytest_plugins = ["requirements._marker"]\n')
    (tmp_path / "pytest.ini").write_text(
        f"[pytest]\naddopts = --strict-markers --import-mode=importlib\ntestpaths = t\npythonpath = {FOLDER.parent}\n"
    )

    def run(source, *arguments):
        (tmp_path / "t" / "test_planted.py").write_text(source)
        record = tmp_path / "record.json"
        command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", f"--req-record={record}", *arguments]
        env = {name: value for name, value in os.environ.items() if name != "CI"}  # where it is set, pytest prints more
        result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        return result, json.loads(record.read_text())

    return run


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_only_ids_of_tests_that_passed_are_recorded(planted, arguments):
    _, record = planted(SUITE, *arguments)
    assert record["ids"] == ["RFC8445-001", "RFC8445-002", "RFC8445-007"]
    assert {node.partition("::")[2] for node in record["failed"]} == {
        "test_fails",
        "test_fails_in_teardown",
        "test_never_runs",
        "test_with_parameters[2]",
        "test_is_skipped",
    }
    assert (record["exit"], record["whole"], record["tests"]) == (1, True, 2)


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_marker_without_a_known_id_is_a_collection_error(planted, arguments):
    markers = ['req("RFC8445-999")', "req()", "req", 'req(id="RFC8445-001")', "req(['RFC8445-001'])", 'req("RFC8445-001")']
    tests = [f"@pytest.mark.{marker}\ndef test_{number}(): assert str({number})\n" for number, marker in enumerate(markers)]
    result, record = planted("import pytest\n" + "".join(tests), *arguments)
    assert result.returncode != 0
    complaints = [line for line in result.stdout.splitlines() if line.startswith("t/test_planted.py::")]
    assert complaints == [
        "t/test_planted.py::test_0: @pytest.mark.req: no such requirement: RFC8445-999",
        "t/test_planted.py::test_1: @pytest.mark.req takes ids as plain strings",
        "t/test_planted.py::test_2: @pytest.mark.req takes ids as plain strings",
        "t/test_planted.py::test_3: @pytest.mark.req takes ids as plain strings",
        "t/test_planted.py::test_4: @pytest.mark.req: no such requirement: ['RFC8445-001']",
    ]
    assert record["ids"] == []
    assert "t/test_planted.py" in record["failed"]


def test_marker_on_an_empty_test_is_a_collection_error(planted):
    bodies = ["pass", "...", "'it says what it would do'", "'both'; pass", "return", "return None"]
    heads = [f"{kind} test_{number}_{kind[0]}(): {body}\n" for number, body in enumerate(bodies) for kind in ("def", "async def")]
    result, record = planted("import pytest\n" + "".join(f"@pytest.mark.req('RFC8445-001')\n{head}" for head in heads))
    assert result.stdout.count("@pytest.mark.req: the test is empty, so that it cannot fail") == len(heads)
    assert (record["ids"], record["failed"]) == ([], ["t/test_planted.py"])


def test_row_that_only_skipped_tests_carry_is_not_recorded(planted):
    marks = ["skip('later')", "skipif(True, reason='later')", "xfail(reason='later')"]
    tests = [
        f"@pytest.mark.req('RFC8445-001')\n@pytest.mark.{mark}\ndef test_{number}(): assert not str(1)\n"
        for number, mark in enumerate(marks)
    ]
    _, record = planted("import pytest\n" + "".join(tests))
    assert (record["ids"], record["tests"]) == ([], 0)


@pytest.mark.parametrize(
    "narrowed", [("-k", "a"), ("-m", "req"), ("t/test_planted.py",), ("t/test_planted.py::test_a",), ("-x",)]
)
def test_record_of_a_part_of_the_suite_says_so(planted, narrowed):
    _, record = planted('import pytest\n@pytest.mark.req("RFC8445-001")\ndef test_a(): assert str(1)\n', *narrowed)
    assert (record["ids"], record["whole"]) == (["RFC8445-001"], False)


def test_naming_the_whole_suite_counts_as_the_whole(planted):
    _, record = planted("def test_a(): assert str(1)\n", "t")
    assert record["whole"]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command's module, with a document and a record under `tmp_path`; returns a function that runs it."""
    module = importlib.util.module_from_spec(SPEC)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", ["", *sys.path])
        SPEC.loader.exec_module(module)
    document, record = tmp_path / "conformance.md", tmp_path / "record.json"
    monkeypatch.setattr(module, "_DOCUMENT", document)
    document.write_text("before")

    def run(*arguments, **changes):
        record.write_text(json.dumps({"ids": ["RFC8445-002"], "tests": 1, "failed": [], "exit": 0, "whole": True} | changes))
        return module.main(["--json", "--record", str(record), *arguments]), document.read_text()

    run.stale = module._STALE
    return run


def test_last_line_is_the_figures_and_the_document_is_written(command, capsys):
    status, document = command()
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    figures = json.loads(line)
    assert (status, figures["covered"], figures["by_spec"]["rfc8445"]["covered"]) == (0, 1, 1)
    assert set(figures) == {"rows", "covered", "excluded", "by_spec"}
    assert document.startswith("# Conformance")
    assert "rfc8445" in err


def test_document_is_left_alone_on_request(command):
    assert command("--no-write") == (0, "before")


@pytest.mark.parametrize(
    "changes",
    [{"whole": False}, {"exit": 2}, {"failed": ["tests/test_a.py::test_b"], "exit": 1}],
    ids=["a part", "interrupted", "a failure"],
)
def test_run_that_does_not_stand_for_the_suite_fails_and_writes_nothing(command, changes):
    assert command(**changes) == (1, "before")


def test_missing_record_is_named(command, capsys, tmp_path):
    assert command("--record", str(tmp_path / "nowhere.json")) == (1, "before")
    assert "nowhere.json" in capsys.readouterr().err


def test_run_in_which_only_the_document_was_stale_writes_it(command):
    status, document = command(failed=[command.stale], exit=1)
    assert (status, document != "before") == (0, True)


def test_name_of_the_test_for_staleness_is_right(command):
    path, _, name = command.stale.partition("::")
    assert f"def {name}(" in (FOLDER.parents[1] / path).read_text()
