"""``p2p-guard``: each verb lives in the package that does the work; this file only lists them."""

import typer

from guard_server.adapters_cli import adapters
from guard_server.cli import probe, serve, sign, verify
from p2p_guard_cli.demo_cli import demo
from trainer.bench_cli import bench, report
from trainer.cli import attack, evaluate, train

app = typer.Typer(
    help="Poison-to-Poison: a backdoor defence for fine-tuned language models. Train with it, serve with it, probe it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold prompts and triggers
    rich_markup_mode=None,
)
app.add_typer(attack, name="attack")
app.add_typer(adapters, name="adapters")
for verb in (train, evaluate, bench, report, serve, probe, verify, sign, demo):
    app.command()(verb)
