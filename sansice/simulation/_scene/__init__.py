"""Scenes: a network, the agents in it and what befalls them, as values; the library of them, and what becomes of each."""
