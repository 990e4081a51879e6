"""RNN-T speech recognition on LibriSpeech's dev-clean."""

NAME = "rnnt"
"""The model's name in images.yaml."""
