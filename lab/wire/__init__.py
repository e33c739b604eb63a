"""What a device and the gateway say to each other: `messages` in Python, `wire.cddl` for everyone."""
