"""An image registry over HTTP: references, logins, client, refusals."""
