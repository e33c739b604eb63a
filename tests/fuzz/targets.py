"""The libFuzzer targets on the C core (``firmware/tests/fuzz``): build, seed, run, measure."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import cbor2
from wasmtime import wat2wasm

from lab import build, contract, link, paths, third_party
from lab.errors import LabError, MissingError
from lab.sdk import binary
from lab.wire import messages as m
from tests.fuzz import corpus

SOURCES = paths.data("firmware") / "tests" / "fuzz"
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in SOURCES.glob("fuzz_*.c"))
REGRESSIONS = Path(__file__).parent / "regressions"
"""Inputs that once crashed a target, in a folder of its name: ``<what it was>.bin``."""

_MAX_LENGTH = {"link": 300, "simbus": 1000}
"""Bytes of an input, where it is not `_USUAL_LENGTH`: a few of these move a kilobyte."""
_USUAL_LENGTH = 4096
_MEMORY_MB = 1024
_SLOW_S = 20
"""Seconds after which one input counts as a hang."""


@functools.cache
def folder() -> Path:
    """Return where the targets are, built if they were not.

    :raises MissingError: there is no clang, or none with libFuzzer.
    """
    return build.build("native-fuzz").image.parent / "tests" / "fuzz"


# -- seeds


def seeds(target: str, seed: int = 0, per_rule: int = 20) -> Iterator[bytes]:
    """Yield inputs that reach deep into a target; the messages among them come from the schema."""
    match target:
        case "wire":
            for sample in corpus.samples(seed, per_rule):
                yield bytes([sample.kind]) + sample.body
        case "identity" | "manifest" | "package":
            head = b"" if target == "manifest" else b"\2"
            for sample in corpus.samples(seed, 5 * per_rule, [target]):
                yield head + sample.body
            if target == "manifest":
                yield from map(m.pack, _MANIFESTS)
            if target == "package":
                payload = m.pack(_PACKAGE)
                opening = bytes.fromhex("d2844da2012604480000000000000000a0")
                yield from (b"\6\5\0\1" + payload, b"\6\5\0\0" + payload)
                whole = b"\1" + opening + b"".join(map(cbor2.dumps, (payload, bytes(64))))
                yield from (whole, whole[:-1], whole[:-66], whole + b"\0")
                yield from (
                    head + m.pack(replace(_PACKAGE, classes=classes)) for classes in ((), ("x", "lab"))
                )
        case "frame":
            for sample in corpus.samples(seed, per_rule, ["stop", "heartbeat"]):
                yield link.frame(sample.body[:64]) + link.frame(sample.body[:3])
        case "link":
            yield from _link_scripts(Random(seed))
        case "simbus":
            random = Random(seed)
            for operation in range(10):
                # size:u16 room:u8 operation, then the answer: 0x40 a payload of size:u16, 0x10 a status
                yield struct.pack("<HBBBH", 4, 8, operation, 0x40, 4) + b"abcd"
                yield struct.pack("<HBBBB", 4, 8, operation, 0x10, 1) + random.randbytes(20)
        case "module":
            yield from _modules()
            for sample in corpus.samples(seed, per_rule, ["manifest"]):
                yield binary.with_custom(next(_modules()), "lab:manifest", sample.body)
        case "log":
            random = Random(seed)
            for unit in range(5):
                # below 200 a write, then its id, size, byte and power cut (128 and up); to 229 a restart
                for cuts in (0, 255):
                    writes = (
                        bytes([0, *random.choices(range(250), k=3), random.choice((0, cuts))])
                        for _ in range(99)
                    )
                    yield bytes([unit]) + b"".join(writes) + b"\xdd"
        case "device":
            yield from _device_scripts(seed, per_rule)


def _modules() -> Iterator[bytes]:
    """Yield modules that are as different as there is to be found out about them."""
    for text in _MODULES:
        module = bytes(wat2wasm(f"(module {text})"))
        yield module
        for manifest in _MANIFESTS:
            yield binary.with_custom(module, "lab:manifest", m.pack(manifest))
    for interface, functions in contract.IMPORTS.items():
        manifest = m.Manifest(1, (_short(interface),), (0x76, 0x77), 0, 0)
        for given in (
            (0, 4, 8, 4, 16, 0, 0, 0),
            (1, 1, 4, 6, 64, 1, 1, 1),
            (2, 3, 8, 2, 32, 3, 3, 3),
            (0x77, 0, 2, 8, 24, 2, 2, 2),
        ):
            module = bytes(wat2wasm(_caller(interface, functions, given)))
            yield binary.with_custom(module, "lab:manifest", m.pack(manifest))


def _caller(interface: str, functions: Mapping[str, contract.Signature], given: tuple[int, ...]) -> str:
    """Return a module in text format that calls an interface's functions at every poll with what is given."""
    imports, calls = [], []
    for at, (name, type_) in enumerate(functions.items()):
        imports.append(
            f'(import "{interface}" "{name}" (func $f{at} (param {" ".join(type_.parameters)})'
            f" (result {' '.join(type_.results)})))"
        )
        arguments = (f"({kind}.const {value})" for kind, value in zip(type_.parameters, given, strict=False))
        calls.append(f"(call $f{at} {' '.join(arguments)})" + " (drop)" * len(type_.results))
    return f"""(module {" ".join(imports)} (memory (export "memory") 1) (data (i32.const 0) "key value text")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
        (func (export "init") (result i32) (i32.const 500))
        (func (export "poll") {" ".join(calls)}))"""


