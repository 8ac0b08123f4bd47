"""``sansice decode``: what is in a message, byte for byte.

Hex, a binary file or a capture comes in (`_input`, `_hex`, `_capture`, `_packets`, `_streams`); each payload is taken apart
field by field (`_anatomy`, `_meaning`), however damaged it is, its protection is tried (`_keys`), and all of it is
printed (`_report`).
"""
