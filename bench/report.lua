-- What common.py reads from wrk: one line of JSON. An answer that is not 200 is an error.
function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        'bench {"rate": %.1f, "count": %d, "errors": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}',
        summary.requests / (summary.duration / 1e6), summary.requests,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