def _short(interface: str) -> str:
    """Return what a manifest calls an interface."""
    return interface.partition("/")[2].partition("@")[0]


_MANIFESTS = (
    m.Manifest(1, (), (), 0, 0),
    m.Manifest(1, ("log", "clock", "publish", "kv", "system-info"), (), 65536, 5000),
    m.Manifest(1, tuple(map(_short, contract.IMPORTS)), (0x76, 0x77), 0, 0),
)

_PACKAGE = m.Package(1, "app", "1.0", 7, "lab", (), 100, bytes(32), _MANIFESTS[1], 3, 10_000)

_MODULES = (
    '(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))',
    """(import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32)))
       (memory (export "memory") 1) (data (i32.const 16) "hello")
       (global (export "__heap_base") i32 (i32.const 2048))
       (global (export "__data_end") i32 (i32.const 1024))
       (func (export "init") (result i32)
         (call $log (i32.const 1) (i32.const 16) (i32.const 5)) (i32.const 100))
       (func (export "poll") (call $log (i32.const 9) (i32.const 65530) (i32.const 50)))""",
    """(import "lab:device/publish@0.1.0" "send" (func $send (param i32 i32 i32 i32)))
       (import "lab:device/clock@0.1.0" "now" (func $now (result i64)))
       (memory (export "memory") 1 2) (table 2 funcref) (elem (i32.const 0) $echo)
       (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64))
       (func $echo (export "on-command") (param i32 i32) (result i32)
         (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1)) (i32.const 0))
       (func (export "_initialize") (drop (memory.grow (i32.const 1))) (drop (call $now))
         (call $send (i32.const 64) (i32.const 3) (i32.const 64) (i32.const 8)))
       (func (export "spin") (loop (br 0)))
       (func (export "deep") (param f64) (result f64 i64) (call_indirect (param i32 i32) (result i32)
         (i32.const 1) (i32.const 2) (i32.const 0)) drop (local.get 0) (i64.const -1))
       (func $down (export "down") (call $down))""",
    "(memory 1) (start $s) (func $s (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)))",
)


