"""Asking somebody else about a user: a web service, or a command. The question and the answer are JSON, see `read_answer`."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import trio

from ._logs import Log
from ._lookups import Answer, Lookups, read_answer

TIMEOUT = 4.0  # seconds: below the 5 after which the server answers 500 by itself
MAX_AT_ONCE = 16  # questions: threads or processes, while a stranger can have any name asked about
MAX_ANSWER = 65536  # bytes
_UNKNOWN_USER = 1  # exit code
_LOG_PAUSE = 10.0  # seconds between two lines about failures: strangers decide how many there are

Ask: TypeAlias = Callable[[str, str], Awaitable[Answer]]
"""``await ask(username, realm)``; a `ValueError` or an `OSError` says why there is no answer."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Who answers with another place is asked no further: a question names users."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        return None


def by_url(url: str) -> Ask:
    """Ask with a POST of ``{"username", "realm"}``; 404 says that there is no such user.

    Raises:
        ValueError: it is not a URL of HTTP.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"--auth-url: {url!r} is not http:// or https://")
    opener = urllib.request.build_opener(_NoRedirects)
    limiter = trio.CapacityLimiter(MAX_AT_ONCE)

    def post(body: bytes) -> bytes | None:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", "Accept": "application/json"})
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                content: bytes = answer.read(MAX_ANSWER + 1)
                return content
        except urllib.error.HTTPError as error:
            with error:
                if error.code == http.client.NOT_FOUND:
                    return None
                raise ValueError(f"it answered {error.code}") from None
        except (http.client.HTTPException, urllib.error.URLError) as error:
            raise ValueError(str(getattr(error, "reason", error)) or type(error).__name__) from None

    async def ask(username: str, realm: str) -> Answer:
        content = await trio.to_thread.run_sync(post, _question(username, realm), abandon_on_cancel=True, limiter=limiter)
        return Answer(None) if content is None else read_answer(username, realm, _parsed(content))

    return ask


def by_command(command: Sequence[str]) -> Ask:
    """Run a command with ``{"username", "realm"}`` on its standard input; exit code 1 says that there is no such user."""
    limiter = trio.CapacityLimiter(MAX_AT_ONCE)

    async def ask(username: str, realm: str) -> Answer:
        async with limiter:
            done = await trio.run_process(
                command, stdin=_question(username, realm), capture_stdout=True, stderr=subprocess.DEVNULL, check=False
            )
        if done.returncode == _UNKNOWN_USER:
            return Answer(None)
        if done.returncode:
            raise ValueError(f"it ended with {done.returncode}")
        return read_answer(username, realm, _parsed(done.stdout))

    return ask


def _question(username: str, realm: str) -> bytes:
    return json.dumps({"username": username, "realm": realm}).encode()


def _parsed(content: bytes) -> object:
    if len(content) > MAX_ANSWER:
        raise ValueError(f"the answer is longer than {MAX_ANSWER} bytes")
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("the answer is no JSON") from None
    return parsed


class Asking:
    """Puts the questions that the look-ups want put.

    Args:
        asks: whom to ask, one after the other until somebody knows the user.
        lookups: what is known.
        log: is told of failures, now and then.
        unix: the wall clock.
    """

    def __init__(self, asks: Sequence[Ask], lookups: Lookups, log: Log, unix: Callable[[], float] = time.time) -> None:
        self._asks = asks
        self._lookups = lookups
        self._log = log
        self._unix = unix
        self._told = -_LOG_PAUSE

    async def about(self, who: tuple[str, str]) -> None:
        """Ask, and hand over what comes of it."""
        try:
            answer = Answer(None)
            with trio.fail_after(TIMEOUT):
                for ask in self._asks:
                    answer = await ask(*who)
                    if answer.keys is not None:
                        break
        except (OSError, ValueError, trio.TooSlowError) as error:
            self._lookups.failed(who)
            self._tell(str(error) or "no answer in time")
        else:
            self._lookups.answered(who, answer, self._unix())

    def _tell(self, reason: str) -> None:
        now = trio.current_time()
        if now - self._told >= _LOG_PAUSE:
            self._told = now
            self._log.error("users cannot be looked up", error=reason, failures=self._lookups.failures)
