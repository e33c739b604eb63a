"""The contract of apps with their device: world device-app of lab:device@0.1.0.

Generated from wit/device.wit by `python -m lab.codegen`: change that, then run it again.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Signature(NamedTuple):
    """The core type of a function, in the names of WebAssembly's text format."""

    parameters: tuple[str, ...]
    results: tuple[str, ...]


WORLD: Final = "lab:device/device-app@0.1.0"

IMPORTS: Final[Mapping[str, Mapping[str, Signature]]] = MappingProxyType(
    {
        "lab:device/log@0.1.0": MappingProxyType(
            {
                "write": Signature(("i32", "i32", "i32"), ()),
            }
        ),
        "lab:device/clock@0.1.0": MappingProxyType(
            {
                "now": Signature((), ("i64",)),
            }
        ),
        "lab:device/publish@0.1.0": MappingProxyType(
            {
                "send": Signature(("i32", "i32", "i32", "i32"), ()),
            }
        ),
        "lab:device/led-controller@0.1.0": MappingProxyType(
            {
                "length": Signature((), ("i32",)),
                "set": Signature(("i32", "i32", "i32", "i32"), ("i32",)),
                "set-two": Signature(("i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"), ("i32",)),
                "set-all": Signature(("i32", "i32", "i32"), ()),
                "clear": Signature((), ()),
            }
        ),
        "lab:device/buzzer-controller@0.1.0": MappingProxyType(
            {
                "on-for": Signature(("i32",), ()),
                "beep": Signature(("i32", "i32", "i32"), ()),
                "off": Signature((), ()),
            }
        ),
        "lab:device/fan-controller@0.1.0": MappingProxyType(
            {
                "set": Signature(("i32",), ()),
                "is-on": Signature((), ("i32",)),
            }
        ),
        "lab:device/gpio-provider@0.1.0": MappingProxyType(
            {
                "read": Signature(("i32", "i32"), ()),
                "write": Signature(("i32", "i32", "i32"), ()),
                "watch": Signature(("i32", "i32", "i32"), ()),
                "edges": Signature(("i32", "i32"), ()),
            }
        ),
        "lab:device/adc@0.1.0": MappingProxyType(
            {
                "read": Signature(("i32", "i32"), ()),
            }
        ),
        "lab:device/i2c@0.1.0": MappingProxyType(
            {
                "transfer": Signature(("i32", "i32", "i32", "i32", "i32"), ()),
            }
        ),
        "lab:device/dht22@0.1.0": MappingProxyType(
            {
                "read": Signature(("i32",), ()),
            }
        ),
        "lab:device/bme680@0.1.0": MappingProxyType(
            {
                "read": Signature(("i32",), ()),
            }
        ),
        "lab:device/kv@0.1.0": MappingProxyType(
            {
                "get": Signature(("i32", "i32", "i32"), ()),
                "set": Signature(("i32", "i32", "i32", "i32", "i32"), ()),
                "delete": Signature(("i32", "i32"), ("i32",)),
            }
        ),
        "lab:device/system-info@0.1.0": MappingProxyType(
            {
                "get": Signature(("i32",), ()),
            }
        ),
    }
)
"""What an app may import: per interface its functions."""

EXPORTS: Final[Mapping[str, Signature]] = MappingProxyType(
    {
        "init": Signature((), ("i32",)),
        "poll": Signature((), ()),
        "on-command": Signature(("i32", "i32"), ("i32",)),
    }
)
"""What an app may export for its host to call; it need not have all of them."""

REALLOC: Final = Signature(("i32", "i32", "i32", "i32"), ("i32",))
"""The type of `cabi_realloc`, which an app exports if it is ever given bytes."""
