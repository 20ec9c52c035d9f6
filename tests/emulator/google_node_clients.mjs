// Use Google's own Node clients against the emulator: node google_node_clients.mjs PORT. The token is in LT_TOKEN, and
// the output is JSON.
import { createRequire } from "node:module";

const require = createRequire(new URL("../package.json", import.meta.url));
const { ServicesClient, RevisionsClient } = require("@google-cloud/run");
const { MetricServiceClient } = require("@google-cloud/monitoring");
const { grpc } = require("google-gax");

const parent = "projects/local/locations/local";
const name = `${parent}/services/${process.env.LT_SERVICE}`;
const bearer = { otherArgs: { headers: { authorization: `Bearer ${process.env.LT_TOKEN}` } }, timeout: 60000 };
const place = {
  servicePath: "127.0.0.1",
  port: Number(process.argv[2]),
  sslCreds: grpc.credentials.createInsecure(),
  projectId: "local",
};
const services = new ServicesClient(place);
const revisions = new RevisionsClient(place);
const metrics = new MetricServiceClient(place);

const told = {};
try {
  await services.getService({ name }, { timeout: 60000 });
  told.without = "answered";
} catch (error) {
  told.without = grpc.status[error.code];
}
const [listed] = await services.listServices({ parent }, bearer);
told.services = listed.map((one) => one.name);
const [service] = await services.getService({ name }, bearer);
told.concurrency = service.template.maxInstanceRequestConcurrency;
service.template.maxInstanceRequestConcurrency = 3;
const [operation] = await services.updateService({ service }, bearer);
const [updated] = await operation.promise();
told.updated = updated.template.maxInstanceRequestConcurrency;
told.operation = operation.name.split("/").slice(0, 4).join("/");
const [made] = await revisions.listRevisions({ parent: name }, bearer);
told.revisions = made.length;
const [descriptors] = await metrics.listMetricDescriptors({ name: "projects/local" }, bearer);
told.metrics = descriptors.length;
for (let look = 0; look < 100 && !(told.requests >= 5); look++) {
  await new Promise((done) => setTimeout(done, look ? 200 : 0));
  const nowS = Math.floor(Date.now() / 1000);
  const [series] = await metrics.listTimeSeries(
    {
      name: "projects/local",
      filter: 'metric.type = "run.googleapis.com/request_count"',
      interval: { startTime: { seconds: nowS - 600 }, endTime: { seconds: nowS + 60 } },
    },
    bearer,
  );
  const points = series.flatMap((one) => one.points);
  told.requests = points.reduce((sum, point) => sum + Number(point.value.int64Value), 0);
}
console.log(JSON.stringify(told));
process.exit(0);
