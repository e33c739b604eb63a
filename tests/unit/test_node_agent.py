"""The native agent: what it measures, what it keeps, how little memory it takes."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab.errors import UsageError
from lab.node.agent import Agent, Config, load
from lab.node.config import parse
from lab.node.hardware.simulated import Simulated

from .test_node_cluster import Site, anyio_backend, site, until, values

__all__ = ["anyio_backend", "site"]  # fixtures

EXAMPLES = Path(__file__).parents[2] / "examples"


def agent_of(site: Site, said: list[str] | None = None, **changes: Any) -> Agent:
    simulated = Simulated(parse({"sensors": {"bme680": {}}}, site.folder))
    config = Config(
        node_id="spoke",
        hub_url=f"https://127.0.0.1:{site.port}",
        credentials=site.folder / "hub" / "credentials" / "spoke.json",
        folder=site.folder / "agent",
        **changes,
    )
    say = said.append if said is not None else lambda _text: None
    return Agent(config, simulated.bme680, clock=site.clock, say=say)


@pytest.mark.anyio
async def test_agent_pushes_what_it_kept_while_the_hub_was_away(site: Site) -> None:
    said: list[str] = []
    agent = await asyncio.to_thread(agent_of, site, said)
    for number in range(3):
        agent.outbox.add(
            site.clock.now, {"readings": [{"sensor": "s", "quantity": "q", "value": float(number)}]}
        )
        assert not await asyncio.to_thread(agent.push)
    assert len(said) == 1, "once, not every cycle"
    async with site.hub() as hub:
        assert await asyncio.to_thread(agent.push)
        assert values(hub) == [0, 1, 2]
        assert hub.ledger.state()["spoke"]["role"] == "agent"
        assert said[1:] == ["push works again"]
    agent.close()


@pytest.mark.anyio
async def test_agent_measures_the_air_the_machine_and_the_network(site: Site) -> None:
    async with site.hub() as hub:
        agent = await asyncio.to_thread(agent_of, site, peers={"gone": "127.0.0.1:9"})
        readings = await asyncio.to_thread(agent.measure)
        found = {f"{each['sensor']}.{each['quantity']}": each for each in readings}
        assert found["bme680.pressure"]["value"] == pytest.approx(1013.25, abs=0.2)
        assert found["network.hub"]["note"] == "online"
        assert found["network.gone"]["note"] == "offline"
        agent.outbox.add(site.clock.now, {"readings": readings})
        assert await asyncio.to_thread(agent.push), "the hub takes every reading"
        assert hub.ledger.state()["spoke"]["sensors"]["node"]["memory-total"]["value"] > 0
        agent.close()


@pytest.mark.anyio
async def test_agent_process_stays_below_30_mb_and_survives_a_kill(site: Site) -> None:
    file = site.folder / "agent.toml"
    async with site.hub() as hub:
        site.clock.now = time.time()
        file.write_text(
            (EXAMPLES / "agent.toml")
            .read_text()
            .replace("../.lab/", "")
            .replace("8443", str(site.port))
            .replace("5.0", "0.2")
        )
        command = [sys.executable, "-m", "lab.node.agent", "--config", str(file)]
        first = subprocess.Popen(command)  # noqa: ASYNC220
        await until(lambda: len(values(hub)) >= 8)
        status = Path(f"/proc/{first.pid}/status").read_text()  # noqa: ASYNC240
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak and int(peak[1]) * 1024 <= 30e6
        first.kill()
        first.wait()
        before = len(values(hub))
        second = subprocess.Popen(command)  # noqa: ASYNC220
        await until(lambda: len(values(hub)) >= before + 8)
        second.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(second.wait) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[agent]\nnode_id = 1",
        "[agent]\nnope = 1",
        "[[",
        '[agent]\nhub_url = "http://x"',
        '[agent]\nnode_id = "a"\nhub_url = 3\ncredentials = "c"\nfolder = "f"',
    ],
)
def test_bad_configuration_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "agent.toml").write_text(text)
    with pytest.raises(UsageError, match=r"agent\.toml"):
        load(tmp_path / "agent.toml")


def test_example_is_a_configuration() -> None:
    assert load(EXAMPLES / "agent.toml").interval == 5.0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_unit_is_valid_and_restarts(tmp_path: Path) -> None:
    text = (EXAMPLES / "lab-agent.service").read_text()
    assert "Restart=always" in text
    unit = tmp_path / "lab-agent.service"
    unit.write_text(text.replace("/opt/lab/bin/python", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert "lab-agent" not in done.stderr, done.stderr