def _link_scripts(random: Random) -> Iterator[bytes]:
    """Scripts of ``fuzz_link.c``: an operation's number, then what it takes."""

    def ours(kind: int, payload: bytes, ahead: int = 0) -> bytes:
        return struct.pack("<BBBH", 2, kind, ahead, len(payload)) + payload

    accept = ours(link.Type.ACCEPT, struct.pack("<I", 4096))
    drain = struct.pack("<BH", 10, 2000)
    read = struct.pack("<BH", 4, 1000)
    write = struct.pack("<BH", 5, 300)
    wait = struct.pack("<BH", 3, 260)
    many = struct.pack("<BBBH", 2, 0x80 | link.Type.DATA, 0, 1000)
    data = [ours(link.Type.DATA, random.randbytes(size)) for size in (1, 30, 100)]
    yield accept + drain + b"".join(data) + read + drain + write + drain
    yield accept + drain * 2 + write + drain + (wait + drain) * 22
    yield accept + data[2] * 5 + read + drain
    yield accept + drain + (many * 2 + read + drain + read + drain) * 5
    yield accept + drain + many * 4 + read + read + drain + many * 2 + read * 4 + drain + many
    yield accept + data[0] + ours(link.Type.DATA, b"lost", 2) + drain + ours(link.Type.SYNC, b"", 1) + drain
    yield accept + ours(link.Type.CREDIT, struct.pack("<I", 9000)) + ours(link.Type.SYNC, b"") + drain
    yield ours(link.Type.CLOSE, b"\2no route") + drain + b"\6\0" + drain
    yield (
        ours(link.Type.CONSOLE, b"help\n")
        + struct.pack("<BB", 8, 9)
        + struct.pack("<BH", 9, 40)
        + drain
        + b"\7"
    )
    noise = link.frame(b"\3\x34\x12\0\0abc")
    yield struct.pack("<BB", 0, len(noise)) + noise + struct.pack("<BB", 1, 5) + b"\5\0\0\0\0" + drain


def _device_scripts(seed: int, per_rule: int) -> Iterator[bytes]:
    """Scripts of ``fuzz_device.c``: an operation's number, then what it takes."""

    def message(kind: int, body: bytes) -> bytes:
        return struct.pack("<BBBH", 0, kind, 1, len(body)) + body

    def deploy(number: int, module: bytes) -> bytes:
        return struct.pack("<BBH", 2, number, len(module)) + module

    def deploy_signed(sequence: int, module: bytes, change: int = 0) -> bytes:
        claims = struct.pack("<BBBHBB", 7, sequence, 2, 500, 1, 0b11111) + struct.pack("<HH", 4096, 20_000)
        return claims + struct.pack("<HBBH", 9, change, 0, len(module)) + module

    wait = struct.pack("<BH", 4, 1000)
    parts = struct.pack("<BB", 1, 200) + Random(seed).randbytes(200)
    typed = b"".join(bytes([5, len(line)]) + line for line in (b"status\n", b"apps\n", b"help\n", b"reset\n"))
    for module in _modules():
        calls = [m.Call("app0", name, (1, 2)) for name in ("add", "poll", "spin", "down", "deep")]
        asked = [m.Command("app0", b"fuzz"), *calls, m.ListApps(), m.Stop("app0"), m.Reset()]
        asking = b"".join(message(each.KIND, m.pack(each)) for each in asked)
        yield deploy(0, module) + (parts + wait) * 3 + asking + wait + typed
    gateway = [rule for rule, kind in corpus.KINDS.items() if m.FIRST_GATEWAY_KIND <= kind < 250]
    for sample in corpus.samples(seed, per_rule, gateway):
        yield deploy(1, module) + message(sample.kind, sample.body) + wait + b"\6\0" + wait
    for cut in range(100, 250, 9):
        yield deploy(0, module) + wait * 3 + bytes([6, cut]) + deploy(0, next(_modules())) + wait * 3
    for cut in (0, *range(100, 250, 30)):
        power = bytes([6, cut]) if cut else b""
        yield deploy_signed(1, module) + wait + power + deploy_signed(2, next(_modules())) + wait * 3
    yield deploy_signed(3, module) + wait + deploy_signed(2, module) + wait + deploy_signed(4, module, 1)
    yield bytes([6, 255, 0, 6, 255, 9]) + deploy(0, module) + wait * 3 + deploy(1, module) + wait


# -- running


@dataclass(frozen=True, slots=True)
class Run:
    """What libFuzzer said.

    :param executions: inputs tried.
    :param coverage: edges of the control flow that were reached.
    :param features: what libFuzzer counts besides: how often an edge, what was compared.
    :param crash: the input that broke the target, if one did.
    :param output: everything it wrote.
    """

    target: str
    executions: int
    coverage: int
    features: int
    crash: Path | None
    output: str


def known(target: str) -> list[bytes]:
    """Return the inputs that once crashed a target."""
    return [path.read_bytes() for path in sorted((REGRESSIONS / target).glob("*.bin"))]


