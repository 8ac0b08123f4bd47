"""Thirty requirements that implementations get wrong, each with a test of its own: the table `tricky.tsv` names them."""

import ast
import csv
from functools import cache

import pytest

from requirements._rows import FOLDER, load_rows

ROOT = FOLDER.parents[1]
NUMBERS = range(1, 31)


def read_table():
    with (FOLDER / "tricky.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


TABLE = read_table()


@cache
def marked_tests(path):
    """The rows that each test of a file carries by its own marker, by its name within the file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    classes = {f"{one.name}::": one.body for one in tree.body if isinstance(one, ast.ClassDef)}
    return {
        prefix + node.name: [argument.value for call in node.decorator_list if is_mark(call) for argument in call.args]
        for prefix, body in {"": tree.body, **classes}.items()
        for node in body
        if isinstance(node, ast.FunctionDef)
    }


def is_mark(decorator):
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.req"


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line['number']}-{line['test'].rpartition('::')[2]}")
def test_test_that_is_named_exists_and_carries_every_row_that_it_is_named_for(line):
    path, _, name = line["test"].partition("::")
    carried = marked_tests(path)
    assert name in carried, f"{path} has no test {name}: if it has another name now, tests/requirements/tricky.tsv must say it"
    assert set(line["rows"].split()) <= set(carried[name])


def test_each_of_the_thirty_has_a_test():
    assert list(dict.fromkeys(int(line["number"]) for line in TABLE)) == list(NUMBERS)


def test_no_test_stands_for_two():
    named = [line["test"] for line in TABLE]
    assert len(named) == len(set(named))


def test_every_row_is_one_of_the_tables_and_every_number_has_one_claim():
    rows = load_rows()
    assert [row for line in TABLE for row in line["rows"].split() if row not in rows] == []
    assert len({(line["number"], line["claim"]) for line in TABLE}) == len(NUMBERS)
    assert [line for line in TABLE if len(line["claim"].split()) < 8] == []
