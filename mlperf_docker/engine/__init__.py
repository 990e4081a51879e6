"""Container engine: its protocol, Docker's client, containers, transfers, local images."""
