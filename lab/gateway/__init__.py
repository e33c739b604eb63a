"""The gateway: where devices connect, and where apps are sent from.

::

    async with Store(home) as store, Events(store) as events:
        gateway = Gateway(store, events, Authority(home))
        await gateway.start()                                   # gateway.address is where bridges connect
        await gateway.register("board-1", "mps2-an385", "qemu")  # a device the lab made; others pair
        await gateway.connected("board-1")
        await gateway.deploy("board-1", package)
        [value] = await gateway.call("board-1", "fib", "fib", [20])
        await gateway.stop()
"""

from lab.gateway.gateway import Config, Gateway
from lab.gateway.registry import AppInfo, DeviceInfo, DeviceState

__all__ = ["AppInfo", "Config", "DeviceInfo", "DeviceState", "Gateway"]
