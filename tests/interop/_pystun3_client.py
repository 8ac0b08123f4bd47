"""pystun3, a client of RFC 3489, in a process of its own: `HOST PORT SOURCE`; says a JSON list.

It is what `get_ip_info` returns: the kind of NAT, and the address and port that the last answer told.
"""

from __future__ import annotations

import json
import sys

import stun as pystun3

if __name__ == "__main__":
    host, port, source = sys.argv[1:]
    print(json.dumps(pystun3.get_ip_info(source, 0, host, int(port))), flush=True)
