"""What Kubernetes is asked for, as far as no schema says whether it is right.

`make check` holds the same objects against Kubernetes' schemas (deploy/kubernetes/check.sh).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import yaml

from core.settings import Settings, load
from tests.kubernetes import (
    BASE,
    PRODUCTION,
    Object,
    containers,
    of_kind,
    production,
    rendered,
    settings_map,
    templates,
)
from upnext.cli import main
from upnext.worker import PARTS

pytestmark = pytest.mark.unit

OBJECTS = production()
TEMPLATES = dict(templates(OBJECTS))
CONTAINERS = {
    f"{name}, {container['name']}": (template, container, lasting)
    for name, template in TEMPLATES.items()
    for container, lasting in containers(template)
}
SECRET = yaml.safe_load((PRODUCTION / "secret.example.yaml").read_text())
SECRETS = "/run/secrets/upnext/"
OTHERS = {"AWS_DEFAULT_REGION", "AWS_SHARED_CREDENTIALS_FILE"}  # of boto3
PATHS = json.loads(Path("contracts/openapi.json").read_text())["paths"]
each_container = pytest.mark.parametrize("name", CONTAINERS)
each_template = pytest.mark.parametrize("name", TEMPLATES)


def environment() -> dict[str, str]:
    data: dict[str, str] = settings_map()["data"]
    return data


def pods(selector: Mapping[str, str]) -> list[Object]:
    """The templates whose pods a selector takes."""
    return [
        template
        for template in TEMPLATES.values()
        if selector.items() <= template["metadata"]["labels"].items()
    ]


def ports(template: Object) -> dict[str, int]:
    found: dict[str, int] = {}
    for container, _ in containers(template):
        found |= {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    return found


@each_template
def test_a_pod_may_do_nothing_that_it_need_not(name: str) -> None:
    spec = TEMPLATES[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert (
        of_kind("ServiceAccount")[spec["serviceAccountName"]]["automountServiceAccountToken"]
        is False
    )
    assert spec["enableServiceLinks"] is False  # they look like settings: UPNEXT_API_PORT
    assert spec["priorityClassName"] in of_kind("PriorityClass")
    security = spec["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 10001)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    for volume in spec["volumes"]:
        assert volume.keys() - {"name"} <= {"emptyDir", "secret"}
        assert volume.get("emptyDir", {"sizeLimit": ""}).keys() == {"sizeLimit"}
        if "secret" in volume:
            assert volume["secret"]["secretName"] == SECRET["metadata"]["name"]
            assert volume["secret"]["defaultMode"] == 0o440


@each_container
def test_a_container_is_read_only_and_bounded(name: str) -> None:
    _, container, lasting = CONTAINERS[name]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    asked, most = container["resources"]["requests"], container["resources"]["limits"]
    assert asked.keys() == {"cpu", "memory", "ephemeral-storage"}
    assert most.keys() >= {"memory", "ephemeral-storage"}
    probes = {"startupProbe", "readinessProbe", "livenessProbe"}
    assert container.keys() & probes == (probes if lasting else set())


@each_container
def test_a_container_runs_a_command_of_its_image(name: str) -> None:
    _, container, _ = CONTAINERS[name]
    image, tag = container["image"].rsplit(":", 1)
    assert image.rsplit("/", 1)[1] in {"upnext-api", "upnext-worker"}
    assert tag != "latest"
    program, *arguments = container["command"]
    assert program == "upnext"
    assert arguments[0] != "worker" or image.endswith("upnext-worker")
    _parse(main, arguments)


def _parse(command: click.Command, arguments: list[str]) -> None:
    """Read a command line as the program would, without doing it."""
    with command.make_context(command.name, list(arguments)) as context:
        if isinstance(command, click.Group):
            name, found, rest = command.resolve_command(context, arguments)
            assert found is not None, name
            _parse(found, rest)


def test_every_queue_has_a_worker() -> None:
    queues = []
    for _, container, _ in CONTAINERS.values():
        if container["command"][1] == "worker":
            queues += container["command"][container["command"].index("--queues") + 1].split(",")
    assert sorted(queues) == sorted(PARTS)


def test_settings_exist_and_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment().items():
        known = variable.removeprefix("UPNEXT_").lower() in Settings.model_fields
        assert known or variable in OTHERS, variable
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.home.is_absolute()
    for url in (settings.postgres_url, settings.redis_url, settings.bus_url):
        assert urlsplit(url or "").hostname
        assert urlsplit(url or "").password is None


@each_template
def test_a_pod_has_all_settings_and_places_to_write(name: str) -> None:
    template = TEMPLATES[name]
    settings = settings_map()["metadata"]["name"]
    for container, _ in containers(template):
        assert container["envFrom"] == [{"configMapRef": {"name": settings}}]
        for own in container.get("env", ()):  # it would win over a setting
            assert not own["name"].startswith(("UPNEXT_", "AWS_"))
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        home = Path(environment()["UPNEXT_HOME"])  # its own to close, as the volume is not
        assert mounts.keys() == {str(home.parent), "/tmp", SECRETS.rstrip("/")}  # noqa: S108
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        assert {mount["name"] for mount in mounts.values()} == volumes


def test_files_of_secrets_are_keys_of_the_secret() -> None:
    files = {value for name, value in environment().items() if name.endswith("_FILE")}
    asked = {value.removeprefix(SECRETS) for value in files if value != "system"}
    assert asked == SECRET["data"].keys()


def test_the_sample_of_the_secret_cannot_be_applied() -> None:
    assert not any(each["kind"] == "Secret" for each in OBJECTS)
    page = Path("docs/kubernetes.md").read_text(encoding="utf-8")
    for key, value in SECRET["data"].items():
        assert set(value) & set("<>")  # no base64, which the server refuses
        assert key in page  # which says how one is made


@each_container
def test_probes_ask_what_the_container_answers(name: str) -> None:
    _, container, lasting = CONTAINERS[name]
    named = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
    settings = load(
        {key[7:].lower(): value for key, value in environment().items() if "PORT" in key}
    )
    if not lasting:
        return
    worker = container["command"][1] == "worker"
    wanted: dict[str, int | None] = {"metrics": settings.worker_metrics_port}
    if not worker:
        wanted = {"http": settings.port, "metrics": settings.metrics_port}
    assert named == wanted
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["port"] for probe in probes} == {"metrics" if worker else "http"}
    paths = ["/health/live", "/health/live" if worker else "/health/ready", "/health/live"]
    assert [probe["path"] for probe in probes] == paths
    assert set(paths) <= PATHS.keys()


def test_a_pod_of_the_api_may_drain() -> None:
    template = TEMPLATES["Deployment upnext-api"]
    api = template["spec"]["containers"][0]
    drain = float(environment()["UPNEXT_DRAIN_SECONDS"])
    probe = api["readinessProbe"]
    assert drain > probe["periodSeconds"] * probe["failureThreshold"]
    assert template["spec"]["terminationGracePeriodSeconds"] >= 2 * drain + 5
    assert "lifecycle" not in api
    strategy = of_kind("Deployment")["upnext-api"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0


@pytest.mark.parametrize("name", of_kind("Deployment"))
def test_a_deployment_selects_its_own_pods(name: str) -> None:
    spec = of_kind("Deployment")[name]["spec"]
    selector = spec["selector"]["matchLabels"]
    assert pods(selector) == [spec["template"]]
    for spread in spec["template"]["spec"].get("topologySpreadConstraints", ()):
        assert spread["labelSelector"]["matchLabels"] == selector


def test_services_lead_to_ports_that_are_there() -> None:
    for service in of_kind("Service").values():
        taken = pods(service["spec"]["selector"])
        assert taken
        for port in service["spec"]["ports"]:
            assert all(port["targetPort"] in ports(template) for template in taken)
            if service["spec"].get("clusterIP") == "None":
                assert {ports(each)[port["targetPort"]] for each in taken} == {port["port"]}
    (ingress,) = of_kind("Ingress").values()
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            backend = path["backend"]["service"]
            offered = of_kind("Service")[backend["name"]]["spec"]["ports"]
            assert backend["port"]["name"] in {port["name"] for port in offered}


def test_three_replicas_scale_by_processor_and_latency_and_one_may_go() -> None:
    (scaler,) = of_kind("HorizontalPodAutoscaler").values()
    target = of_kind("Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]  # else applying it again would undo the scaling
    assert 3 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["Resource", "Pods"]
    replicas = {"upnext-api": scaler["spec"]["minReplicas"]}
    for budget in of_kind("PodDisruptionBudget").values():
        (template,) = pods(budget["spec"]["selector"]["matchLabels"])
        component = template["metadata"]["labels"]["app.kubernetes.io/component"]
        deployment = of_kind("Deployment")[f"upnext-{component}"]
        has = replicas.get(f"upnext-{component}") or deployment["spec"]["replicas"]
        assert 0 < budget["spec"]["maxUnavailable"] < has


def test_trainings_give_way() -> None:
    classes = of_kind("PriorityClass")
    of = {name: classes[each["spec"]["priorityClassName"]] for name, each in TEMPLATES.items()}
    training = of.pop("Deployment upnext-training")
    assert training["preemptionPolicy"] == "Never"
    assert all(training["value"] < each["value"] for each in of.values())


def test_the_network_lets_through_only_what_is_named() -> None:
    policies = of_kind("NetworkPolicy")
    nothing = policies["upnext-nothing-else"]["spec"]
    assert len(pods(nothing["podSelector"]["matchLabels"])) == len(TEMPLATES)
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & nothing.keys()
    for policy in policies.values():
        taken = pods(policy["spec"]["podSelector"]["matchLabels"])
        assert taken
        for peers, port in _rules(policy["spec"]):
            assert peers, "anybody"
            if isinstance(port, str):
                assert any(port in ports(template) for template in taken)
    assert _from("http") == {"upnext/calls": "allowed"}
    assert _from("metrics") == {"kubernetes.io/metadata.name": "monitoring"}


def _rules(spec: Object) -> Iterator[tuple[list[Any], int | str]]:
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction, ()):
            for port in rule["ports"]:
                yield rule[side], port["port"]


def _from(port: str) -> Object:
    """The one kind of namespace that reaches a port."""
    found: list[Object] = []
    for policy in of_kind("NetworkPolicy").values():
        for peers, reached in _rules(policy["spec"]):
            if reached == port:
                found += [peer["namespaceSelector"]["matchLabels"] for peer in peers]
    (one,) = found
    return one


def test_stores_are_reached_on_the_ports_of_their_urls() -> None:
    allowed = {port for _, port in _rules(of_kind("NetworkPolicy")["upnext-stores"]["spec"])}
    urls = [value for name, value in environment().items() if name.endswith(("_URL", "_URI"))]
    asked = {int(url.rsplit(":", 1)[1].split("/")[0]) for url in urls if not url.startswith("s3:")}
    assert allowed == asked | {443}


def test_the_namespace_refuses_pods_with_more_rights() -> None:
    (namespace,) = of_kind("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    everywhere = {"Namespace", "PriorityClass"}
    for each in OBJECTS:
        if each["kind"] not in everywhere:
            assert each["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_the_base_stands_by_itself() -> None:
    """Another overlay may leave out what is ours alone: the operator's objects, the ingress."""
    kinds = {each["kind"] for each in rendered(BASE)}
    assert not kinds & {"ServiceMonitor", "PrometheusRule", "Ingress", "Namespace", "Secret"}
    assert {"Deployment", "Job", "NetworkPolicy", "HorizontalPodAutoscaler"} <= kinds
