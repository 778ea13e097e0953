"""Motifs: where they stand, in whose peaks they are enriched, how active they are in a cell."""
