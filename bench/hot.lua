-- Asks for the list of each user in turn, each with a token of their own. Arguments: a file with
-- a line "id<tab>token" a user, and how many of its lines each thread begins later than the last.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  requests, at = {}, 0
  for line in io.lines(arguments[1]) do
    local id, token = line:match("^(%S+)\t(%S+)$")
    requests[#requests + 1] = wrk.format("GET", "/recs/" .. id, {
      ["Host"] = wrk.host, ["Authorization"] = "Bearer " .. token,
    })
  end
  at = number * tonumber(arguments[2]) % #requests
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests":%d,"seconds":%f,"failed":%d,"p50":%f,"p99":%f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
