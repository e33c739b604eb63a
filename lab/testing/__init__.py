"""The test kit: labs and devices for tests that are not asynchronous.

`Bench` and `Device` are what the pytest fixtures (`lab.testing.plugin`) and the Robot library speak to.
Nothing is imported here before it is asked for: pytest loads the plugin of everybody who has the lab.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.testing.robot import LabLibrary

__all__ = ["LabLibrary"]


def __getattr__(name: str) -> object:
    if name == "LabLibrary":
        from lab.testing.robot import LabLibrary

        return LabLibrary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
