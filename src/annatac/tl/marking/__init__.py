"""Marker peaks of types, and where in the genome a type's peaks lie."""
