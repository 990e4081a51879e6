"""Campaigns on Slurm: arrays of jobs, the record of what was submitted, and what the queue tells of it."""
