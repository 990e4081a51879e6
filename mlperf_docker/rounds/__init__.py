"""Rounds of MLPerf Inference as data, from rounds.yaml, and what a result lacks to count for one."""
