"""The options: flags, and over them the global ConfigMap."""

from __future__ import annotations

import msgspec
import pytest

from gen.ir import Options
from gen.translate import Translation
from tests.live.manifests import manifest
from tests.translate.translating import FILES, codes, translate

SETTINGS = msgspec.structs.replace(FILES, configmap="infra/gen", options=Options(http_port=8080, workers=7))


def with_keys(**data: str) -> Translation:
    keys = {name.replace("_", "-"): text for name, text in data.items()}
    return translate([manifest("v1", "ConfigMap", "gen", "infra", data=keys)], SETTINGS)


@pytest.mark.parametrize(("text", "workers"), [("1", 1), (" 4 ", 4), ("auto", 0)])
def test_worker_processes(text: str, workers: int) -> None:
    found = with_keys(worker_processes=text)
    assert found.config.options == Options(http_port=8080, workers=workers)
    assert not codes(found, "warning")


@pytest.mark.parametrize("text", ["0", "-1", "many", "1e3", "99999", ""])
def test_a_bad_value_leaves_the_default(text: str) -> None:
    found = with_keys(worker_processes=text)
    assert found.config.options.workers == 7
    assert [str(issue.source) for issue in found.issues if issue.severity == "warning"] == [
        "ConfigMap infra/gen, data[worker-processes]"
    ]


def test_a_key_that_gen_does_not_read() -> None:
    assert "ConfigUnsupported" in codes(with_keys(nonsense="x"), "warning")


def test_a_config_map_that_is_missing() -> None:
    found = translate([], SETTINGS)
    assert found.config.options.workers == 7
    assert "ConfigMapNotFound" in codes(found, "info")


def test_other_config_maps_do_not_count() -> None:
    item = manifest("v1", "ConfigMap", "other", "infra", data={"worker-processes": "2"})
    assert translate([item], SETTINGS).config.options.workers == 7
