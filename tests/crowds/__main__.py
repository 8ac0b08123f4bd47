"""A crowd on one port: clients that move to other addresses, restart, leave and come back at random, among forged packets.

    python tests/crowds --clients 1000 --hours 1 --json
    python tests/crowds --sockets 500 --json

The second has as many clients in another process, at the real sockets of `serve_ice`, a quarter of them over TCP.

Exit code 0 only if no packet was misrouted, and none withheld from the agent that it was for. An hour of a thousand clients
takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `crowds._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from crowds._crowd import run_crowd  # noqa: E402
from crowds._sockets import run_clients, run_sockets  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run one crowd and say what became of it."""
    parser = argparse.ArgumentParser(
        prog="python tests/crowds", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--hours", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=8445)
    parser.add_argument("--sockets", type=int, metavar="CLIENTS")
    parser.add_argument("--as-clients", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.as_clients is not None:
        run_clients(options.as_clients)
        return 0
    if options.sockets is not None:
        report = run_sockets(options.sockets)
        is_good = not report["misrouted"] and report["connected"] == report["clients"]
    else:
        report = run_crowd(options.clients, 3600.0 * options.hours, options.seed)
        is_good = not (report["misrouted"] or report["withheld"])
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
