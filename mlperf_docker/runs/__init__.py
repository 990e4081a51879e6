"""Commands of the harness in containers: options, job, events, result."""
