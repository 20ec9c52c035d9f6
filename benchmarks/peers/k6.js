// With USERS, RAMP_S and HOLD_S, this many users send one request a second each; with RATE, this many arrivals per second
// are sent evenly for HOLD_S; otherwise 50 users send as fast as they are answered.
import http from "k6/http";
import { check } from "k6";

const payload = JSON.parse(open(__ENV.PAYLOAD));
const users = Number(__ENV.USERS);
const stages = [
  { duration: `${__ENV.RAMP_S}s`, target: users },
  { duration: `${__ENV.HOLD_S}s`, target: users },
];
const even = {
  executor: "constant-arrival-rate",
  rate: Number(__ENV.RATE),
  timeUnit: "1s",
  duration: `${__ENV.HOLD_S}s`,
  preAllocatedVUs: 100,
  maxVUs: 500,
};
const closed = users ? { stages, minIterationDuration: "1s" } : { vus: 50, duration: "60s" };
export const options = __ENV.RATE ? { scenarios: { even } } : closed;
export default function () {
  const answer = http.post(`${__ENV.TARGET}/predict`, JSON.stringify(payload), {
    headers: { "Content-Type": "application/json" },
  });
  check(answer, { right: (a) => a.json().default_probability === 0.5 });
}
