-- wrk: METHOD on /candidate/<one of N names>, or on a fixed PATH.
-- arguments: METHOD PATH|N [MS: pause before each request, on average]
require 'report'

local method, path, names, pause_ms

function init(arguments)
    method = arguments[1]
    names = tonumber(arguments[2])
    path = arguments[2]
    pause_ms = tonumber(arguments[3] or '0')
    math.randomseed(7)
    if pause_ms > 0 then
        -- Spread about the mean, so that clients do not come in step.
        delay = function() return math.random(0, 2 * pause_ms) end
    end
end

function request()
    return wrk.format(method, names and '/candidate/name-' .. math.random(names) or path)
end
