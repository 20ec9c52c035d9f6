// If USERS, RAMP_S and HOLD_S are set, that number of users send one request per second each. If RATE is set, that
// number of arrivals per second is sent evenly for HOLD_S. Otherwise 50 users send the next request as soon as the last
// one is answered.
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
