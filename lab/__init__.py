"""The lab: boots boards that run WASM, and everything that talks to them."""

from lab._version import __version__

__all__ = ["__version__"]
