"""Reference harness: runs a benchmark's reference implementation out of a checkout, and reads its result.

It goes into an image's reference layer. It imports the harness; nothing imports it.
"""
