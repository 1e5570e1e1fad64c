"""``p2p-guard``: each verb lives in the package that does the work; this file only lists them."""

import typer

from guard_server.adapters_cli import adapters
from guard_server.cli import serve, sign, verify
from guard_server.probe_cli import probe
from p2p_guard_cli.demo_cli import demo
from p2p_guard_cli.probe_new_cli import new
from trainer.bench_cli import bench, report
from trainer.cli import attack, evaluate, train

app = typer.Typer(
    help="Poison-to-Poison: a backdoor defence for fine-tuned language models. Train with it, serve with it, probe it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold prompts and triggers
    rich_markup_mode=None,
)
app.add_typer(attack, name="attack")
probe.command("new")(new)
app.add_typer(probe, name="probe")
app.add_typer(adapters, name="adapters")
for verb in (train, evaluate, bench, report, serve, verify, sign, demo):
    app.command()(verb)
