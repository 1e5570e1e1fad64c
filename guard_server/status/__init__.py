"""The status page of a running guard: what it tells, apart from how it is shown."""
