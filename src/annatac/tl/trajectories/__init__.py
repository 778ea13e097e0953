"""Pseudo-time, and what changes along it."""
