"""The benchmarks: one folder each for its data set, preprocessing, payload and scoring."""
