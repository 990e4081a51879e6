"""Rate of a script: its pace in a short run, and what that lets expect."""
