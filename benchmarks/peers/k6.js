// With USERS, RAMP_S and HOLD_S, this many users send one request a second each; otherwise 50 users send as fast as they are answered.
import http from "k6/http";
import { check } from "k6";

const payload = JSON.parse(open(__ENV.PAYLOAD));
const users = Number(__ENV.USERS);
const stages = [
  { duration: `${__ENV.RAMP_S}s`, target: users },
  { duration: `${__ENV.HOLD_S}s`, target: users },
];
export const options = users ? { stages, minIterationDuration: "1s" } : { vus: 50, duration: "60s" };
export default function () {
  const answer = http.post(`${__ENV.TARGET}/predict`, JSON.stringify(payload), {
    headers: { "Content-Type": "application/json" },
  });
  check(answer, { right: (a) => a.json().default_probability === 0.5 });
}
