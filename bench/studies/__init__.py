"""Studies: from a plan to stored cells."""
