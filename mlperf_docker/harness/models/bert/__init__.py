"""BERT-Large: question answering on SQuAD v1.1."""
