-- wrk: the requests of a file that common.py's Signer wrote, again and again.
-- arguments: FILE [MS: pause before each request, on average]
require 'report'

local requests, at = {}, 0

function init(arguments)
    local file = assert(io.open(arguments[1], 'rb'))
    local pause_ms = tonumber(arguments[2] or '0')

    while true do
        local bytes = file:read('*n')
        if bytes == nil then break end
        file:read(1)
        requests[#requests + 1] = file:read(bytes)
    end
    file:close()
    if pause_ms > 0 then
        math.randomseed(7)
        delay = function() return math.random(0, 2 * pause_ms) end
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
