"""One scene, from the command line."""

import json
import xml.etree.ElementTree as ET

import attrs
import pytest

from sansice.simulation import Expectation, scene


@pytest.fixture
def hopeless(tmp_path):
    """A scene that says that it connects, and cannot."""
    path = tmp_path / "hopeless.json"
    path.write_text(attrs.evolve(scene("symmetric-to-symmetric"), name="hopeless", expect=Expectation()).to_json())
    return path


def test_summary_says_how_it_ended(invoke):
    code, output, errors = invoke("simulate", "two-homes")
    assert (code, errors) == (0, "")
    assert output == "two-homes, seed 0: connected over srflx-srflx after 1020 ms, 20 packets\n"


def test_json_is_one_object_with_the_promised_keys_and_the_rest_goes_to_stderr(invoke):
    code, output, errors = invoke("simulate", "two-homes", "--seed", 7, "--timeline", "--diagram", "--json")
    assert code == 0
    assert output.count("\n") == 1
    result = json.loads(output)
    assert list(result)[:7] == ["scene", "seed", "connected", "setup_ms", "pair_types", "packets", "events"]
    assert (result["scene"], result["seed"], result["connected"], result["pair_types"]) == ("two-homes", 7, True, ["srflx-srflx"])
    assert result["causes"] == {"alice": [], "bob": []}
    assert result["packets"] > 0 and result["events"] > 0 and result["setup_ms"] > 0
    assert "alice:host asks stun for its address" in errors
    assert "o-------------+------------>|" in errors


def test_scene_that_ends_badly_as_it_says_is_0(invoke):
    code, output, _ = invoke("simulate", "symmetric-to-symmetric")
    assert code == 0
    first, alice, bob = output.splitlines()
    assert "not connected" in first
    assert alice.startswith("alice: both ends reach servers and not each other") and bob.startswith("bob: both ends reach")


def test_scene_that_does_not_end_as_it_says_is_1(invoke, hopeless):
    code, output, _ = invoke("simulate", hopeless)
    assert code == 1
    assert output.splitlines()[1] == "not as the scene says: not connected, and connected was expected"
    code, output, _ = invoke("simulate", hopeless, "--json")
    assert code == 1
    result = json.loads(output)
    assert (result["connected"], result["setup_ms"], result["pair_types"]) == (False, None, [])
    assert result["surprises"] == ["not connected, and connected was expected"]
    assert result["causes"]["alice"][0] == "nats-need-relay"


def test_connection_that_does_not_last_is_said(invoke):
    code, output, _ = invoke("simulate", "nat-reboots")
    assert code == 0
    first, alice, _ = output.splitlines()
    assert first.endswith("no longer connected at the end") and alice.startswith("alice: the path worked, and the peer is silent")


def test_timeline_tells_the_changes_of_the_scene(invoke):
    _, output, _ = invoke("simulate", "nat-reboots", "--timeline")
    assert "   20.000 s  * home A reboots and loses every mapping" in output.splitlines()


def test_limit_bounds_timeline_and_diagram(invoke):
    _, output, _ = invoke("simulate", "short-lifetimes", "--timeline", "--limit", 10)
    assert len([line for line in output.splitlines() if "checks" in line or "answers" in line]) <= 10
    assert "lines are left out here" in output


def test_capture_and_image_are_written_and_the_same_for_the_same_seed(invoke, tmp_path):
    written = []
    for name in ("a", "b"):
        pcap, svg = tmp_path / f"{name}.pcapng", tmp_path / f"{name}.svg"
        assert invoke("simulate", "lossy-wifi", "--seed", 3, "--pcap", pcap, "--svg", svg)[0] == 0
        written.append((pcap.read_bytes(), svg.read_bytes()))
    assert written[0] == written[1]
    pcap, svg = written[0]
    assert pcap[:4] == b"\x0a\x0d\x0d\x0a" and b"alice 192.168.1.2" in pcap
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    other = tmp_path / "c.pcapng"
    invoke("simulate", "lossy-wifi", "--seed", 4, "--pcap", other)
    assert other.read_bytes() != pcap


def test_capture_can_be_decoded(invoke, tmp_path):
    pcap = tmp_path / "a.pcapng"
    invoke("simulate", "two-homes", "--pcap", pcap)
    code, output, _ = invoke("decode", pcap, "--json")
    assert code == 0
    messages = json.loads(output)["messages"]
    assert len(messages) > 40


def test_file_that_cannot_be_written_is_named(invoke, tmp_path):
    code, _, errors = invoke("simulate", "two-homes", "--pcap", tmp_path / "nowhere" / "a.pcapng")
    assert code == 1
    assert "nowhere/a.pcapng" in errors and "No such file" in errors
    code, _, errors = invoke("simulate", "two-homes", "--svg", tmp_path / "nowhere" / "a.svg")
    assert code == 1
    assert "nowhere/a.svg" in errors


def test_disk_that_is_full_is_said(invoke):
    code, _, errors = invoke("simulate", "short-lifetimes", "--pcap", "/dev/full")
    assert code == 1
    assert "No space left on device" in errors


def test_capture_goes_to_stdout_where_that_is_asked_for(sansice):
    done = sansice("simulate", "two-homes", "--svg", "-")
    assert done.returncode == 0
    assert done.stdout.startswith("<svg ") and done.stdout.rstrip().endswith("</svg>")
    assert "connected over srflx-srflx" in done.stderr
