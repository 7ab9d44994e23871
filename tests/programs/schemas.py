"""Validates manifests by the schemas of Kubernetes, from 1.29 to the newest one, and of custom resources.

    schemas.py CRDS.yaml[,CRDS.yaml] [OLDEST] < manifests

OLDEST is a version such as 1.34. Prints how many objects hold against how many versions, or what does not. Unknown fields do not.
"""

import functools
import json
import sys

try:
    import jsonschema
    import yaml
    from kubernetes_validate import ValidationError, utils
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

OLDEST = (1, 29)

# Otherwise they would be read again for every object.
utils.schema_contents = functools.lru_cache(None)(utils.schema_contents)


def closed(schema):
    """An OpenAPI schema of a CustomResourceDefinition as a JSON schema that refuses unknown fields."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    result = {key: closed(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        result["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    return result


def custom_resources(path):
    found = {}
    with open(path, encoding="utf-8") as text:
        for definition in yaml.safe_load_all(text):
            for version in definition["spec"]["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                # A schema of a custom resource omits the fields of every object.
                schema["properties"]["metadata"] = {"type": "object"}
                name = (f"{definition['spec']['group']}/{version['name']}", definition["spec"]["names"]["kind"])
                found[name] = jsonschema.Draft202012Validator(schema)
    return found


def main():
    custom = {}
    for path in sys.argv[1].split(","):
        custom |= custom_resources(path)
    # Each exists twice, with and without unknown fields.
    known = dict.fromkeys(utils.all_versions())
    oldest = tuple(map(int, sys.argv[2].split("."))) if len(sys.argv) > 2 else OLDEST
    versions = [version for version in known if tuple(map(int, version.split(".")[:2])) >= oldest]
    # Most objects are the same in several modes.
    objects = {json.dumps(read, sort_keys=True): read for read in yaml.safe_load_all(sys.stdin) if read}
    faults = []
    for read in objects.values():
        name = f"{read['kind']} {read['metadata']['name']}"
        if (read["apiVersion"], read["kind"]) in custom:
            for error in custom[read["apiVersion"], read["kind"]].iter_errors(read):
                faults.append(f"{name}: {error.json_path}: {error.message}")
            continue
        for version in versions:
            try:
                utils.validate(read, version, strict=True)
            except (ValidationError, utils.SchemaNotFoundError) as error:
                where = ".".join(map(str, getattr(error, "path", [])))
                faults.append(f"{name}: Kubernetes {version}: {where}: {error.message}")
    if faults:
        print("\n".join(faults), file=sys.stderr)
        sys.exit(1)
    print(f"{len(objects)} objects hold against Kubernetes {versions[0]} to {versions[-1]}")


main()
