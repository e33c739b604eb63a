"""The pytest plugin, run by pytest's own `pytester` on projects of a few lines."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from struct import unpack_from
from xml.etree import ElementTree

import psutil
import pytest

import lab.testing.bench
import lab.testing.records  # noqa: F401  before pytester: it drops what is first imported in its runs
from lab import third_party

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.hil

CACHE = third_party.cache()

BOOTS = """
    def test_boots(device, board):
        device.expect(f"on {board.name}, boot 1")
"""


@pytest.fixture(autouse=True)
def surroundings(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what was built for this machine: `pytester` has a home folder of its own.

    And keep this process's signal handlers: at its end, a run inside would take faulthandler's away with
    those that wasmtime has set since, and the next trap of a module would end this process.
    """
    monkeypatch.setenv("LAB_CACHE", str(CACHE))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:faulthandler")


# -- which boards


def test_the_command_line_chooses_boards(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BOOTS)
    done = pytester.runpytest("-v", "--board=native", "--board=mps2-an385")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["*test_boots?native? PASSED*", "*test_boots?mps2-an385? PASSED*"])


def test_the_configuration_file_chooses_boards(pytester: pytest.Pytester) -> None:
    (pytester.path / "boards").mkdir()
    (pytester.path / "boards" / "desk.toml").write_text('like = "native"\ntitle = "A board of ours"\n')
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nlab_boards = ["desk"]\nlab_platforms = "boards"\n')
    pytester.makepyfile("def test_title(device, board): assert board.title == 'A board of ours'")
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_marker_says_what_a_test_is_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.board("native", "mps2-an385")
        def test_these(board):
            pass
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)
    pytester.runpytest("--board=native", "--board=mps2-an500").assert_outcomes(passed=1)
    done = pytester.runpytest("--board=mps2-an500", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*is for native, mps2-an385; --board asks for mps2-an500"])


def test_a_board_nobody_knows_is_said(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BOOTS)
    done = pytester.runpytest("--board=nativ")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*there is no board 'nativ'*", "*Did you mean 'native'?*"])


def test_what_a_board_lacks_is_the_reason_of_a_skip(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.needs("bme680", "camera")
        def test_part(device):
            pass

        @pytest.mark.engine("renode", "qemu")
        def test_engine(device):
            pass

        @pytest.mark.engine("native")
        @pytest.mark.needs("bme680", "fan")
        def test_there(device):
            pass
        """
    )
    done = pytester.runpytest("-rs")
    done.assert_outcomes(passed=1, skipped=2)
    done.stdout.fnmatch_lines(
        [
            "*lacks*.py:3: needs camera; native has bme680, buzzer, *",
            "*lacks*.py:7: needs engine renode or qemu; native is native",
        ]
    )


def test_what_the_machine_lacks_is_the_reason_of_a_skip(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for tool in folder.glob("*"):
            if not tool.name.startswith("qemu-") and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    monkeypatch.setenv("PATH", str(tools))
    pytester.makepyfile(BOOTS)
    done = pytester.runpytest("--board=mps2-an385", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*qemu-system-arm is*apt install qemu-system-arm*"])
    pytester.runpytest("--board=mps2-an385", "--lab-missing=fail").assert_outcomes(errors=1)


# -- scopes


@pytest.mark.parametrize(("scope", "devices"), [("function", 3), ("module", 2), ("session", 1)])
def test_a_device_lives_as_long_as_asked(pytester: pytest.Pytester, scope: str, devices: int) -> None:
    log = pytester.path / "pids"
    test = f"def test(device): print(device.info['pid'], file=open({str(log)!r}, 'a'))\n"
    pytester.makepyfile(test_one=test + test.replace("test(", "test_again("), test_two=test)
    pytester.runpytest(f"--lab-scope={scope}").assert_outcomes(passed=3)
    assert len(set(log.read_text().splitlines())) == devices


def test_a_fleet_is_booted_and_gone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_fleet(fleet, lab):
            devices = fleet(4)
            assert [device.state for device in devices] == ["connected"] * 4
            assert lab.devices == devices
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


# -- what is told of a test

FAILS = """
    def test_fails(device):
        device.expect("no such words", timeout=0.1)

    def test_compares(device):
        assert device.leds[0] == (1, 2, 3)
"""


def test_a_failure_shows_the_device(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILS)
    done = pytester.runpytest()
    done.assert_outcomes(failed=2)
    shown = [
        "native-1: native (native), connected, boot 1 (power-on), apps: none",
        "files: /*/devices/native-1",
        "end of its console (all of it: /*/console.log):",
        "  connected: welcomed by the gateway *",
    ]
    done.stdout.fnmatch_lines(
        [
            "E *ExpectationError: native-1 said nothing to match 'no such words' within 0.1 s",
            *(f"E *{line}" for line in shown),
            "E *assert Colour(red=0, green=0, blue=0) == (1, 2, 3)",
            "*- lab device native-1 -*",
            *shown,
        ]
    )
    assert "concurrent/futures" not in done.stdout.str()


def test_artifacts_of_failed_tests_are_kept(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BOOTS + FAILS)
    done = pytester.runpytest("--lab-artifacts=kept")
    done.assert_outcomes(passed=1, failed=2)
    kept = pytester.path / "kept"
    assert len(list(kept.iterdir())) == 2
    [folder] = kept.glob("*test_fails*")
    device = folder / "native-1"
    done.stdout.fnmatch_lines(["*- lab artifacts -*", str(folder)])
    assert "boot 1" in (device / "console.log").read_text()
    assert json.loads((device / "device.json").read_text())["engine"] == "native"
    assert len(gzip.decompress((device / "flash.bin.gz").read_bytes())) > 0
    kinds = [json.loads(line)["kind"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert "device.connected" in kinds
    frames = read_pcapng((device / "link.pcapng").read_bytes())
    assert [(flags, packet[0]) for flags, packet in frames[:2]] == [(1, 1), (2, 2)]  # OPEN in, ACCEPT out
    assert any(packet[0] == 3 and packet[5:7] == b"\x16\x03" for _, packet in frames)  # DATA: TLS handshake


def read_pcapng(content: bytes) -> list[tuple[int, bytes]]:
    """Return flags and bytes of each packet (draft-ietf-opsawg-pcapng, 4.1 to 4.3)."""
    packets = []
    at = 0
    kinds = []
    while at < len(content):
        kind, size = unpack_from("<II", content, at)
        assert unpack_from("<I", content, at + size - 4) == (size,)
        kinds.append(kind)
        if kind == 1:
            assert unpack_from("<H", content, at + 8) == (147,)
        if kind == 6:
            _, _, _, captured, original = unpack_from("<5I", content, at + 8)
            assert captured == original
            option, length, flags = unpack_from("<HHI", content, at + 28 + -(-captured // 4) * 4)
            assert (option, length) == (2, 4)
            packets.append((flags, content[at + 28 : at + 28 + captured]))
        at += size
    assert kinds[:2] == [0x0A0D0D0A, 1]
    return packets


def test_junit_tells_board_engine_firmware_and_boot_times(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BOOTS)
    pytester.runpytest("--junitxml=report.xml", "--board=mps2-an385").assert_outcomes(passed=1)
    case = ElementTree.parse(pytester.path / "report.xml").find(".//testcase")
    assert case is not None
    found = {each.get("name"): each.get("value") or "" for each in case.iter("property")}
    assert (found["devices"], found["board"], found["engine"]) == ("1", "mps2-an385", "qemu")
    assert len(bytes.fromhex(found["firmware_digest"])) == 20
    assert 0 < float(found["boot_ms"]) < float(found["connect_ms"])


def test_help_lists_the_options(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest("--help")
    done.stdout.fnmatch_lines(["lab:", "*--board=NAME*", "*--lab-scope=*", "*--lab-artifacts=DIR*"])
    done = pytester.runpytest("--markers")
    done.stdout.fnmatch_lines(["@pytest.mark.board(name, *", "@pytest.mark.engine(*", "@pytest.mark.needs(*"])


def test_who_does_not_use_the_plugin_does_not_load_the_lab() -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import lab.testing.plugin;"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) - sys.stdlib_module_names == {"lab"}


# -- processes


def test_every_worker_has_its_own_lab(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_ports(lab, device, number):
            with open({str(pytester.path / "seen")!r}, "a") as file:
                print(lab.folder, lab.gateway.address[1], file=file)
        """
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=4)
    folders = {line.split()[0] for line in (pytester.path / "seen").read_text().splitlines()}
    assert len(folders) == 4
    assert {Path(folder).parent.name for folder in folders} == {"popen-gw0", "popen-gw1"}


WAITS = """
    import os, socket

    def test_waits(lab):
        devices = [lab.up(board) for board in ("native", "mps2-an385")]
        pids = [os.getpid(), *(device.info["pid"] for device in devices)]
        with socket.create_connection(("127.0.0.1", {port})) as told:
            told.sendall(" ".join(map(str, pids)).encode())
        devices[0].expect("what never comes", timeout=600)
"""


@pytest.mark.parametrize(
    ("arguments", "number", "words"),
    [
        (["-n", "1"], signal.SIGKILL, "worker 'gw0' crashed"),
        ([], signal.SIGKILL, ""),
        ([], signal.SIGINT, "KeyboardInterrupt"),
    ],
    ids=["worker", "pytest", "ctrl-c"],
)
def test_who_is_killed_leaves_no_emulator(
    pytester: pytest.Pytester, arguments: list[str], number: signal.Signals, words: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(180)  # two boots, on a busy machine
        pytester.makepyfile(WAITS.format(port=server.getsockname()[1]))
        run = pytester.popen(
            [sys.executable, "-m", "pytest", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            connection, _ = server.accept()
            with connection:
                worker, *machines = (int(pid) for pid in connection.recv(100).split())
            children = [psutil.Process(pid) for pid in machines]
            assert [child.name() for child in children] == ["firmware", "qemu-system-arm"]
            os.kill(worker, number)
            output, _ = run.communicate(timeout=180)
        finally:
            run.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert words in output
