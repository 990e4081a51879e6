"""LoadGen: settings, SUTs, logs."""
