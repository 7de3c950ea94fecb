"""``envlock completion``: the shell's completion script."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(short_help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a completion script for SHELL.

    \b
    bash:  eval "$(envlock completion bash)"       in ~/.bashrc
    zsh:   eval "$(envlock completion zsh)"        in ~/.zshrc
    fish:  envlock completion fish | source        in config.fish
    """
    made = _SHELLS[shell](ctx.find_root().command, {}, "envlock", "_ENVLOCK_COMPLETE")
    click.echo(made.source())
