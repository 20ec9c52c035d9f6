const payload = JSON.parse(require("fs").readFileSync(process.env.PAYLOAD));
module.exports = { body: (request, context, events, done) => { request.json = payload; done(); } };
