"""The lab's API, `/api/v1`: what the CLI, the test kit and the panel speak.

One file a resource, each with a `router`; `app` puts them together. A new resource is a file here and its
router in `app.ROUTERS`. Errors are problem documents (`problems`), long work is `operations`, and who may
do what is `auth`.
"""

from lab.api.app import create_api

__all__ = ["create_api"]
