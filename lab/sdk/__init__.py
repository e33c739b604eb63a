"""The app developer's side: templates, manifests, compilers, and the check of what they made."""

from lab.sdk.compiler import Compiled, compile
from lab.sdk.scaffold import new, templates
from lab.sdk.validate import check

__all__ = ["Compiled", "check", "compile", "new", "templates"]
