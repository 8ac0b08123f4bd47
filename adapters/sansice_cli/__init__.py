"""The ``sansice`` command.

Importing this package loads nothing else: the other end of a demonstration starts without click and rich.
"""

from __future__ import annotations

import sys

_EXTRA = frozenset({"click", "dns", "ifaddr", "prometheus_client", "rich", "trio"})  # what the extra `cli` installs
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main() -> None:
    """Run the command with the arguments of this process, then exit.

    Raises:
        SystemExit: always. 0 it worked; 1 it did not; 2 usage; 130 interrupted.
    """
    try:
        from ._main import run

        code = run()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"sansice: the command needs {error.name}; install it with: pip install 'sansice[cli]'")
    sys.exit(code)
