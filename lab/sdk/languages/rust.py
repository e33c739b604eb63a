"""Rust without its standard library, by rustc alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab.errors import MissingError
from lab.sdk.languages import Job, need, run

_SDK = Path(__file__).parent.parent / "rust"
_TARGET = "wasm32-unknown-unknown"
_RUSTUP = "rustup target add wasm32-unknown-unknown"
_COMPILE = (
    "--edition=2021",
    f"--target={_TARGET}",
    "-Copt-level=s",
    "-Cpanic=abort",
    "-Ccodegen-units=1",
    "--color=never",
)


class Rust:
    """One crate: the first source is its root. The lab's own crate `lab` is there for ``use lab::…``."""

    name = "rust"
    suffixes = (".rs",)

    def build(self, job: Job) -> str:
        """Compile the lab's crate, then the app against it; both together take half a second."""
        rustc = need(
            "rustc", hint=f"apt-get install rustc libstd-rust-dev-wasm32 lld\nor, with rustup: {_RUSTUP}"
        )
        _check_target(rustc)
        library = job.output.with_name("liblab.rlib")
        run(
            (
                rustc,
                *_COMPILE,
                "--crate-type=rlib",
                "--crate-name=lab",
                "-o",
                str(library),
                str(_SDK / "lab.rs"),
            ),
            job,
        )
        # Later arguments win over what rustc gives the linker itself: a stack of 1 MiB.
        link = (
            f"-zstack-size={job.build.stack}",
            "--export=__heap_base",
            "--export=__data_end",
            "--stack-first",
        )
        return run(
            (
                rustc,
                *_COMPILE,
                "--crate-type=cdylib",
                f"--crate-name={job.name.replace('-', '_').replace('.', '_')}",
                f"--extern=lab={library}",
                "-Clto=fat",
                "-Cstrip=symbols",
                *_linker(rustc),
                *(f"-Clink-arg={argument}" for argument in link),
                "-o",
                str(job.output),
                job.sources[0],
            ),
            job,
        )


def _ask(rustc: str, what: str) -> Path:
    """Return a path that rustc knows."""
    done = subprocess.run(
        (rustc, f"--print={what}", f"--target={_TARGET}"), capture_output=True, text=True, check=False
    )
    return Path(done.stdout.strip())


def _check_target(rustc: str) -> None:
    if not any(_ask(rustc, "target-libdir").glob("libcore-*.rlib")):
        raise MissingError(
            f"{rustc} has no core library for {_TARGET}",
            hint=f"With rustup: {_RUSTUP}\nWith Debian's rustc: apt-get install libstd-rust-dev-wasm32",
        )


def _linker(rustc: str) -> tuple[str, ...]:
    """Return what makes rustc use wasm-ld: Debian's comes without a linker of its own."""
    if any(_ask(rustc, "sysroot").glob("lib/rustlib/*/bin/rust-lld")) or shutil.which("rust-lld"):
        return ()
    return (f"-Clinker={need('wasm-ld', hint='apt-get install lld')}", "-Clinker-flavor=wasm-ld")
