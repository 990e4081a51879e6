"""Downloads over HTTP: resumed, checked, in parallel."""
