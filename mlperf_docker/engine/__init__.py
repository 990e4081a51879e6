"""The Docker engine: the connection, bases, builds and containers."""
