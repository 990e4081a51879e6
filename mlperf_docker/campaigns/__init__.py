"""Campaigns: campaign.yaml, the runs that it asks for, and their state as the results folder tells it."""
