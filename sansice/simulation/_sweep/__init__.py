"""Sweeps: many scenes, with many parameters, with many seeds."""
