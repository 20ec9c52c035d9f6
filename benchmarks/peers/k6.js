import http from "k6/http";
import { check } from "k6";

const payload = JSON.parse(open(__ENV.PAYLOAD));
export const options = { vus: 50, duration: "60s" };
export default function () {
  const answer = http.post(`${__ENV.TARGET}/predict`, JSON.stringify(payload), {
    headers: { "Content-Type": "application/json" },
  });
  check(answer, { right: (a) => a.json().default_probability === 0.5 });
}
