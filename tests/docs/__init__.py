"""The pages for readers, held to the code that they describe."""
