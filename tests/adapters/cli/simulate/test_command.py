"""Which options go together."""

import json

import pytest

from sansice.simulation import scenes


def test_list_has_one_scene_a_line_its_name_first(invoke):
    code, output, errors = invoke("simulate", "--list")
    assert (code, errors) == (0, "")
    assert [line.split()[0] for line in output.splitlines()] == list(scenes())


def test_list_as_json(invoke):
    code, output, errors = invoke("simulate", "--list", "--json")
    assert code == 0
    assert [one["name"] for one in json.loads(output)["scenes"]] == list(scenes())
    assert errors.startswith("two-homes ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a scene, or use --list, --matrix, --explore or --sweep"),
        (("--list", "two-homes"), "scene is of no use with --list"),
        (("--list", "--matrix"), "--matrix is of no use with --list"),
        (("--matrix", "--explore"), "--explore is of no use with --matrix"),
        (("--matrix", "two-homes"), "scene is of no use with --matrix"),
        (("--matrix", "--pcap", "x"), "--pcap is of no use with --matrix"),
        (("--explore", "two-homes", "--timeline"), "--timeline is of no use with --explore"),
        (("two-homes", "--runs", "3"), "--runs is of no use to run a scene"),
        (("two-homes", "--budget", "3s"), "--budget is of no use to run a scene"),
        (("--explore", "two-homes", "--budget", "soon"), "'soon' is no duration like 60s, 2m or 1m30s"),
        (("two-homes", "--seed", "x"), "'x' is not a valid integer"),
        (("two-homes", "--limit", "1"), "1 is not in the range x>=2"),
        (("--matrix", "--runs", "0"), "0 is not in the range x>=1"),
        (("two-homes", "--pcap", "-", "--json"), "both want stdout"),
        (("two-homes", "--pcap", "-", "--svg", "-"), "both want stdout"),
        (("two-home",), "did you mean two-homes"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(invoke, arguments, said):
    code, output, errors = invoke("simulate", *arguments)
    assert (code, output) == (2, "")
    assert said in errors
