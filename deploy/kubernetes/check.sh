#!/bin/sh
# Renders the manifests and holds them against the schemas of the releases of Kubernetes that are
# named here, strictly: unknown fields are refused. Objects of Prometheus' operator have no schema
# there; tests/unit/test_kubernetes.py looks at them, and at everything that no schema knows.
#
#   deploy/kubernetes/check.sh [FOLDER]   where kubectl and kubernetes-validate are, if not in .venv/bin
set -eu
tools=$(cd "${1:-$(dirname "$0")/../../.venv/bin}" && pwd)
cd "$(dirname "$0")"
rendered=$(mktemp -d)
trap 'rm -r "$rendered"' EXIT
for folder in base overlays/*; do
	"$tools/kubectl" kustomize "$folder" > "$rendered/$(basename "$folder").yaml"
done
"$tools/kubernetes-validate" --strict --quiet --no-warn \
	-k 1.32 -k 1.33 -k 1.34 -k 1.35 -k 1.36 -k 1.37 "$rendered"/*.yaml
