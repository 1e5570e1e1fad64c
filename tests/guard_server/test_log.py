import subprocess
import sys
from pathlib import Path

PROGRAM = """
import structlog
from guard_server.log import configure_logging
configure_logging()
for _ in range(1000):
    structlog.get_logger().error("engine_unavailable", adapter="support")
print("served on", flush=True)
"""


def test_a_full_disk_loses_lines_and_fails_nothing():
    with Path("/dev/full").open("wb", buffering=0) as full:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], check=False, stdout=subprocess.PIPE, stderr=full
        )
    assert ran.stdout == b"served on\n"
