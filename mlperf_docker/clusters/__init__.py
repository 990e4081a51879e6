"""Campaigns on many hosts: a plan as jobs of a cluster, and what the cluster tells of them."""
