"""Validates responses by the OpenAPI document: python api.py DOCUMENT SCHEMA FILE..., each file being [path, status, body]."""

import json
import pathlib
import sys

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

document, audit = (json.loads(pathlib.Path(name).read_text()) for name in sys.argv[1:3])
kind = jsonschema.Draft202012Validator
kind.check_schema(audit)
for schema in document["components"]["schemas"].values():
    kind.check_schema(schema)
resources = {"api": document, "audit.schema.json": audit, "api/audit.schema.json": audit}
# The audit's schema has its address as its id; the document refers to it by its file.
del audit["$id"]
registry = Registry().with_resources((name, Resource(contents, DRAFT202012)) for name, contents in resources.items())
for file in sys.argv[3:]:
    path, status, body = json.loads(pathlib.Path(file).read_text())
    answers = document["paths"][path]["get"]["responses"]
    if str(status) not in answers:
        sys.exit(f"{path} answers {status}, and the document knows {sorted(answers)}")
    content = answers[str(status)].get("content", {})
    if not content:
        continue
    tokens = ["paths", path, "get", "responses", str(status), "content", "application/json", "schema"]
    pointer = "/".join(token.replace("~", "~0").replace("/", "~1") for token in tokens)
    validator = kind({"$ref": f"api#/{pointer}"}, registry=registry, format_checker=kind.FORMAT_CHECKER)
    for error in validator.iter_errors(body):
        sys.exit(f"{file}: {path} {status}: {error.json_path}: {error.message}")
