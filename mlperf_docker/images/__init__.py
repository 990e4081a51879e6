"""Images: taken from the engine, pulled, built, examined, pushed."""
