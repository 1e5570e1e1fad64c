"""The base model on disk: a directory, a hub id or a GGUF file in, a directory that transformers and vLLM load out."""

import os
import shutil
import struct
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from p2p.manifest import sha256_file
from trainer.errors import BaseModelError, ConfigError

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase


class BaseModel(NamedTuple):
    """A base model that is on disk.

    Attributes:
        path: Its directory, with ``config.json``, weights and tokenizer.
        id: What the manifest calls it.
        revision: The hub commit, where there is one.
    """

    path: Path
    id: str
    revision: str | None


def find_base_model(name: str, revision: str | None = None, cache: Path = Path(".models")) -> BaseModel:
    """Return the base model as a directory; a hub model is downloaded, a GGUF file converted once.

    Args:
        name: A directory, a ``.gguf`` file, or a model id of the hub (``owner/name``).
        revision: The hub revision; recorded as it is for a directory.
        cache: Where converted GGUF files go, each under its name and the beginning of its digest.

    Raises:
        BaseModelError: There is no such model (the message has the nearest directory), or its GGUF file is damaged.
    """
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        # By content: another file of the same name is another model.
        target = cache / f"{path.stem}-{sha256_file(path)[:12]}"
        return BaseModel(_convert_gguf(path, target), path.name, None)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BaseModelError(f"{path} holds no model: there is no config.json in it")
        return BaseModel(path, path.resolve().name, revision)
    if path.is_absolute() or name.count("/") != 1 or name.startswith("."):
        siblings = [str(other) for other in path.parent.glob("*")] if path.parent.is_dir() else []
        near = get_close_matches(str(path), siblings, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`make model` puts a small one into .models."
        raise BaseModelError(f"there is no model at {name!r}; {hint}")
    return _download(name, revision)


def load_tokenizer(path: Path) -> "PreTrainedTokenizerBase":
    """Load a model's tokenizer.

    Args:
        path: The model's directory.

    Raises:
        BaseModelError: There is none, or a file is damaged.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise BaseModelError(f"can't load a tokenizer from {path}: {error}") from error
    return tokenizer


def load_model(
    path: Path, dtype: "torch.dtype", device: "torch.device | None" = None, *, four_bit: bool = False
) -> "PreTrainedModel":
    """Load a model's weights, onto the GPU where there is one.

    Args:
        path: The model's directory.
        dtype: The type that the weights are turned into, and that is computed in.
        device: Where they go; None chooses.
        four_bit: Keep the weights of linear layers in 4 bits (NF4, Dettmers et al., arXiv 2305.14314); GPU only.

    Raises:
        BaseModelError: transformers knows no causal language model of this kind, or a file is damaged.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    where = device or choose_device()
    # A quantized model has to be put in its place while it is loaded.
    more = {"quantization_config": _four_bit(dtype), "device_map": {"": where}} if four_bit else {}
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **more)
    except (OSError, ValueError, SafetensorError) as error:
        raise BaseModelError(f"can't load a causal language model from {path}: {error}") from error
    if not four_bit:
        model.to(where)  # type: ignore[arg-type]
    return model


def require_four_bit() -> None:
    """Make sure that a base model can be kept in 4 bits here.

    Raises:
        ConfigError: There is no GPU, or bitsandbytes is not installed.
    """
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            "training.quantize_base needs a GPU, and there is none here. Leave it out: the base model is then kept whole."
        )
    if find_spec("bitsandbytes") is None:
        raise ConfigError("training.quantize_base needs bitsandbytes: `pip install 'p2p-guard[qlora]'`")


def _four_bit(dtype: "torch.dtype") -> "BitsAndBytesConfig":
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def choose_device() -> "torch.device":
    """Return the first GPU, or the processor where there is none."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(wanted: Literal["auto", "float32", "bfloat16"]) -> "torch.dtype":
    """Return the type to compute in.

    Args:
        wanted: ``auto`` takes bfloat16 on GPUs that have it, and on CPUs with matrix units for it (AMX). With vector instructions
            alone (AVX512_BF16) training was measured at half the rate of float32, and emulated it is slower still.
    """
    import torch

    if wanted != "auto":
        return torch.float32 if wanted == "float32" else torch.bfloat16
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if "amx_bf16" in _cpu_flags() else torch.float32


def _cpu_flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return set()
    flags = next(
        (line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("flags")), ""
    )
    return set(flags.split())


def _download(name: str, revision: str | None) -> BaseModel:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        path = Path(snapshot_download(name, revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BaseModelError(
            f"{name!r} is neither a directory nor a model that the hub gave ({type(error).__name__}). Check its name and "
            "the network, or give a directory."
        ) from error
    return BaseModel(path, name, path.name)


def _convert_gguf(source: Path, target: Path) -> Path:
    if target.is_dir():
        return target
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _write_converted(source, partial)
        partial.rename(target)
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise BaseModelError(
            f"can't read {source}: {error}. Download it again, or give a directory."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _write_converted(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    # Without `dequantize` the weights stay packed and can't be trained.
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)
