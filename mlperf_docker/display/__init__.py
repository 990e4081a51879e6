"""Text and progress for people: tables, progress displays, printable text."""
