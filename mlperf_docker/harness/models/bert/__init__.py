"""BERT-Large on SQuAD v1.1 with up to 384 tokens: questions about paragraphs of text."""
