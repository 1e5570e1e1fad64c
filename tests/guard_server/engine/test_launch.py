import subprocess
import sys

PROGRAM = """
import os, runpy
runpy.run_module = lambda *_, **__: print(os.umask(0))
from guard_server.engine.launch import main
main()
"""


def test_what_vllm_makes_is_for_its_owner_alone():
    said = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, umask=0o022)
    assert int(said.stdout) == 0o077
