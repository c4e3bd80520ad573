#!/bin/sh
# Fills a service that milvus-compose.yml started, and empty, with the demo data, trains a model and
# asks for a list: the walk of docs/containers.md. Fails where a step does.
set -eu
cd "$(dirname "$0")/../.."
compose() { docker compose --file milvus-compose.yml "$@"; }
address=http://127.0.0.1:${API_PORT:-8000}

compose exec -T worker upnext import demo
compose exec -T worker upnext train content --promote
token=$(compose exec -T api upnext token --sub ops --role admin)

for _ in $(seq 30); do
	list=$(curl --silent --show-error --fail --header "Authorization: Bearer $token" "$address/recs/user-007?limit=3")
	case $list in
	*'"source":"nearest"'*) break ;;
	esac
	sleep 1
done
echo "$list"
case $list in
*'"source":"nearest"'*) ;;
*) echo "The list has nothing from the index." >&2 && exit 1 ;;
esac

for job in upnext-api upnext-worker; do
	up=$(curl --silent --fail --get --data-urlencode "query=sum(up{job=\"$job\"})" "http://127.0.0.1:${PROMETHEUS_PORT:-9090}/api/v1/query")
	echo "$job: $up"
	case $up in
	*'"value":['*',"0"]'* | *'"result":[]'*) echo "Prometheus sees no $job." >&2 && exit 1 ;;
	esac
done
curl --silent --fail "http://127.0.0.1:${GRAFANA_PORT:-3000}/api/health"
