"""WebAssembly's text format."""

from __future__ import annotations

from lab.errors import LabError
from lab.sdk.languages import Job


class Wat:
    """One `.wat` file."""

    name = "wat"
    suffixes = (".wat",)

    def build(self, job: Job) -> str:
        """Translate it; its syntax alone is judged here."""
        import wasmtime

        (source,) = job.sources
        try:
            module = wasmtime.wat2wasm((job.folder / source).read_bytes())
        except wasmtime.WasmtimeError as error:
            raise LabError(f"{job.name} does not compile", hint=f"{source}: {error}") from error
        job.output.write_bytes(module)
        return ""
