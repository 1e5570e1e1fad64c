"""Training sets that do not fit in memory: re-poisoned on disk, in memory that does not grow with the rows."""
