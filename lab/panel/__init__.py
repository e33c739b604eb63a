"""The panel: the lab in a browser, on the same API that every other face uses.

`pages` renders them; they hold no data but who looks. ES modules in ``static`` fetch the rest from
``/api/v1`` and follow ``/api/v1/stream``. Third-party browser code is fetched by `vendor`, never committed.
"""
