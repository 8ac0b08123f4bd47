"""The page for those who come from coturn: it misses no option of theirs, and names none of ours that there is not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click

from interop._loopback import LIMIT, find_tool
from sansice_cli._main import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "coturn.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<theirs>`(?!turnserver\.conf`)[^|]+) \| (?P<ours>[^|]+) \| (?P<remark>[^|]*)\|$", re.MULTILINE)
NOT_IN_EVERY_BUILD = {"prometheus", "prometheus-port", "prometheus-username-labels"}  # not in Debian's
NO_LINE_OF_A_FILE = {"version"}  # asked for, and not set; -h, -n and -c have no long name


def options_of_turnserver():
    """The long names that its help lists, as a line of a file has them."""
    done = subprocess.run([find_tool("turnserver"), "-h"], capture_output=True, text=True, timeout=LIMIT, check=False)
    # -X, --long=<value>, or -h alone; the help also runs a name and its argument together: --alt-listening-port<port>.
    heads = [line.partition("\t")[0].partition("<")[0] for line in done.stdout.splitlines() if re.match(r" {1,5}-", line)]
    names = [name for head in heads for name in re.findall(r"--([A-Za-z][\w-]+)", head)]
    assert len(names) > 90, done.stdout
    return set(names) - NO_LINE_OF_A_FILE


def words(column):
    return [word for row in ROW.finditer(PAGE) for word in re.findall(r"`([^`]+)`", row[column])]


def test_every_option_of_turnserver_is_on_the_page_once():
    theirs = words("theirs")
    assert sorted(set(theirs)) == sorted(theirs)
    assert set(theirs) == options_of_turnserver() | NOT_IN_EVERY_BUILD


def test_every_option_of_ours_on_the_page_exists():
    serve = cli.get_command(click.Context(cli), "serve")
    assert serve is not None
    known = {name for parameter in serve.params for name in parameter.opts}
    ours = words("ours")
    assert ours
    assert set(ours) <= known
    assert set(re.findall(r"`(--[a-z0-9-]+)", PAGE)) <= known


def test_a_line_without_an_option_of_ours_says_why():
    bare = [row for row in ROW.finditer(PAGE) if row["ours"].strip() == "—"]
    assert bare
    assert [row["theirs"] for row in bare if len(row["remark"].split()) < 2] == []
