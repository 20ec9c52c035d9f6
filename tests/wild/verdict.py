"""As in Locust's docs, fail ratio and percentile decide the exit code. The master prints its own totals."""

import logging

from locust import FastHttpUser, constant, events, stats, task

stats.PERCENTILES_TO_REPORT = [0.5, 0.95, 0.999]
stats.CONSOLE_STATS_INTERVAL_SEC = 1


@events.quitting.add_listener
def decide(environment, **_):
    total = environment.stats.total
    if total.fail_ratio > 0.01:
        logging.error("Test failed due to failure ratio > 1%")
        environment.process_exit_code = 1
    elif total.get_response_time_percentile(0.95) > 800:
        environment.process_exit_code = 3
    else:
        environment.process_exit_code = 0


@events.test_stop.add_listener
def told(environment, **_):
    logging.info("p95 %s", environment.stats.total.get_current_response_time_percentile(0.95))


class Fails(FastHttpUser):
    wait_time = constant(0.1)

    @task(3)
    def good(self):
        self.client.get("/good")

    @task
    def bad(self):
        with self.client.get("/bad", catch_response=True) as answer:
            answer.failure("bad by its body")
