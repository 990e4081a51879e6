"""RNN-T speech recognition on LibriSpeech's dev-clean."""
