"""What Kubernetes is asked for to back up and to restore, and whether the page about it fits."""

import os
import re
from pathlib import Path

import pytest

from core.settings import load
from storage.artifacts import artifact_store
from tests.kubernetes import (
    PRODUCTION,
    Object,
    of_kind,
    production,
    rendered,
    settings_map,
    templates,
)
from upnext.backups.place import check_apart, place_of

pytestmark = pytest.mark.unit

OBJECTS = production()
PAGE = Path("docs/backups.md").read_text(encoding="utf-8").partition("## In Kubernetes")[2]
NIGHT = 24 * 3600


def its_only(cron_job: str) -> Object:
    (container,) = dict(templates(OBJECTS))[f"CronJob {cron_job}"]["spec"]["containers"]
    return dict(container)


def overlay(folder: Path, *blocks: str) -> list[Object]:
    """The production overlay with these blocks of the page added."""
    base = os.path.relpath(PRODUCTION, folder.resolve())
    lines = ("kind: Kustomization", f"resources: [{base}]", *blocks)
    (folder / "kustomization.yaml").write_text("\n".join(lines))
    return rendered(folder)


def block(begins: str) -> str:
    (found,) = (
        each
        for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
        if each.startswith(begins)
    )
    return str(found)


def test_one_backup_a_night_that_has_ended_before_the_next() -> None:
    spec = of_kind("CronJob")["upnext-backup"]["spec"]
    assert not spec.get("suspend")
    assert re.fullmatch(r"\d+ \d+ \* \* \*", spec["schedule"])
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    assert spec["startingDeadlineSeconds"] + job["activeDeadlineSeconds"] < NIGHT
    assert its_only("upnext-backup")["command"] == ["upnext", "backup", "$(PLACE)"]


def test_nothing_is_restored_unless_somebody_asks() -> None:
    spec = of_kind("CronJob")["upnext-restore"]["spec"]
    assert spec["suspend"] is True
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert its_only("upnext-restore")["command"] == ["upnext", "restore", "$(PLACE)"]


def test_a_restore_may_take_what_a_training_may() -> None:
    """Both read all interactions."""
    (training,) = of_kind("Deployment")["upnext-training"]["spec"]["template"]["spec"]["containers"]
    assert its_only("upnext-restore")["resources"] == training["resources"]


@pytest.mark.parametrize("name", of_kind("CronJob"))
def test_backups_go_where_the_overlay_says(name: str) -> None:
    (place,) = its_only(name)["env"]
    asked = place["valueFrom"]["configMapKeyRef"]  # without it no container starts
    given = of_kind("ConfigMap")[asked["name"]]["data"][asked["key"]]
    assert place["name"] == "PLACE"
    kept = load({"artifacts_url": settings_map()["data"]["UPNEXT_ARTIFACTS_URL"]})
    check_apart(place_of(given, kept), artifact_store(kept))


def test_the_page_stops_and_starts_everything_there_is() -> None:
    lines = PAGE.split("### Restore")[1].splitlines()
    scaled = [
        (names.split(), int(count))
        for line in lines
        for names, count in re.findall(r"scale deployment (.+?) --replicas (\d+)", line)
    ]
    (stopped, none), *started = scaled
    deployments = of_kind("Deployment")
    assert (set(stopped), none) == (set(deployments), 0)
    (scaler,) = of_kind("HorizontalPodAutoscaler").values()
    fewest = {scaler["spec"]["scaleTargetRef"]["name"]: scaler["spec"]["minReplicas"]}
    assert {name: count for names, count in started for name in names} == {
        name: each["spec"].get("replicas", fewest.get(name)) for name, each in deployments.items()
    }


def test_the_page_names_what_there_is() -> None:
    named = re.findall(r"\b(cronjob|deployment)[/ ](upnext-\w+)", PAGE)
    assert {"upnext-backup", "upnext-restore"} <= {name for _, name in named}
    there = {"cronjob": of_kind("CronJob"), "deployment": of_kind("Deployment")}
    assert [name for kind, name in named if name not in there[kind]] == []
    (selector,) = re.findall(r"component in \((.+?)\)", PAGE)
    components = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for each in of_kind("Deployment").values()
    }
    assert set(selector.split(", ")) == components


def test_an_overlay_can_begin_with_nothing_running(tmp_path: Path) -> None:
    objects = overlay(tmp_path, block("replicas:"))
    assert {each["spec"]["replicas"] for each in of_kind("Deployment", objects).values()} == {0}


def test_backups_can_go_to_a_volume(tmp_path: Path) -> None:
    found = dict(templates(overlay(tmp_path, block("patches:"))))
    changed = {name for name, each in found.items() if each != dict(templates(OBJECTS))[name]}
    assert changed == {"CronJob upnext-backup", "CronJob upnext-restore"}
    for name in changed:
        spec = found[name]["spec"]
        (claimed,) = (each for each in spec["volumes"] if "persistentVolumeClaim" in each)
        (mount,) = (
            each["mountPath"]
            for each in spec["containers"][0]["volumeMounts"]
            if each["name"] == claimed["name"]
        )
        assert f"PLACE={mount}" in PAGE
