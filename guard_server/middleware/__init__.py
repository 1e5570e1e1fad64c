"""What every request passes before a route."""