def write_corpus(into: Path, contents: Iterable[bytes]) -> None:
    """Add inputs to a corpus, each in a file named for its content."""
    into.mkdir(parents=True, exist_ok=True)
    for content in contents:
        name = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if not (into / name).exists():
            (into / name).write_bytes(content)


def run(
    target: str,
    corpus_folder: Path,
    *options: str,
    program: Sequence[str] | None = None,
    profile: Path | None = None,
) -> Run:
    """Run a target on a corpus, which it adds to.

    :param options: libFuzzer's own, such as ``-runs=1000`` (the corpus included) or ``-max_total_time=60``.
    :param program: its command; default: the libFuzzer target of that name.
    :param profile: where its coverage goes.
    """
    artifacts = corpus_folder.with_name(f"{corpus_folder.name}-crashes")
    artifacts.mkdir(parents=True, exist_ok=True)
    before = set(artifacts.iterdir())
    done = subprocess.run(
        [
            *(program or [folder() / f"fuzz_{target}"]),
            f"-max_len={_MAX_LENGTH.get(target, _USUAL_LENGTH)}",
            f"-rss_limit_mb={_MEMORY_MB}",
            f"-timeout={_SLOW_S}",
            f"-artifact_prefix={artifacts}/",
            "-print_final_stats=1",
            *options,
            corpus_folder,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"LLVM_PROFILE_FILE": str(profile or "/dev/null")},
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    crashes = sorted(set(artifacts.iterdir()) - before)
    if done.returncode and not crashes:
        raise LabError(f"{target} ended with {done.returncode}:\n{output[-4000:]}")
    progress = re.findall(r"cov: (\d+) ft: (\d+)", output) or [("0", "0")]
    executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    return Run(
        target=target,
        executions=int(executions[1]) if executions else 0,
        coverage=int(progress[-1][0]),
        features=int(progress[-1][1]),
        crash=crashes[0] if crashes else None,
        output=output,
    )


# -- measuring


def coverage(corpora: Mapping[str, Path]) -> str:
    """Return a table of the core's files and how much of each the corpora reach, by llvm-cov."""
    tools = [_tool("llvm-profdata"), _tool("llvm-cov")]
    with tempfile.TemporaryDirectory() as scratch:
        profiles = []
        for target, inputs in corpora.items():
            profiles.append(Path(scratch) / f"{target}.profraw")
            run(target, inputs, "-runs=0", profile=profiles[-1])
        merged = Path(scratch) / "merged.profdata"
        subprocess.run(
            [tools[0], "merge", "-sparse", *profiles, "-o", merged], check=True, capture_output=True
        )
        programs = [folder() / f"fuzz_{target}" for target in corpora]
        objects = [word for program in programs[1:] for word in ("-object", program)]
        exported = subprocess.run(
            [tools[1], "export", "-summary-only", f"-instr-profile={merged}", programs[0], *objects],
            check=True,
            capture_output=True,
        )
    rows = [f"{'file':28} {'lines':>12} {'branches':>12} {'functions':>12}"]
    data = json.loads(exported.stdout)["data"][0]
    files = {file["filename"].partition("firmware/core/")[2]: file["summary"] for file in data["files"]}
    for name, summary in [*sorted(files.items()), ("all", data["totals"])]:
        if summary["lines"]["count"] == 0:  # a header of declarations
            continue
        rows.append(f"{name:28} " + " ".join(map(_share, _KINDS_OF_COVERAGE, [summary] * 3)))
    return "\n".join(rows)


_KINDS_OF_COVERAGE = ("lines", "branches", "functions")


def _share(kind: str, summary: dict[str, dict[str, float]]) -> str:
    return f"{summary[kind]['percent']:5.1f}% {'of ' + str(summary[kind]['count']):>5}"


def _tool(name: str) -> str:
    """Return the LLVM tool of the clang that compiled the targets."""
    found = subprocess.run(["clang", f"-print-prog-name={name}"], capture_output=True, text=True, check=True)
    path = shutil.which(found.stdout.strip())
    if path is None:
        raise MissingError(f"{name} is missing", hint=third_party.apt_install("llvm"))
    return path
