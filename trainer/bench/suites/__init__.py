"""The shipped suites."""
