"""Reads an OpenMetrics exposition from standard input as strictly as Python's client."""

import sys

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ModuleNotFoundError:
    sys.exit(3)

families = list(text_string_to_metric_families(sys.stdin.buffer.read().decode()))
for family in families:
    print(family.name, family.type, len(family.samples))
