-- wrk posts the body of a file, and says in the end, as one line of JSON, what run.py reads.
wrk.method = "POST"
wrk.headers["Content-Type"] = os.getenv("TYPE")
if os.getenv("CLOSE") == "1" then wrk.headers["Connection"] = "close" end
local file = io.open(os.getenv("BODY"), "rb")
wrk.body = file:read("*a")
file:close()

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests":%d,"microseconds":%d,"refused":%d,"failed":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d}\n',
        summary.requests, summary.duration, errors.status,
        errors.connect + errors.write + errors.timeout, errors.read,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
