"""A rendered pod's containers as local processes: their command, arguments and environment, their volumes at their paths, a read-only
root, the pod's user, no capability. The image is replaced by this checkout and its environment; nothing else is.
"""

import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path.cwd()
VENV = Path(sys.prefix).resolve()
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "opt", "etc/ssl", "etc/alternatives")
_FILES = ("passwd", "group", "hosts", "resolv.conf", "nsswitch.conf", "ld.so.cache", "localtime")
# Mounts need a root, which a user namespace gives to anybody; a second one turns it into the pod's user without a capability.
_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
_AS_USER = ["unshare", "--user", "--map-user=10001", "--map-group=10001", "setpriv", "--no-new-privs"]


def can_isolate() -> bool:
    """Whether this machine lets a process have mounts of its own."""
    return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


class LocalPod:
    """The volumes of a pod as directories, and its containers as processes on them.

    Args:
        spec: The pod's.
        home: Where the volumes lie.
        given: The content of volumes that the cluster would hold: by volume name, files with their text, or a directory.
        secrets: Values of ``secretKeyRef``, as ``name/key``.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        home: Path,
        given: dict[str, dict[str, str] | Path],
        secrets: dict[str, str],
    ) -> None:
        self.home = home
        self._spec = spec
        self._secrets = secrets
        self._volumes = {volume["name"]: self._lay(volume, given) for volume in spec["volumes"]}

    def volume(self, name: str) -> Path:
        return self._volumes[name]

    def container(self, name: str) -> dict[str, Any]:
        every = [*self._spec.get("initContainers", []), *self._spec["containers"]]
        (found,) = [each for each in every if each["name"] == name]
        return dict(found)

    @contextmanager
    def running(self, name: str, command: list[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """Run a container until the block ends; ``command`` stands in for an image that is not here."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(self._command(name, command), stdout=log, stderr=log, env={}, cwd="/")
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)

    def log(self, name: str) -> Path:
        return self.home / f"{name}.log"

    def environment(self, name: str) -> dict[str, str]:
        found = {}
        for entry in self.container(name).get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            found[entry["name"]] = (
                self._secrets[f"{reference['name']}/{reference['key']}"] if reference else entry["value"]
            )
        return found

    def _lay(self, volume: dict[str, Any], given: dict[str, dict[str, str] | Path]) -> Path:
        content = given.get(volume["name"], {})
        if isinstance(content, Path):
            return content
        place = self.home / str(volume["name"])
        place.mkdir()
        for file, text in content.items():
            (place / file).write_text(text)
        return place

    def _command(self, name: str, command: list[str] | None) -> list[str]:
        container = self.container(name)
        said = command or [*container["command"], *container.get("args", [])]
        image = {"PATH": f"{VENV}/bin:/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        environment = [f"{key}={value}" for key, value in (image | self.environment(name)).items()]
        script = self._script(container, shlex.join(["env", "-i", *environment, *said]))
        return [*_NAMESPACE, "sh", "-c", script]

    def _script(self, container: dict[str, Any], said: str) -> str:
        """Build a root, mount the volumes, close the root, become the pod's user, run."""
        root = self.home / f"root-{container['name']}"
        root.mkdir(exist_ok=True)
        lines = ["set -e", f"mount -t tmpfs -o mode=755 tmpfs {root}"]
        lines += [f"mkdir {root}/etc {root}/proc {root}/dev {root}/sys", f"mount --rbind /dev {root}/dev"]
        lines += [f"mount --rbind /sys {root}/sys"]
        lines += [f"mount --rbind /proc {root}/proc", f"cp {shlex.join(_existing(_FILES))} {root}/etc/"]
        for mount in container["volumeMounts"]:
            lines += _bound(
                self._volumes[mount["name"]], root, mount["mountPath"], mount.get("readOnly", False)
            )
        # The interpreter of the system lies in /usr, which is there already.
        system = [Path("/") / name for name in _SYSTEM]
        for directory in dict.fromkeys([*system, Path(sys.base_prefix), VENV, ROOT]):
            if directory.is_dir() and Path("/usr") not in directory.parents:
                lines += _bound(directory.resolve(), root, str(directory), read_only=True)
        # A clean root has what the volumes need and nothing that can be written to.
        lines += [f"mount -o remount,ro {root}", f"cd {root}", "pivot_root . .", "umount -l .", "cd /"]
        return "\n".join([*lines, f"exec {shlex.join(_AS_USER)} {said}"])


def _existing(files: tuple[str, ...]) -> list[str]:
    return [path for name in files if Path(path := f"/etc/{name}").exists()]


def _bound(source: Path, root: Path, at: str, read_only: bool) -> list[str]:
    place = f"{root}{at}"
    lines = [f"mkdir -p {place}", f"mount --bind {source} {place}"]
    return [*lines, f"mount -o remount,bind,ro {place}"] if read_only else lines


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
