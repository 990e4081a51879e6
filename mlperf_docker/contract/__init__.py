"""Contract between host and harness: words, exit codes, places, options, commands, events, results."""
