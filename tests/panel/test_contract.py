"""What clients of the published API rely on is still there, and holds whatever it is asked."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.api import contract
from tests.panel.conftest import PATIENCE, Running

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_no_client_of_the_published_api_breaks() -> None:
    assert contract.breaks(json.loads(PUBLISHED.read_text()), contract.current()) == []


@pytest.fixture
def document() -> Any:
    return json.loads(PUBLISHED.read_text())


def _drop_operation(document: Any) -> str:
    del document["paths"]["/api/v1/devices"]["post"]
    return "POST /api/v1/devices is gone"


def _drop_parameter(document: Any) -> str:
    operation = document["paths"]["/api/v1/devices"]["get"]
    operation["parameters"] = [each for each in operation["parameters"] if each["name"] != "limit"]
    return "GET /api/v1/devices: parameter limit is gone"


def _require_parameter(document: Any) -> str:
    operation = document["paths"]["/api/v1/logs"]["get"]
    next(each for each in operation["parameters"] if each["name"] == "device")["required"] = True
    return "GET /api/v1/logs: parameter device is required now"


def _require_member(document: Any) -> str:
    document["components"]["schemas"]["UpRequest"]["required"].append("name")
    return "POST /api/v1/devices: body: name is required now"


def _drop_member(document: Any) -> str:
    del document["components"]["schemas"]["UpRequest"]["properties"]["serial"]
    return "POST /api/v1/devices: body: serial is gone"


def _tighten_bound(document: Any) -> str:
    document["components"]["schemas"]["UpRequest"]["properties"]["count"]["maximum"] = 10
    return "POST /api/v1/devices: body.count: maximum is 10"


def _narrow_type(document: Any) -> str:
    document["components"]["schemas"]["GatewayRequest"]["properties"]["heartbeat"]["type"] = "string"
    return "POST /api/v1/gateway: body.heartbeat: of integer or number, only string is taken"


@pytest.mark.parametrize(
    "change",
    [
        _drop_operation,
        _drop_parameter,
        _require_parameter,
        _require_member,
        _drop_member,
        _tighten_bound,
        _narrow_type,
    ],
)
def test_a_breaking_change_is_seen(document: Any, change: Any) -> None:
    changed = copy.deepcopy(document)
    expected = change(changed)
    assert contract.breaks(document, changed) == [expected]


def test_what_is_new_breaks_nobody(document: Any) -> None:
    changed = copy.deepcopy(document)
    changed["paths"]["/api/v1/new"] = changed["paths"]["/api/v1/lab"]
    changed["components"]["schemas"]["UpRequest"]["properties"]["colour"] = {"type": "string"}
    assert contract.breaks(document, changed) == []


# -- anything at all

# What ends the lab, boots boards, opens ports, or waits by design is tried by other tests.
_LEFT_OUT = (
    r"/shutdown|/wait$|/console|/stream|/events$|/parts$|/listener|/terminal|/gateway|/pairing"
    r"|^/api/v1/devices$"
)


@pytest.fixture(scope="module")
def anything(lab: Running, native: None) -> Iterator[Any]:
    schemathesis = pytest.importorskip("schemathesis", reason="pip install schemathesis")
    lab.cli("up", "--board", "native", "--name", "dut", "--development")
    bearer = {"Authorization": f"Bearer {lab.address['token']}"}
    yield schemathesis.openapi.from_url(f"{lab.url}/api/v1/openapi.json", headers=bearer), bearer


@pytest.mark.hil
@pytest.mark.native
def test_the_api_keeps_to_its_document(anything: Any) -> None:
    """Generated requests, right and wrong, get answers that the document names, and never a 500."""
    import hypothesis
    from hypothesis import HealthCheck
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    schema, bearer = anything
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    tried = 0
    for result in schema.exclude(path_regex=_LEFT_OUT).get_all_operations():
        operation = result.ok()

        right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

        @hypothesis.given(case=right | wrong)
        @hypothesis.settings(
            max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        def try_it(case: Any) -> None:
            response = case.call(headers=bearer, timeout=PATIENCE / 1000)
            if response.text == "Invalid HTTP request received.":
                hypothesis.reject()  # no HTTP: the server's own word, before the API has seen anything
            case.validate_response(response, checks=checks)

        try_it()
        tried += 1
    assert tried > 30
