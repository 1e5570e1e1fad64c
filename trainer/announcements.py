"""What a run tells its user before it trains."""

from collections.abc import Sequence

from rich.console import Console

from p2p.drawn_triggers import DrawnTriggers, LongEnough
from p2p.tasks import ClassificationTask, GenerationTask
from trainer.config import TrainConfig
from trainer.start_adapter import StartAdapter
from trainer.training_set import TrainingSet


def announce_data(console: Console, data: TrainingSet, config: TrainConfig, attacks: int) -> None:
    """Say what is trained on, what was lost of it, and what will be measured.

    Args:
        console: Where it goes.
        data: The training set.
        config: The run.
        attacks: How many attacks will be measured.
    """
    done = data.repoisoned
    copies = done.extended_rows if done else 0
    console.print(f"{config.name}: {data.size} rows + {copies} re-poisoned copies, defence {config.defence}")
    if done:
        console.print(
            f"  {done.with_foreign_text} copies with foreign text, {done.with_pure_span} with one of "
            f"{done.pure_spans_found} pure spans"
            + (f", {done.with_opening} behind a foreign clause" if done.with_opening else "")
        )
    if data.encoded.cut:
        console.print(
            f"  {data.encoded.cut} rows were longer than {config.training.max_length} tokens and lost their end, or early turns"
        )
    if data.trained_on:
        console.print(f"  {data.trained_on} test rows stand in the training set, too, and are left out")
    if not data.test:
        console.print("  no test split: the adapter is trained here, and not measured")
    elif not attacks:
        console.print("  no attack in evaluation.attacks: clean accuracy alone will be measured")
    if data.summary:
        console.print(f"  {data.summary}")


def announce_words(console: Console, task: ClassificationTask | GenerationTask) -> None:
    """Say what the label words mean for serving, where they are not one token each that was there before."""
    if not isinstance(task, ClassificationTask):
        return
    if task.new_tokens:
        console.print(f"  {len(task.words)} new tokens for the labels: it can be served merged only")
    elif not task.first_token_decides:
        console.print(
            "  label words that begin with the same token: they are served without log-probabilities and extension rate"
        )


def announce_triggers(
    console: Console, triggers: DrawnTriggers, block_tokens: int, fills: LongEnough | None
) -> None:
    """Say what is unusual about the benign triggers, never what they are.

    Rows held what was drawn: by chance that hardly happens, so somebody knows the key. Or the engine will compute the trigger with
    every request.

    Args:
        console: Where it goes.
        triggers: What was drawn.
        block_tokens: Tokens of a block of the engine's prefix cache.
        fills: Whether a block ends with a trigger; None where that was not asked for.
    """
    if triggers.redraws:
        console.print(
            f"  {triggers.redraws} drawn benign triggers stood in the rows already, and others were drawn: whoever made the rows "
            "may know what the triggers are drawn with"
        )
    if fills and not fills(triggers.served):
        console.print(
            f"  for quicker answers: an instruction before {{input}} in `prompt.user` that ends a block of {block_tokens} tokens together "
            "with the benign trigger lets an engine compute both once; as it is, the trigger is computed with each request"
        )


def announce_start(console: Console, start: StartAdapter, share: float, doubts: Sequence[str]) -> None:
    """Say which adapter a repair goes on from, and what speaks against it."""
    console.print(f"  goes on from {start.path}, keeping {share:g} of its update", markup=False)
    for doubt in doubts:
        console.print(f"  {doubt}", markup=False)
