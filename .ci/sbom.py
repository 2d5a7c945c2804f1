#!/usr/bin/env python3
"""Prints what is in the executable as CycloneDX 1.6: the crates of Cargo.lock that it is built of, and the
page's packages: sbom.py TARGET. The same sources give the same document (SOURCE_DATE_EPOCH is its time).
"""

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path

os.chdir(Path(__file__).parent.parent)
target = sys.argv[1]
metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
checksums = {
    (package["name"], package["version"]): package.get("checksum")
    for package in tomllib.loads(Path("Cargo.lock").read_text())["package"]
}
root = next(key for key, package in packages.items() if package["name"] == "pitwall")


def dependencies(key):
    """What a crate is built of: its tests and its build scripts are not in the executable."""
    return sorted(
        {dependency["pkg"] for dependency in nodes[key]["deps"] if any(kind["kind"] is None for kind in dependency["dep_kinds"])}
    )


def reference(key):
    return f"pkg:cargo/{packages[key]['name']}@{packages[key]['version']}"


def crate(key):
    package = packages[key]
    component = {
        "type": "application" if key == root else "library",
        "bom-ref": reference(key),
        "name": package["name"],
        "version": package["version"],
    }
    if key != root:
        component["scope"] = "required"
    if checksum := checksums.get((package["name"], package["version"])):
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["license"]:
        # Older crates write a slash, which SPDX does not know.
        component["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    component["purl"] = reference(key)
    return component


def page_packages():
    """The npm packages whose code is in the page: those that are not for its development only."""
    for path, package in sorted(json.loads(Path("frontend/package-lock.json").read_text())["packages"].items()):
        if not path or package.get("dev"):
            continue
        name = path.rpartition("node_modules/")[2]
        purl = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": package["version"], "scope": "required"}
        if "license" in package:
            component["licenses"] = [{"expression": package["license"]}]
        yield component | {"purl": purl}


reached, waiting = set(), [root]
while waiting:
    key = waiting.pop()
    if key not in reached:
        reached.add(key)
        waiting.extend(dependencies(key))
crates = sorted(reached - {root}, key=reference)
page = list(page_packages())
document = {
    "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "metadata": {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))),
        "component": crate(root),
        "properties": [{"name": "pitwall:target", "value": target}],
    },
    "components": [crate(key) for key in crates] + page,
    "dependencies": [
        {"ref": reference(key), "dependsOn": [reference(to) for to in dependencies(key)]}
        for key in [root, *crates]
    ],
}
document["dependencies"][0]["dependsOn"] += [package["bom-ref"] for package in page]
document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))}"
print(json.dumps(document, indent=1))
