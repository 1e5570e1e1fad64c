"""Canary probes: known triggers, asked on purpose."""
