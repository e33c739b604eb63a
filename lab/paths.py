"""Where the lab's own files are: in the checkout, or packed into the installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent


def data(name: str) -> Path:
    """Return the folder `name` (``platforms``, ``firmware``, ``wit``, ``apps``) that the lab ships."""
    checkout = _CHECKOUT / name
    return checkout if checkout.is_dir() else _PACKAGE / "_data" / name
