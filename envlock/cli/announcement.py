"""How ``envlock build`` tells people what it built and where that lies."""

from collections.abc import Sequence

from envlock.cli import terminal
from envlock.cli.destination import Destination
from envlock.cli.product import Product, combined


def show(products: Sequence[Product], written: Sequence[Destination]) -> None:
    """Say what was built and written."""
    for product in products:
        image = product.image
        size = sum(layer.size for layer in image.layers)
        platform = f", {product.platform}" if len(products) > 1 else ""
        terminal.err.print(
            f"[bold green]built[/] {len(image.layers)} layers, {size / 1e6:.0f} MB compressed{platform}"
        )
        terminal.err.print(f"  manifest  {image.digest}")
        terminal.err.print(f"  image ID  {image.config_digest}")
    if len(products) > 1:
        terminal.err.print(f"  index     {combined(products).digest}")
    for destination in written:
        terminal.err.print(f"  wrote     {destination}", markup=False)
