"""What ends the demo early."""


class DemoError(Exception):
    """The demo can't go on; the message says why and where to look."""
