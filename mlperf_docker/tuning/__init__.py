"""Search for the options that make a system fastest: peak rates of Server, batch sizes, instances and threads."""
