"""Users looked up by a command or at a web service, for a server that runs; and what becomes of bad answers."""

import contextlib
import http.server
import io
import json
import sys
import threading

import pytest
import trio

from sansice.turn import TurnError
from sansice_cli.serve._asking import MAX_ANSWER, TIMEOUT, Asking, by_command, by_url
from sansice_cli.serve._logs import Log
from sansice_cli.serve._lookups import Answer, Lookups
from sansice_trio import open_turn

PEOPLE = {"alice": {"password": "pw"}}

LOOK_UP = """
import json, sys
question = json.load(sys.stdin)
assert question["realm"] == "example.org", question
if question["username"] != "alice":
    sys.exit(1)
print(json.dumps({"password": "pw"}))
"""


@pytest.fixture
def service():
    """A web service: its URL, what it was asked, and what it says instead of the truth, if that is set."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(question)
            status, body = (
                says or (200, json.dumps(PEOPLE[question["username"]])) if question["username"] in PEOPLE else (404, "")
            )
            if says:
                status, body = says
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body.encode())

        def log_message(self, *arguments):
            pass

    asked, says = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/users", asked, says
        server.shutdown()
        thread.join()


def uri(server):
    return f"turn:127.0.0.1:{server.port('udp')}"


async def test_a_running_server_asks_a_web_service_once_for_each_user(relaying, service):
    url, asked, _ = service
    with relaying("--realm", "example.org", users=("--auth-url", url)) as server:
        for _ in range(3):
            async with open_turn(uri(server), "alice", "pw"):
                pass
        for name, password in (("alice", "wrong"), ("nobody", "pw")):
            with pytest.raises(TurnError) as caught:
                async with open_turn(uri(server), name, password):
                    pass
            assert caught.value.code == 401
        assert server.stop()[0] == 0
    assert asked == [{"username": name, "realm": "example.org"} for name in ("alice", "nobody")]


async def test_a_running_server_asks_a_command(relaying, tmp_path):
    script = tmp_path / "look_up.py"
    script.write_text(LOOK_UP)
    command = f"{sys.executable} {script}"
    with relaying("--realm", "example.org", users=("--auth-command", command)) as server:
        async with open_turn(uri(server), "alice", "pw"):
            pass
        with pytest.raises(TurnError) as caught:
            async with open_turn(uri(server), "nobody", "pw"):
                pass
        assert caught.value.code == 401


def test_a_url_that_is_none_of_http_is_refused(invoke):
    code, _, errors = invoke("serve", "--listen", "udp:127.0.0.1:0", "--auth-url", "file:///etc/passwd")
    assert (code, errors) == (1, "--auth-url: 'file:///etc/passwd' is not http:// or https://")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ((500, "broken"), "it answered 500"),
        ((302, ""), "it answered 302"),
        ((200, "not JSON"), "the answer is no JSON"),
        ((200, "[" * 50_000), "the answer is no JSON"),
        ((200, '"text"'), "the answer is no JSON object"),
        ((200, json.dumps({"password": "x" * MAX_ANSWER})), "longer than"),
    ],
)
async def test_a_web_service_that_does_not_answer_is_no_reason_to_say_that_there_is_no_such_user(service, said, complaint):
    url, asked, says = service
    says += said
    with pytest.raises(ValueError, match=complaint):
        await by_url(url)("alice", "example.org")
    assert len(asked) == 1  # whoever is sent elsewhere does not go there


async def test_a_web_service_that_is_not_there(refusing):
    port = refusing.rpartition(":")[2]
    with pytest.raises(ValueError, match="refused"):
        await by_url(f"http://127.0.0.1:{port}/")("alice", "example.org")


@pytest.mark.parametrize(
    ("program", "complaint"),
    [("raise SystemExit(2)", "it ended with 2"), ("print('x')", "no JSON"), (f"print(' ' * {MAX_ANSWER})", "longer than")],
)
async def test_a_command_that_fails_says_nothing_about_the_user(program, complaint):
    with pytest.raises(ValueError, match=complaint):
        await by_command([sys.executable, "-c", program])("alice", "example.org")


async def test_a_command_that_is_not_there_is_a_failure():
    with pytest.raises(OSError, match="No such file"):
        await by_command(["/does/not/exist"])("alice", "example.org")


class Asked:
    """An `Asking` with made-up answers; its log is text."""

    def __init__(self, *asks):
        self.provided = []
        self.text = io.StringIO()
        self.lookups = Lookups(60.0, lambda id, keys: self.provided.append((id, keys)))
        self.asking = Asking(asks, self.lookups, Log("text", self.text), unix=lambda: 0.0)

    async def about(self, id=1, name="alice"):
        await self.asking.about(self.lookups.want(id, name, "example.org"))


async def nobody(username, realm):
    return Answer(None)


async def silent(username, realm):
    await trio.sleep_forever()


async def broken(username, realm):
    raise ValueError("it is broken")


async def test_the_second_is_asked_where_the_first_knows_nobody():
    keys = object()

    async def somebody(username, realm):
        return Answer(keys)

    asked = Asked(nobody, somebody)
    await asked.about()
    assert asked.provided == [(1, keys)]
    asked = Asked(nobody, nobody)
    await asked.about()
    assert asked.provided == [(1, None)]


async def test_who_is_silent_is_given_up_in_time(autojump_clock):
    asked = Asked(silent)
    began = trio.current_time()
    await asked.about()
    assert trio.current_time() - began == TIMEOUT
    assert asked.provided == []
    assert "users cannot be looked up" in asked.text.getvalue()
    assert "no answer in time" in asked.text.getvalue()


async def test_failures_are_told_now_and_then(autojump_clock):
    asked = Asked(broken)
    for number in range(5):
        await asked.about(number)
        await trio.sleep(3)
    assert asked.text.getvalue().count("it is broken") == 2
    assert asked.lookups.failures == 5
