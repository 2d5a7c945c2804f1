"""Checks what the linters of .ci/stacks cannot: that stacks/ and the Dockerfile fit Pitwall and each other.

stacks.py dockerfile | compose | prometheus | grafana | kubernetes OBJECTS | terragrunt | systemd | woodpecker
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import hcl2
import yaml

PITWALL = os.environ.get("PITWALL", "target/debug/pitwall")
problems = []


def instructions():
    """The instructions of the Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n", "", re.sub(r"(?m)^\s*#.*\n", "", Path("Dockerfile").read_text()))
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def image_environment():
    pairs = [rest.split() for word, rest in instructions() if word == "ENV"]
    return dict(pair.split("=", 1) for pair in sum(pairs, []))


def check_config(who, text, environment):
    """Runs `pitwall check` on a configuration with exactly this environment."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "pitwall.toml")

        def create_secret(path):
            """A file with a random secret, in place of one that is mounted only in the container."""
            secret = Path(directory, "secrets", Path(path).name)
            secret.parent.mkdir(exist_ok=True)
            secret.exists() or secret.write_text(secrets.token_hex(32))
            return str(secret)

        config.write_text(re.sub(r'(?m)^(\w+_file = ")(/[^"]+)"', lambda key: f'{key[1]}{create_secret(key[2])}"', text))
        pitwall_environment = {name: value for name, value in environment.items() if name.startswith("PITWALL_")}
        pitwall_environment |= {name: create_secret(value) for name, value in pitwall_environment.items() if name.endswith("_FILE")}
        # This machine does not have the container's address, so loopback takes its place.
        to_loopback = lambda address: re.sub(r"^10\.[\d.]+", "127.0.0.1", address)
        pitwall_environment |= {name: to_loopback(value) for name, value in pitwall_environment.items() if name.endswith(("__LISTEN", "__ADMIN"))}
        checked = subprocess.run([PITWALL, "check", "--config", config], env=pitwall_environment, capture_output=True, text=True)
        if checked.returncode != 0:
            problems.append(f"{who}: {checked.stderr.strip()}")


def dockerfile():
    """Each COPY has a source that is in git and not excluded by .dockerignore."""
    ignored = [line for line in Path(".dockerignore").read_text().splitlines() if line]
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True)

    def is_in_context(path):
        # Docker's rules for the patterns that are used: relative to the root, or anywhere with **/.
        for pattern in ignored:
            start, parts = "(.*/)?" if pattern.startswith("**/") else "", pattern.removeprefix("**/")
            if re.match(start + re.escape(parts).replace(r"\*", "[^/]*") + "(/|$)", path):
                return False
        return True

    context = [path for path in files.stdout.split() if is_in_context(path)]
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from="):
            continue
        for source in rest.split()[:-1]:
            source = source.rstrip("/")
            if source != "." and not any(path == source or path.startswith(source + "/") for path in context):
                problems.append(f"Dockerfile: COPY {source}: nothing is there")
    check_config("Dockerfile", Path("conf/pitwall.toml").read_text(), image_environment())


def compose():
    """All mounted files exist, and each service of Pitwall has a configuration that Pitwall accepts."""
    place = Path("stacks/compose")
    stack = yaml.safe_load((place / "compose.yaml").read_text())
    for name, service in stack["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (place / source).exists():
                problems.append(f"compose: {name}: {source} is not there")
            elif not source.startswith(".") and source not in stack["volumes"]:
                problems.append(f"compose: {name}: no volume {source}")
        for secret in service.get("secrets", []):
            if secret not in stack["secrets"]:
                problems.append(f"compose: {name}: no secret {secret}")
        for network in service["networks"]:
            if network not in stack["networks"]:
                problems.append(f"compose: {name}: no network {network}")
        if name in ("control-plane", "redis") and "ports" in service:
            problems.append(f"compose: {name} is published")
        if service["image"] == "pitwall":
            environment = image_environment() | service.get("environment", {})
            # The entry point reads this variable from the secret.
            environment["PITWALL_STORE__URL"] = "redis://pitwall:password@redis:6379"
            check_config(f"compose: {name}", (place / "conf/pitwall.toml").read_text(), environment)


def prometheus():
    """Prometheus scrapes and evaluates as often as the rules' tests assume, and every alert has a case in the tests and a section in docs/alerts.md, which has no others."""
    tests = yaml.safe_load(Path("stacks/prometheus/pitwall.rules.test.yml").read_text())
    assumed = tests["evaluation_interval"]
    for path in ("stacks/prometheus/prometheus.yml", "stacks/compose/prometheus.yml"):
        settings = yaml.safe_load(Path(path).read_text())["global"]
        for key in ("scrape_interval", "evaluation_interval"):
            # The default of Prometheus is one minute.
            if settings.get(key, "1m") != assumed:
                problems.append(f"{path}: {key} is {settings.get(key, 'not set: 1m')}, and the rules' tests assume {assumed}")
    cases = {case["alertname"]: [] for test in tests["tests"] for case in test["alert_rule_test"]}
    for test in tests["tests"]:
        for case in test["alert_rule_test"]:
            cases[case["alertname"]].extend(case["exp_alerts"])
    alerts = set()
    for group in yaml.safe_load(Path("stacks/prometheus/pitwall.rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            alerts.add(rule["alert"])
            if not cases.get(rule["alert"]):
                problems.append(f"pitwall.rules.test.yml: no case in which {rule['alert']} fires")
            runbook = f"/docs/alerts.md#{rule['alert'].lower()}"
            if rule["annotations"].get("runbook_url") != runbook:
                problems.append(f"pitwall.rules.yml: {rule['alert']}: runbook_url is not {runbook}")
    sections = re.split(r"(?m)^## ", Path("docs/alerts.md").read_text())[1:]
    described = {section.split("\n", 1)[0] for section in sections}
    problems.extend(f"docs/alerts.md: no section about {alert}" for alert in alerts - described)
    problems.extend(f"docs/alerts.md: there is no alert {alert}" for alert in described - alerts)
    for section in sections:
        for part in ("Severity: ", "**What viewers notice.**", "**What to look at**", "**What to do**"):
            if part not in section:
                problems.append(f"docs/alerts.md: {section.split(chr(10), 1)[0]}: {part!r} is missing")


def grafana():
    """Dashboards have ids of their own and all use the data source that is chosen; what is provisioned is there."""
    place, uids = Path("stacks/grafana"), set()
    for path in sorted((place / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        if dashboard["uid"] != path.stem or dashboard["uid"] in uids:
            problems.append(f"{path}: its uid is not {path.stem}, or is another one's")
        uids.add(dashboard["uid"])
        ids = [panel["id"] for panel in dashboard["panels"]]
        if len(ids) != len(set(ids)):
            problems.append(f"{path}: two panels have one id")
        cells = [(x, y) for panel in dashboard["panels"] for box in [panel["gridPos"]]
                 for x in range(box["x"], box["x"] + box["w"]) for y in range(box["y"], box["y"] + box["h"])]
        if len(cells) != len(set(cells)) or any(x > 23 for x, _ in cells):
            problems.append(f"{path}: panels overlap, or are outside of the page")
        for panel in dashboard["panels"]:
            if panel["datasource"]["uid"] != "${datasource}" or not panel["targets"]:
                problems.append(f"{path}: {panel['title']}: another data source, or no query")
    provider = yaml.safe_load((place / "provisioning/dashboards/pitwall.yaml").read_text())["providers"][0]
    mounts = yaml.safe_load(Path("stacks/compose/compose.yaml").read_text())["services"]["grafana"]["volumes"]
    if provider["options"]["path"] != "/stacks/grafana/dashboards" or "../grafana:/stacks/grafana:ro" not in mounts:
        problems.append("stacks/grafana: the dashboards are not where Grafana looks for them")
    yaml.safe_load((place / "provisioning/datasources/prometheus.yaml").read_text())


def kubernetes(path):
    """Each container of Pitwall has a configuration that Pitwall accepts; all named ports and volumes exist.

    Writes Kubernetes' own objects and those of operators, which need other schemas, beside the file.
    """
    objects = json.loads(Path(path).read_text())
    of_operators = lambda one: any(group in one["apiVersion"] for group in ("coreos.com", "gateway.networking", "external-secrets.io"))
    own = [json.dumps(one) for one in objects if not of_operators(one)]
    Path(path).with_name("own.yaml").write_text("\n---\n".join(own))
    Path(path).with_name("operators.json").write_text(json.dumps([one for one in objects if of_operators(one)]))
    text = next(one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "pitwall")["data"]["pitwall.toml"]
    # The values that Kubernetes substitutes for references.
    known = {"PITWALL_CONTROL_SERVICE_HOST": "10.96.0.10", "metadata.name": "pitwall-0", "status.podIP": "10.244.0.7", "store.url": "redis://u:p@redis"}
    ports = set()
    for workload in (one for one in objects if one["kind"] == "StatefulSet"):
        pod = workload["spec"]["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            who = f"kubernetes: {workload['metadata']['name']}/{container['name']}"
            environment = image_environment()
            for variable in container["env"]:
                source = variable.get("valueFrom", {})
                reference = source.get("fieldRef", {}).get("fieldPath") or source.get("secretKeyRef", {}).get("key")
                value = variable.get("value") or known[reference]
                value = re.sub(r"\$\((\w+)\)", lambda name: (environment | known)[name[1]], value)
                environment[variable["name"]] = value
            check_config(who, text, environment)
            named = {port["name"] for port in container["ports"]}
            ports |= named
            if container["name"] == "edge" and not json.loads(environment.get("PITWALL_EDGE__TRUSTED_PROXIES", "[]")):
                problems.append(f"{who}: it trusts no ingress, and all viewers are one client")
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if container.get(probe, {}).get("httpGet", {}).get("port") not in named | {None}:
                    problems.append(f"{who}: {probe} is at no port of it")
            for mount in container["volumeMounts"]:
                if mount["name"] not in volumes:
                    problems.append(f"{who}: no volume {mount['name']}")
    for service in (one for one in objects if one["kind"] == "Service"):
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                problems.append(f"kubernetes: service {service['metadata']['name']}: no port {port['targetPort']}")
    named = lambda kind: {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}
    services = {(name, port["port"]) for name, one in named("Service").items() for port in one["spec"]["ports"]}
    for name, route in named("HTTPRoute").items():
        for backend in (backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"]):
            if (backend["name"], backend["port"]) not in services:
                problems.append(f"kubernetes: route {name}: no service {backend['name']} with port {backend['port']}")
    if not named("Ingress") and not named("HTTPRoute"):
        problems.append("kubernetes: no way in")
    for name, scale in named("HorizontalPodAutoscaler").items():
        workload = named("StatefulSet").get(scale["spec"]["scaleTargetRef"]["name"])
        if workload is None:
            problems.append(f"kubernetes: {name}: scales nothing")
        elif "replicas" in workload["spec"]:
            problems.append(f"kubernetes: {name}: the StatefulSet says how many, too")
        if len(scale["spec"]["metrics"]) != 1:
            problems.append(f"kubernetes: {name}: by {len(scale['spec']['metrics'])} metrics")
    # Each workload survives the drain of a node, and its pods are spread.
    budgets = [one["spec"]["selector"]["matchLabels"] for one in named("PodDisruptionBudget").values()]
    for name, workload in named("StatefulSet").items():
        if workload["spec"]["selector"]["matchLabels"] not in budgets:
            problems.append(f"kubernetes: {name}: no PodDisruptionBudget")


def terragrunt():
    """terragrunt.hcl can be parsed, and its inputs are the variables of the module."""
    place = Path("stacks/f1-streams")
    parsed = {path: hcl2.loads(path.read_text()) for path in [place / "terragrunt.hcl", *sorted((place / "module").glob("*.tf"))]}
    name = lambda text: text.strip('"')
    variables = {
        name(key): "default" in value
        for file in parsed.values()
        for block in file.get("variable", [])
        for key, value in block.items()
    }
    given = {name(key) for key in parsed[place / "terragrunt.hcl"]["inputs"] if not key.startswith("__")}
    for missing in {key for key, default in variables.items() if not default} - given:
        problems.append(f"terragrunt.hcl: no input {missing}")
    for unknown in given - set(variables):
        problems.append(f"terragrunt.hcl: the module has no variable {unknown}")


# `systemd-analyze security` scores what a unit could do, from 0 (nothing) to 10 (everything).
MOST_EXPOSED = 1.5


def systemd():
    """systemd knows every key of the units, they are confined, and Pitwall accepts the configuration that they name."""
    with tempfile.TemporaryDirectory() as root:
        # The units name the executable where the package puts it.
        executable = Path(root, "usr/bin/pitwall")
        executable.parent.mkdir(parents=True)
        executable.symlink_to(Path(PITWALL).resolve())
        folder = Path(root, "units")
        folder.mkdir()
        units = sorted(Path("stacks/systemd").glob("*.service"))
        for unit in units:
            folder.joinpath(unit.name).write_text(unit.read_text().replace("/usr/bin/pitwall", str(executable)))
        verified = subprocess.run(["systemd-analyze", "verify", "--man=no", *folder.iterdir()], capture_output=True, text=True)
        # It also tells of units of this machine.
        for line in verified.stderr.splitlines():
            if str(folder) in line or any(unit.name in line for unit in units):
                problems.append(f"systemd: {line}")
    scores = []
    for unit in units:
        scored = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True)
        found = re.search(r"exposure level for \S+: ([\d.]+)", scored.stdout)
        if not found:
            problems.append(f"{unit}: not scored: {scored.stderr.strip()}")
            continue
        scores.append(f"{unit.name} {found[1]}")
        if float(found[1]) > MOST_EXPOSED:
            problems.append(f"{unit}: exposed by {found[1]}, more than {MOST_EXPOSED}")
        text = unit.read_text()
        environment = dict(re.findall(r"(?m)^Environment=(\w+)=(.*)$", text))
        environment = {name: value.replace("%S", "/var/lib") for name, value in environment.items()}
        config = "" if "pitwall run" in text else '[store]\nkind = "redis"\nurl = "redis://redis:6379"\n[access]\nseal_key_file = "/etc/pitwall/seal.key"\n'
        check_config(str(unit), Path("conf/pitwall.toml").read_text() if not config else config, environment)
    print(f"systemd: {', '.join(scores)}")


def woodpecker():
    """Each command of the pipeline, and what it runs in turn, is a script or a target that is there."""
    targets = set(re.findall(r"(?m)^([a-z-]+):", Path("Makefile").read_text()))
    for step in yaml.safe_load(Path(".woodpecker.yml").read_text())["steps"]:
        for line in step.get("commands", []):
            words = line.split()
            for word in (word for word in words if word.startswith(".ci/")):
                if not os.access(word, os.X_OK):
                    problems.append(f".woodpecker.yml: {step['name']}: no {word}")
            if "make" in words:
                for target in set(words[words.index("make") + 1 :]) - targets:
                    problems.append(f".woodpecker.yml: {step['name']}: no target {target}")


os.chdir(Path(__file__).parent.parent)
checks = [dockerfile, compose, prometheus, grafana, kubernetes, terragrunt, systemd, woodpecker]
{check.__name__: check for check in checks}[sys.argv[1]](*sys.argv[2:])
if problems:
    sys.exit("\n".join(problems))
