"""Entry script of the reference: its process, the names and calls that it finds there, and its scoring script."""
