-- Adds the events of a request to a Redis stream: all of them before 200 is answered, or none and the reason.
-- An answer that is lost makes the sender send them again: each id is taken once.
local SERVER, PORT = "127.0.0.1", 6379
local WINDOW = 86400 -- seconds for which an id is remembered

-- In Redis, as one step. KEYS: stream, counters of repeats. ARGV: source, window, then id and event of each.
local ADD = [[
local repeats = 0
for i = 3, #ARGV, 2 do
    local id = KEYS[1] .. ':id:' .. ARGV[i]
    if redis.call('EXISTS', id) == 0 then
        -- First the event: should this fail, its id has not been seen.
        redis.call('XADD', KEYS[1], '*', 'source', ARGV[1], 'event', ARGV[i + 1])
        redis.call('SET', id, '', 'EX', ARGV[2])
    else
        repeats = repeats + 1
    end
end
if repeats > 0 then redis.call('HINCRBY', KEYS[2], ARGV[1], repeats) end
return repeats
]]

-- 503 is tried again without end. What is wrong with the request itself is not: 400, 422.
local function answer(status, text)
    ngx.status = status
    ngx.header.content_type, ngx.header.content_length = "text/plain", #text + 1
    ngx.say(text)
    ngx.exit(ngx.OK)
end

local function command(body)
    local stream = ngx.var.stream
    local words, number = {"EVAL", ADD, "2", stream, stream .. ":repeats", ngx.var.remote_user, WINDOW}, 0
    for line in body:gmatch("[^\n]+") do
        number = number + 1
        local id = line:match('^{"seq":%d+,"id":"(%x+)".*}\r?$')
        if not id or #id ~= 16 then
            answer(422, "line " .. number .. " is not an event of cmcwh")
        end
        words[#words + 1], words[#words + 2] = id, line
    end
    return words, number
end

-- A command as Redis reads it: each word with its length, so that no text becomes another word.
local function packed(words)
    local parts = {"*" .. #words .. "\r\n"}
    for _, word in ipairs(words) do
        word = tostring(word)
        parts[#parts + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
    end
    return parts
end

-- What Redis answers: ":N" or "-ERROR ...". A connection that has failed is not used again.
local function ask(words)
    local redis = ngx.socket.tcp()
    redis:settimeouts(1000, 2000, 4000) -- less than the sender's patience, 5 s
    local ok, trouble = redis:connect(SERVER, PORT)
    if ok then
        ok, trouble = redis:send(packed(words))
    end
    local said
    if ok then
        said, trouble = redis:receive("*l")
    end
    if not said then
        redis:close()
        answer(503, "Redis: " .. trouble)
    end
    redis:setkeepalive(60000, 64)
    return said
end

ngx.req.read_body()
local words, count = command(ngx.req.get_body_data() or "")
if count == 0 then
    answer(400, "no event")
end
local said = ask(words)
local repeats = said:match("^:(%d+)$")
if not repeats then
    answer(503, "Redis: " .. said)
end
answer(200, "added " .. count - repeats .. ", repeats " .. repeats)
