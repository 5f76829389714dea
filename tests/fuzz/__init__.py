"""Fuzz targets: one function for each parser that reads what a peer sends. ``python -m tests.fuzz.run`` runs them."""
