"""The control socket, and those who open it."""

import json
import os
import socket
import stat

import pytest
import trio

from sansice_cli.serve._ask_control import ask_control
from sansice_cli.serve._control import MAX_LINE, control_socket


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "control")


async def echo(request):
    await trio.lowlevel.checkpoint()
    if "wrong" in request:
        raise ValueError(request["wrong"])
    return {"said": request["say"]}


HANDLERS = {"echo": echo, "list": echo}


async def asked(path, data):
    """The answer to a line."""
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(data)
        found = b""
        while more := await stream.receive_some():
            found += more
        return json.loads(found)


async def test_a_request_is_a_line_and_so_is_its_answer(path):
    async with control_socket(path, HANDLERS):
        assert await asked(path, b'{"command": "echo", "say": 5}\n') == {"ok": True, "said": 5}
    assert not await trio.Path(path).exists()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"\n", "a request is a JSON object"),
        (b"5\n", "a request is a JSON object"),
        (b"{}\n", "a request is a JSON object"),
        (b'{"command": []}\n', "a request is a JSON object"),
        (b"[" * 100_000 + b"\n", "a request is a JSON object"),
        (b"x" * MAX_LINE, "a request is a JSON object"),
        (b'{"command": "reboot"}\n', "there is no command 'reboot'; there are echo, list"),
        (b'{"command": "echo"}\n', "say"),
        (b'{"command": "echo", "wrong": "because"}\n', "because"),
    ],
)
async def test_what_is_no_request_is_told(path, line, complaint):
    async with control_socket(path, HANDLERS):
        answer = await asked(path, line)
    assert answer["ok"] is False
    assert complaint in answer["error"]


async def test_who_leaves_without_asking_is_no_trouble(path):
    async with control_socket(path, HANDLERS):
        async with await trio.open_unix_socket(path):
            pass
        assert (await asked(path, b'{"command": "echo", "say": 1}\n'))["ok"]


async def test_only_this_user_may_open_it_from_its_first_moment_on(path):
    before = os.umask(0)
    try:
        async with control_socket(path, HANDLERS):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(before)


async def test_what_a_dead_server_left_is_replaced_and_what_a_living_one_has_is_not(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    async with control_socket(path, HANDLERS):
        with pytest.raises(OSError, match="another server answers at"):
            async with control_socket(path, HANDLERS):
                pass
        assert (await asked(path, b'{"command": "echo", "say": 1}\n'))["ok"]


async def test_a_file_that_is_no_socket_is_left_alone(path):
    await trio.Path(path).write_text("precious")
    with pytest.raises(OSError, match="is there and no socket"):
        async with control_socket(path, HANDLERS):
            pass
    assert await trio.Path(path).read_text() == "precious"


async def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        async with control_socket(str(tmp_path / "nowhere" / "control"), HANDLERS):
            pass


@pytest.mark.parametrize(
    "words",
    [["list", "x"], ["kill"], ["drain", "soon"], ["drain", "-1"], ["drain", "nan"], ["drain", "1", "2"]],
)
def test_words_that_do_not_go_with_the_command(invoke, words):
    code, _, errors = invoke("serve", "--control", *words[:1], "--control-socket", "/x", "--", *words[1:])
    assert code == 2
    assert "--control" in errors


def test_control_needs_to_know_where(invoke, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    code, _, errors = invoke("serve", "--control", "list")
    assert code == 2
    assert "--control needs --control-socket PATH" in errors


def test_a_server_that_is_not_there_or_gone(invoke, path):
    assert "no server has made this socket" in invoke("serve", "--control", "list", "--control-socket", path)[2]
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert "is gone" in invoke("serve", "--control", "list", "--control-socket", path)[2]
    assert invoke("serve", "--control", "list", "--control-socket", "/proc/self/mem")[0] == 1
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as rude:
        rude.bind(path)
        rude.listen()
        import threading

        def hang_up():
            with rude.accept()[0] as asking:
                asking.recv(1000)

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert "has left without an answer" in invoke("serve", "--control", "list", "--control-socket", path)[2]
        thread.join()


ROW = {
    "id": "1", "user": "al\x1bice", "client": "udp:192.0.2.7:5", "relayed": ["192.0.2.1:50000"], "lifetime_s": 599.6,
    "from_client_bytes": 1500, "to_client_bytes": 0, "dropped": 2,
}  # fmt: skip
ANSWERS = {
    "list": ({"ok": True, "allocations": [ROW]}, ["al\\x1bice", "udp:192.0.2.7:5", "192.0.2.1:50000", "600 s", "1.5 kB"]),
    "kill": ({"ok": True, "killed": ["1"], "unknown": []}, ["1 is closed"]),
    "drain": ({"ok": True, "draining": True}, ["ends with its last allocation"]),
    "limits": ({"ok": True, "limits": {"burst": 1.0, "bytes-per-second": None}}, ["burst=1.0", "bytes-per-second=none"]),
}


@pytest.mark.parametrize("command", ANSWERS)
async def test_answers_are_told_to_a_person(path, capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "40")  # what is cut could not be killed
    answer, words = ANSWERS[command]

    async def handle(request):
        await trio.lowlevel.checkpoint()
        return {key: value for key, value in answer.items() if key != "ok"}

    asking = {"kill": ["1"]}.get(command, [])
    async with control_socket(path, {command: handle}):
        assert await trio.to_thread.run_sync(ask_control, command, asking, path, False) == 0
    output = capsys.readouterr().out
    assert all(word in output for word in words), output


async def test_an_unknown_allocation_is_told_and_the_exit_code_says_so(path, capsys):
    async def kill(request):
        await trio.lowlevel.checkpoint()
        return {"killed": [], "unknown": request["ids"]}

    async with control_socket(path, {"kill": kill}):
        assert await trio.to_thread.run_sync(ask_control, "kill", ["7"], path, False) == 1
    assert "7: there is no such allocation" in capsys.readouterr().err
