"""Where adapters come from, one kind of place a file."""
