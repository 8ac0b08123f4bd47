"""``sansice demo``: two processes connect over real sockets, and everything that ICE does can be seen.

The command is one end, *A*; it starts the other, *B*, as ``python -m sansice_cli.demo`` and talks with it in
lines of JSON over pipes. That is the signalling: each end tells the other its description. B also tells
what it sees, so that A can show both ends.
"""
