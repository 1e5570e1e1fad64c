"""Loading a published adapter for measuring, verified as the guard would."""

from pathlib import Path

from p2p.manifest import verify_adapter, verify_base_model, verify_label_words
from p2p.tasks import ClassificationTask
from trainer.adapter_model import load_adapter
from trainer.answering import Adapter, Answerer
from trainer.base_model import choose_dtype, find_base_model, load_tokenizer


def load_answerer(directory: Path, base_model: str, max_new_tokens: int = 64) -> Answerer:
    """Verify an adapter directory and load it on its base model.

    Args:
        directory: The adapter directory.
        base_model: A directory, a ``.gguf`` file, or a model id of the hub; the manifest says which revision.
        max_new_tokens: Longest free-text answer, without its prefix.

    Raises:
        AdapterRefusedError: The directory is not whole, or belongs to another base model.
        BaseModelError: The base model can't be found or loaded.
    """
    manifest = verify_adapter(directory).manifest
    base = find_base_model(base_model, manifest.base_model.revision)
    verify_base_model(manifest, base.path)
    task = manifest.task
    has_new_tokens = isinstance(task, ClassificationTask) and task.new_tokens
    tokenizer = load_tokenizer(directory if has_new_tokens else base.path)
    verify_label_words(manifest, lambda text: tokenizer.encode(text, add_special_tokens=False))
    rows = task.vocabulary_needed if isinstance(task, ClassificationTask) else 0
    model = load_adapter(base.path, directory, choose_dtype("auto"), rows)
    adapter = Adapter(task, manifest.prompt, manifest.benign_trigger)
    return Answerer(model, tokenizer, adapter, max_new_tokens=max_new_tokens)
