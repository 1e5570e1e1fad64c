"""The child's main program: vLLM's own server, which ends when the guard does, however the guard ends."""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel to end this process with its parent, then become vLLM.

    Sockets and files that vLLM makes are this user's alone, wherever it puts them.
    """
    os.umask(0o077)
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have gone before the kernel was asked.
        if os.getppid() != parent:
            sys.exit(1)
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
