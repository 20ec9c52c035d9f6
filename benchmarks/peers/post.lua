-- wrk sends the same POST again and again: PAYLOAD names the file of its body.
local file = io.open(os.getenv("PAYLOAD"), "rb")
wrk.method = "POST"
wrk.body = file:read("*all")
wrk.headers["Content-Type"] = "application/json"
