"""The operations that networks are written in, once for each backend that needs them."""
