from pathlib import Path

import pytest

from guard_server.engine.memory import available_bytes, require_room
from guard_server.errors import EngineLoadError

GIB = 1 << 30


def group(home: Path, limit: str, used: int, cached: int) -> Path:
    home.mkdir()
    (home / "memory.max").write_text(f"{limit}\n")
    (home / "memory.current").write_text(f"{used}\n")
    (home / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
    return home


def test_the_smaller_of_machine_and_group_counts(tmp_path: Path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    limited = group(tmp_path / "limited", str(4 * GIB), 3 * GIB, GIB)
    unlimited = group(tmp_path / "unlimited", "max", 3 * GIB, GIB)
    assert available_bytes(meminfo, limited) == 2 * GIB
    assert available_bytes(meminfo, unlimited) == 8 * GIB
    assert available_bytes(tmp_path / "none", tmp_path / "none") is None


def test_an_engine_that_does_not_fit_is_refused(tmp_path: Path):
    with (tmp_path / "model.safetensors").open("wb") as weights:
        weights.truncate(GIB)
    require_room(tmp_path, GIB, 4 * GIB)
    require_room(tmp_path, GIB, None)
    with pytest.raises(EngineLoadError, match=r"needs about 3072 MiB, 2048 MiB are left.*serve_as: lora"):
        require_room(tmp_path, GIB, 2 * GIB)
