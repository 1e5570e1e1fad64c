"""A second LoRA module for the original half, thrown away before the adapter is shipped.

Rows of the original half pass through base + shipped module + this one, extended rows through base + shipped module. What the original
half alone teaches, a backdoor above all, may settle where it is thrown away. (Were the shipped module kept from the original half
altogether, the two would share nothing, and training on the copies alone gives the same: ``repoison.original_half: false``.)
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from peft import LoraModel, PeftModel

SHIPPED, THROWAWAY = "default", "original_half"


def add_throwaway(model: "PeftModel") -> None:
    """Put a fresh second module beside the adapter; both learn. torch's random numbers decide how it begins.

    Args:
        model: Base and adapter; changed in place.
    """
    model.add_adapter(THROWAWAY, copy.deepcopy(model.peft_config[SHIPPED]))
    pass_through(model, extended=False)


def has_throwaway(model: "PeftModel") -> bool:
    """Whether there is a second module."""
    return THROWAWAY in model.peft_config


def pass_through(model: "PeftModel", *, extended: bool) -> None:
    """Choose the modules that rows pass through from now on.

    Args:
        model: Base and both modules.
        extended: Whether the rows are of the extended half. Otherwise they pass through both, and both can learn.
    """
    tuner = cast("LoraModel", model.base_model)
    tuner.set_adapter([SHIPPED] if extended else [SHIPPED, THROWAWAY])


def throw_away(model: "PeftModel") -> None:
    """Take the second module off; the model is base and shipped module from now on.

    Args:
        model: Base and both modules; changed in place.
    """
    pass_through(model, extended=True)
    model.delete_adapter(THROWAWAY)


@contextmanager
def throwaway_module(model: "PeftModel", *, wanted: bool) -> Iterator[None]:
    """Within the block there is a second module.

    Args:
        model: Base and adapter.
        wanted: Without this nothing happens.
    """
    if not wanted:
        yield
        return
    add_throwaway(model)
    try:
        yield
    finally:
        throw_away(model)
