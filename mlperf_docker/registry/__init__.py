"""Image registries over HTTP: references, logins, client, refusals."""
