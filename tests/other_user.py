"""What a user without rights can reach."""

import os
import socket
from pathlib import Path

NOBODY = 65534
_REFUSED, _CONNECTED, _OTHER = 13, 0, 1


def can_connect_as_nobody(path: Path) -> bool:
    """Whether user 65534 can connect to a Unix socket; asked in a child, which only root can make.

    Raises:
        RuntimeError: It failed for another reason than missing rights.
    """
    child = os.fork()
    if child == 0:
        os._exit(_try_as_nobody(path))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == _OTHER:
        raise RuntimeError(f"{path} can't be reached, for another reason than missing rights")
    return code == _CONNECTED


def _try_as_nobody(path: Path) -> int:
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        with socket.socket(socket.AF_UNIX) as tried:
            tried.connect(str(path))
    except PermissionError:
        return _REFUSED
    except OSError:
        return _OTHER
    return _CONNECTED
