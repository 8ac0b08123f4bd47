"""Records of a run: captures that Wireshark opens, sequence diagrams, and a timeline for people."""
