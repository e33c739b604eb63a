"""The generated natives against an app that lies about pointers, lengths, enumerations and texts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import third_party
from lab.errors import MissingError

FIRMWARE = Path(__file__).parents[2] / "firmware"
CONTRACT = FIRMWARE / "core" / "apps" / "contract.h"

_PROTOTYPE = re.compile(
    r"^(bool|void|u?int\d+_t|float) (lab_api_\w+)\((struct lab_apps \*apps[^)]*)\);", re.M | re.S
)


def functions(header: str) -> str:
    """Define each lab_api_* function: it reads all it is given and answers with as much as it may."""
    found = []
    for result, name, parameters in _PROTOTYPE.findall(header):
        if name == "lab_api_allocate":
            continue  # natives.c has a hostile one
        names = [each.split()[-1].lstrip("*") for each in parameters.split(",")]
        body = ["(void)apps;"]
        for each, own in zip(parameters.split(","), names, strict=True):
            if "const char *" in each or "const uint8_t *" in each:
                body.append(f"touch({own}, {own}_size);")
            elif "struct lab_api_list *" in each:
                body.append(f"{own}->size = (uint32_t)rand() % (LAB_API_LIST_MAX + 1);")
            elif "*" in each and own != "apps":
                body.append(f"memset({own}, 1, sizeof *{own});")
            elif own != "apps":
                body.append(f"(void){own};")
        if result != "void":
            body.append(f"return ({result})(rand() % 2);")
        found.append(f"{result} {name}({parameters}) {{ {' '.join(body)} }}")
    return "\n".join(found) + "\n"


@pytest.fixture(scope="session")
def natives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("needs a C compiler (apt install gcc)")
    try:
        wamr = third_party.fetch()["wamr"]
    except MissingError as error:
        pytest.skip(error.message)
    folder = tmp_path_factory.mktemp("natives")
    text = functions(CONTRACT.read_text())
    assert text.count("lab_api_") >= 25
    (folder / "functions.h").write_text(text)
    flags = [
        "-std=gnu11",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]
    includes = [f"-I{path}" for path in (folder, FIRMWARE / "core", wamr / "core" / "iwasm" / "include")]
    sources = [FIRMWARE / "tests" / "contract" / "natives.c", FIRMWARE / "core" / "apps" / "contract.c"]
    subprocess.run([cc, *flags, *includes, *sources, "-o", folder / "natives"], check=True)
    return folder / "natives"


@pytest.mark.parametrize("seed", range(1, 4))
def test_hostile_arguments_touch_nothing_but_the_apps_memory(natives: Path, seed: int) -> None:
    done = subprocess.run([natives, str(seed), "20000"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Each of the natives was called often, and with these arguments most calls must have been refused.
    assert 4000 < int(done.stdout.split()[0]) < 20000


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")),
            st.text(max_size=4).flatmap(
                lambda text: st.binary(max_size=2).map(lambda tail: text.encode() + tail)
            ),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_text_is_utf8_by_pythons_judgement(natives: Path, texts: list[bytes]) -> None:
    given_lines = "".join(f"{text.hex()}\n" for text in texts)
    done = subprocess.run([natives], input=given_lines, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["taken" if is_utf8(text) else "text is not UTF-8" for text in texts]


def is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
