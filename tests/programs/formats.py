"""Parses the output of podskew audit with other libraries: python formats.py FORMAT SCHEMAS FILE..."""

import json
import pathlib
import sys

import jsonschema
import markdown_it
import xmlschema

form, schemas, files = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]

if form in ("json", "sarif"):
    name = {"json": "docs/audit.schema.json", "sarif": "tests/data/schemas/sarif-schema-2.1.0.json"}[form]
    schema = json.loads((schemas / name).read_text())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    validator = kind(schema, format_checker=kind.FORMAT_CHECKER)
    for file in files:
        for error in validator.iter_errors(json.loads(pathlib.Path(file).read_text())):
            sys.exit(f"{file}: {error.json_path}: {error.message}")
elif form == "junit":
    for name in ("junit-10.xsd", "surefire-test-report.xsd"):
        schema = xmlschema.XMLSchema(schemas / "tests/data/schemas" / name)
        for file in files:
            for error in schema.iter_errors(file):
                sys.exit(f"{file}: {name}: {error}")
elif form == "markdown":
    # GitHub's and GitLab's Markdown: CommonMark and tables. A name must not become markup.
    parser = markdown_it.MarkdownIt("commonmark").enable("table")
    plain = {"text", "softbreak", "text_special"}
    for file in files:
        tokens = parser.parse(pathlib.Path(file).read_text())
        kinds = {token.type for token in tokens}
        children = {child.type for token in tokens for child in token.children or []}
        if "html_block" in kinds or children - plain:
            sys.exit(f"{file}: not only text: {kinds} {children - plain}")
        columns = [len([t for t in tokens if t.type == "th_open"])]
        rows = "".join({"tr_open": "/", "td_open": "."}.get(t.type, "") for t in tokens)
        if any(len(row) != columns[0] for row in rows.split("/") if row):
            sys.exit(f"{file}: a row of {rows} has other cells than its head of {columns[0]}")
else:
    sys.exit(f"unknown format {form}")
