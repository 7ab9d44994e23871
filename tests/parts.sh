#!/bin/sh
# Runs targets of the Makefile one after another, and prints the duration of each at the end: `tests/parts.sh lint tests`.
set -u
status=0 taken=
for part in "$@"; do
  echo "== make $part"
  begun=$(date +%s)
  "${MAKE:-make}" --no-print-directory "$part" || status=$?
  taken="$taken$(printf '%7d s  make %s' $(($(date +%s) - begun)) "$part")
"
  [ "$status" -eq 0 ] || break
done
printf '\n%s' "$taken"
[ "$status" -eq 0 ] || echo "make $part failed" >&2
exit "$status"
