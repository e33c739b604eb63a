"""Plugins of a gateway: WebAssembly components in a sandbox, swapped while the node runs."""
