"""The test kit: labs and devices for tests that are not asynchronous.

`Bench` and `Device` are what the pytest fixtures (`lab.testing.plugin`) and the Robot library speak to.
Nothing is imported here: pytest loads the plugin of everybody who has the lab installed.
"""
