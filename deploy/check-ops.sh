#!/bin/sh
# Checks by tools that the package index does not have; `make check-ops` runs it. A tool that is not
# there is skipped, by name and with what brings it; one that finds something fails the whole.
#
# To add a check:  check TOOL "what brings it" COMMAND...
set -u
cd "$(dirname "$0")/.." || exit 1
failed=""

check() {
	tool=$1 brings=$2
	shift 2
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "skipped: $* ($tool is not here; $brings)"
	elif said=$("$@" 2>&1); then
		echo "ok:      $*"
	else
		printf '%s\n' "$said" "FAILED:  $*"
		failed="$failed $tool"
	fi
}

PROMETHEUS="apt-get install --no-install-recommends prometheus, or prometheus.io/download"
check promtool "$PROMETHEUS" promtool check rules deploy/monitoring/rules.yml
check promtool "$PROMETHEUS" promtool check config deploy/monitoring/prometheus.yml
queries=$(mktemp) # of dashboards, pages and the autoscaler
trap 'rm "$queries"' EXIT
.venv/bin/python -m tests.monitoring > "$queries" || failed="$failed queries"
check promtool "$PROMETHEUS" promtool check rules "$queries"
for tests in deploy/monitoring/tests/*.yml; do
	check promtool "$PROMETHEUS" promtool test rules "$tests"
done

check actionlint "its page says how: github.com/rhysd/actionlint" actionlint .github/workflows/*.yml
check shellcheck "apt-get install --no-install-recommends shellcheck" shellcheck deploy/*.sh deploy/*/*.sh
check haproxy "apt-get install --no-install-recommends haproxy" haproxy -c -f deploy/compose/haproxy.cfg

if [ -n "$failed" ]; then
	echo "Failed:$failed" >&2
	exit 1
fi
