"""``envlock completion``: the shell's completion script."""

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a completion script for SHELL.

    \b
    bash:  eval "$(envlock completion bash)"       in ~/.bashrc
    zsh:   eval "$(envlock completion zsh)"        in ~/.zshrc
    fish:  envlock completion fish | source        in config.fish
    """
    completion = get_completion_class(shell)
    if completion is None:  # pragma: no cover - the choices above are click's own
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completion(ctx.find_root().command, {}, "envlock", "_ENVLOCK_COMPLETE").source())
