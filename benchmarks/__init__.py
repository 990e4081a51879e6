"""Benchmarks that `make bench` runs: ratios against bare loops, measured in turn; nothing here asserts on time."""
