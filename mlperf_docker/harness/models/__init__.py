"""Benchmarks: a folder each, with data set, preprocessing, payload and scoring."""
