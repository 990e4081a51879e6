"""Each network once, as a function over `ops` and named weights."""
