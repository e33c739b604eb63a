"""The simulated parts, one file each: its name is the ``kind`` that boards say, `MODEL` its class."""
