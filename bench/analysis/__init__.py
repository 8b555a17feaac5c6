"""What stored cells say: which may be compared, and which differences are more than chance."""
