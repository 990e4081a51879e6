"""Reference implementations on this host: the user's checkout of mlcommons/inference."""
