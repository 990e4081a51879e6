"""Data sets: folder, fetch, unpack."""
