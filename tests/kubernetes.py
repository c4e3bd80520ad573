"""What Kubernetes is asked for: the manifests as kustomize renders them.

`make kubernetes-rules` has this write the rules of Prometheus' operator anew.
"""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parents[1] / "deploy" / "kubernetes"
BASE, PRODUCTION = HERE / "base", HERE / "overlays" / "production"
RULES = HERE.parent / "monitoring" / "rules.yml"
OPERATOR_RULES = HERE / "monitoring" / "rules.yaml"
HEAD = """\
# deploy/monitoring/rules.yml for Prometheus' operator: `make kubernetes-rules` writes it.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: upnext
  labels:
    app.kubernetes.io/name: upnext
    app.kubernetes.io/part-of: upnext
spec:
"""

Object = dict[str, Any]


def rendered(folder: Path) -> list[Object]:
    """The objects that `kubectl apply -k` would send."""
    kubectl = Path(sys.executable).with_name("kubectl")
    text = subprocess.run(  # noqa: S603 - our own manifests
        [kubectl, "kustomize", folder], check=True, capture_output=True, text=True
    ).stdout
    return list(yaml.safe_load_all(text))


@cache
def production() -> list[Object]:
    """Those of the overlay that is shipped; to be read only."""
    return rendered(PRODUCTION)


def of_kind(kind: str, objects: list[Object] | None = None) -> dict[str, Object]:
    """Those of a kind by name; of the overlay that is shipped unless others are given."""
    among = production() if objects is None else objects
    return {each["metadata"]["name"]: each for each in among if each["kind"] == kind}


def settings_map() -> Object:
    """What every process has its settings from."""
    maps = of_kind("ConfigMap")
    (settings,) = (each for name, each in maps.items() if name.startswith("upnext-settings-"))
    return settings


def templates(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """What runs: names of objects that make pods, and the pods' metadata and spec."""
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in {"Deployment", "Job", "CronJob"}:
            yield f"{each['kind']} {each['metadata']['name']}", spec["template"]


def containers(template: Object) -> Iterator[tuple[Object, bool]]:
    """Containers of a pod, and whether each runs for as long as the pod."""
    spec = template["spec"]
    yield from ((each, False) for each in spec.get("initContainers", ()))
    yield from ((each, spec.get("restartPolicy") is None) for each in spec["containers"])


def operator_rules() -> str:
    """The rules of `deploy/monitoring`, as the operator wants them."""
    lines = RULES.read_text().splitlines()
    begin = lines.index("groups:")
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines[begin:])


if __name__ == "__main__":
    OPERATOR_RULES.write_text(operator_rules())
