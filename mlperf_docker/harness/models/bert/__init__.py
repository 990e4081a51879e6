"""BERT-Large: question answering on SQuAD v1.1."""

NAME = "bert"
"""The model's name in images.yaml."""
