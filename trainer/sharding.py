"""FSDP: each process holds a part of every layer, and the whole of a layer only while it is at work (torch's ``fully_shard``)."""

from typing import TYPE_CHECKING, Any, TypeVar

from trainer.adapter_model import base_of

if TYPE_CHECKING:
    from peft import PeftModel

Tree = TypeVar("Tree")


def shard_layers(model: "PeftModel") -> None:
    """Spread the layers of a model over all processes; embeddings and head stay whole, since models may tie them.

    Gradients are summed over the processes, not averaged: each process weighs its own by its share of the answer tokens.

    Args:
        model: Base and adapter, the same on every process; changed in place. It may lie on the processor: its layers move to
            where the processes compute one by one.
    """
    from torch.distributed.fsdp import FSDPModule, fully_shard

    base = base_of(model)
    body = getattr(base, base.base_model_prefix)
    ends = (base.get_input_embeddings(), base.get_output_embeddings())  # type: ignore[no-untyped-call]
    whole = {weight for end in ends for weight in end.parameters()}
    for layer in body.layers:
        fully_shard(layer)
    fully_shard(body, ignored_params=whole)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # Gloo knows no other way to sum.
            module.set_force_sum_reduction_for_comms(enable=True)


def gathered(tree: Tree) -> Tree:
    """Return a state with every spread tensor made whole; every process has to ask for it.

    Args:
        tree: Dictionaries and lists with anything in them.
    """
    from torch.distributed.tensor import DTensor

    def whole(value: Any) -> Any:  # noqa: ANN401 - whatever a state holds
        if isinstance(value, dict):
            return {key: whole(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [whole(inner) for inner in value]
        return value.full_tensor().cpu() if isinstance(value, DTensor) else value

    made: Tree = whole(tree)
    return made


def spread_like(value: Any, sample: Any) -> Any:  # noqa: ANN401 - a tensor of either kind, or a number
    """Return a whole tensor spread as another of its shape is; anything else as it is.

    Args:
        value: What was gathered, the same on every process.
        sample: A tensor of the model or of its optimiser.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(sample, DTensor) or getattr(value, "shape", None) != sample.shape:
        return value
    return distribute_tensor(value.to(sample.device), sample.device_mesh, sample.placements)
