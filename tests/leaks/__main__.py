"""Sessions opened and given up at random places, on each adapter: what do they leave behind?

    python tests/leaks --sessions 1000 --runtime trio --json

Exit code 0 only if at the end no descriptor, task, thread or timer more is there than in the beginning, no allocation at the
relay, and no memory that grows with the sessions: what the last three quarters of them left is at most `MOST_BYTES` in all.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import json
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _session import run_session
from trio._core._run import GLOBAL_RUN_CONTEXT

from adapters.conformance import _runtimes
from adapters.conformance._runtimes import RUNTIMES, OnAsyncio, OnTrio, Runtime
from sansice.ice import IceServer
from sansice.turn import ANY_PEER, RelayAddress, TurnServerConfig

# Where nothing is kept it is 5 to 75 KiB, however many sessions there are: names that the interpreter has looked up, buffers of
# the last batch, the traceback of the last cancellation. One connection has 10 KiB: thirteen of a thousand would be noticed.
MOST_BYTES = 2**17
PASSWORD = "secret"


async def run(rt: Runtime, sessions: int, first_seed: int) -> dict[str, Any]:
    """All sessions on one runtime, beside a relay that outlives them."""
    config = TurnServerConfig(relay_addresses=[RelayAddress("127.0.0.1")])
    served = rt.adapter.serve_turn(["udp:127.0.0.1:0"], users={"leaks": PASSWORD}, config=config, peer_policy=ANY_PEER)
    kinds: Counter[str] = Counter()
    async with rt.opened(served) as service:
        server = IceServer(f"turn:{service.listening[0][1]}", "leaks", PASSWORD)

        async def some(seeds: range) -> dict[str, Any]:
            for seed in seeds:
                kinds[await run_session(rt, seed, server)] += 1
            return await settled(rt, service)

        warm = first_seed + max(20, sessions // 4)
        tracemalloc.start()
        before = await some(range(first_seed, warm))
        bytes_before = memory()
        after = await some(range(warm, first_seed + sessions))
        bytes_after = memory()
        tracemalloc.stop()
    return {
        "runtime": rt.name,
        "sessions": sessions,
        "kinds": dict(sorted(kinds.items())),
        "left": {name: [before[name], after[name]] for name in before if before[name] != after[name] or name == "allocations"},
        "bytes": bytes_after - bytes_before,
    }


async def settled(rt: Runtime, service: Any) -> dict[str, Any]:
    """What is there once the relay has heard of the last end."""
    for _ in range(2000):
        if not service.allocations():
            break
        await rt.sleep(0.001)
    while service.events._events:  # which nobody reads, and which are no memory of the sessions
        service.events._take()
    left = rt.left()
    return {
        "files": left.files,
        "tasks": left.tasks,
        "threads": left.threads,
        "timers": timers(rt),
        "allocations": len(service.allocations()),
    }


def timers(rt: Runtime) -> int:
    """How many deadlines the runtime itself holds, of which no public function tells."""
    if isinstance(rt, OnAsyncio):
        return sum(not handle.cancelled() for handle in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]
    if isinstance(rt, OnTrio):
        return GLOBAL_RUN_CONTEXT.runner.deadlines._active
    return sum(isinstance(thread, threading.Timer) for thread in threading.enumerate())


def memory() -> int:
    """Bytes of all objects that Python knows of, without what is remembered to a bound: caches of functions, and of addresses."""
    for one in gc.get_objects():
        if isinstance(one, functools._lru_cache_wrapper):
            one.cache_clear()
        elif type(one).__module__ == "sansice.sockets._mmsg" and hasattr(one, "_known"):
            one._known.clear()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/leaks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=1000, help="on each runtime")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--runtime", choices=[rt.name for rt in RUNTIMES], action="append", help="default: all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = [rt for rt in RUNTIMES if not options.runtime or rt.name in options.runtime]
    _runtimes.HANG = max(_runtimes.HANG, options.sessions)  # a second for each is more than enough
    reports = [rt.run(run, options.sessions, options.first_seed) for rt in chosen]
    ok = all(is_clean(report) for report in reports)
    print(json.dumps({"runtimes": reports, "ok": ok}, indent=None if options.json else 2))
    return 0 if ok else 1


def is_clean(report: dict[str, Any]) -> bool:
    """Whether nothing is left."""
    return report["left"] == {"allocations": [0, 0]} and report["bytes"] <= MOST_BYTES


if __name__ == "__main__":
    sys.exit(main())
