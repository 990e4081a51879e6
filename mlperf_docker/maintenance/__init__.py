"""Upkeep of an engine: doctor, prune, build cache, bring-up."""
